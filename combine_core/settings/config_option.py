"""The option ``-c`` of the commands, and the default ini file."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.core import ParameterSource

from combine_core.settings.declaration import DEPLOYED

_VARIABLE = "COMBINE_INI"


def _default_ini() -> str:
    environment = os.environ.get("ENVIRONMENT", "").strip().lower()
    names, because = ["development.ini", "production.ini"], ""
    if environment in DEPLOYED:
        names, because = names[1:], f", and ENVIRONMENT is {environment}"
    for name in names:
        if Path(name).is_file():
            return name
    raise click.ClickException(
        f"There is no {' and no '.join(names)} in {Path.cwd()}{because}. Change to the folder of the"
        f" service, or name its ini file with -c or {_VARIABLE}. To write one: combine init FOLDER"
    )


def _chosen_ini(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    """Return the ini file to use, and print it to stderr unless the command line names it."""
    ini = value or _default_ini()
    if not Path(ini.partition("#")[0]).is_file():
        raise click.ClickException(f"There is no file {ini}. Name the ini file of the service.")
    if ctx.get_parameter_source(param.name or "") is not ParameterSource.COMMANDLINE:
        click.echo(f"Using {ini}", err=True)
    return ini


config_option = click.option(
    "-c",
    "--config",
    "ini",
    metavar="INI",
    envvar=_VARIABLE,
    show_envvar=True,
    callback=_chosen_ini,
    help="The ini file of the service [default: development.ini in this folder unless ENVIRONMENT is"
    " production or staging, else production.ini].",
)
