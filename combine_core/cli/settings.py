"""``combine settings``: shows the settings in force, and writes docs/configuration.md."""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from combine_core.cli.ini import application_keys, path_of
from combine_core.settings import AddonSettings, Environment, Problem, Row, check_all
from combine_core.settings.addons import Installed, installed
from combine_core.settings.config_option import config_option
from combine_core.settings.declaration import ANY_NAME, shown
from combine_core.settings.sources import APPLICATION

DISTRIBUTION = "pyramid-combine"

_INTRODUCTION = """\
# Configuration

This page is the output of `combine settings --markdown`. To see the values in force on a machine and
the source of each, run `combine settings -c production.ini`.

A setting is read from these sources, in this order. The first value wins:

1. the environment, under the name of the variable;
2. the file `.env` beside the ini file, under the same name;
3. the ini file, under the ini key, in the section `[app:main]` unless the table names another one;
4. the default.

- An empty value is treated as not set.
- A variable can also be set under the name that is derived from the ini key: `DB_POOL_SIZE` and
  `COMBINE_CORE_DB_POOL_SIZE` are the same setting.
- Write values without quotes. In the `.env`, you may quote a whole value. Combine does not expand
  variables there: `$x` stays `$x`. Docker Compose and the shell read the same file and do expand them,
  so avoid `$` in values.
- In an ini file, write a `%` as `%%`. Secrets belong in the environment or the `.env`.
- With a misspelt ini key, the service does not start. A misspelt variable is logged as a warning.
- With invalid settings, the service does not start, and reports all of them at once. In development,
  some of these errors are only warnings.
"""

_HEAD = (
    "| Variable | Ini key | Value | Default | Meaning |",
    "| --- | --- | --- | --- | --- |",
)


def _print_page(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(configuration_page(installed(DISTRIBUTION)), nl=False)
        ctx.exit()


@click.command()
@config_option
@click.option(
    "--markdown",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_page,
    help="Print docs/configuration.md instead.",
)
def settings(ini: str) -> None:
    """Show every setting: its name, value, source and meaning.

    Secrets are masked. If the settings are invalid, the command lists the errors and exits with status 1.
    """
    outcome = check_all(application_keys(ini), path_of(ini))
    if sys.stdout.isatty():
        _print_rich(outcome.loaded.rows())
    else:
        _print_plain(outcome.loaded.rows())
    _print_findings("Warnings", [*outcome.warnings, *outcome.faults])
    _print_findings("To fix before the service can start", outcome.problems)
    if outcome.problems:
        sys.exit(1)


def _print_rich(rows: Sequence[Row]) -> None:
    table = Table(title_justify="left")
    table.add_column("Name", no_wrap=True)
    for column in ("Value", "From", "Meaning"):
        table.add_column(column, overflow="fold")
    addon = rows[0].addon if rows else ""
    for row in rows:
        if row.addon != addon:
            addon = row.addon
            table.add_section()
        name = Text.assemble(row.variable, "\n", (row.ini_key, "dim"))
        table.add_row(
            name, Text(_printable(row.value_shown)), Text(row.source), Text(_plain(row.help))
        )
    Console().print(table)


def _print_plain(rows: Sequence[Row]) -> None:
    cells = [(r.variable, _printable(r.value_shown) or "-", r.source, _plain(r.help)) for r in rows]
    widths = [max((len(line[column]) for line in cells), default=0) for column in range(3)]
    for *columns, meaning in cells:
        padded = (text.ljust(width) for text, width in zip(columns, widths, strict=True))
        click.echo("  ".join((*padded, meaning)))


def _print_findings(title: str, problems: Sequence[Problem]) -> None:
    if problems:
        click.echo(f"\n{title}:")
    for problem in problems:
        click.echo(f"  {_printable(str(problem))}")


def _plain(markdown: str) -> str:
    return markdown.replace("`", "")


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def configuration_page(declaring: Installed) -> str:
    """Return the text of docs/configuration.md, with a section for each add-on."""
    sections = [_INTRODUCTION]
    for cls in declaring.classes:
        about = (cls.__doc__ or "").partition("\n")[0]
        sections.append("\n".join([f"## {cls.addon}", "", about, "", *_HEAD, *_rows(cls), ""]))
    for addon, module in declaring.modules.items():
        rows = [_module_row(one) for one in module.declared()]
        sections.append("\n".join([f"## {addon}", "", *_HEAD, *rows, ""]))
    return "\n".join(sections)


def _rows(cls: type[AddonSettings]) -> Iterator[str]:
    described = cls.extended([ANY_NAME]) if cls.named_by else cls
    for one in described.declared():
        default = one.default_text
        if default and one.default_shown is None:
            default = f"`{default}`"
        environments = " and ".join(e for e in Environment if e in one.required_in)
        if environments:
            required = f"required in {environments}"
            default = f"{required}; else {default}" if default else required
        meaning = one.help + (" Secret." if one.secret else "")
        yield _line(f"`{one.variable}`", f"`{one.ini_key}`", one.shape, default, meaning)


def _module_row(one: Any) -> str:
    key = f"`{one.name}`"
    if one.section != APPLICATION:
        key += f" in `[{one.section}]`"
    default = "" if one.default in (None, (), "") else f"`{shown(one.default)}`"
    # The page must not depend on the machine that generates it.
    folder = tempfile.gettempdir()
    if default.startswith(f"`{folder}/"):
        default = f"`{default[len(folder) + 2 :]} in the folder for temporary files"
    return _line(f"`{one.variable}`", key, one.type, default, one.help)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
