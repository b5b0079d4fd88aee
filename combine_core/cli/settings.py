"""``combine settings``: what counts on this machine, where it came from, and what is wrong."""

import configparser
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import plaster
from rich.console import Console
from rich.table import Table
from rich.text import Text

from combine_core.cli.ini import application_keys
from combine_core.settings import Outcome, Problem, Row, judge_all
from combine_core.settings.installed import installed
from combine_core.settings.page import configuration_page

DISTRIBUTION = "pyramid-combine"


@click.command()
@click.option(
    "-c",
    "--config",
    "ini",
    metavar="INI",
    envvar="COMBINE_INI",
    show_envvar=True,
    help="The ini file of the service, such as production.ini.",
)
@click.option("--markdown", is_flag=True, help="Print docs/configuration.md instead.")
def settings(ini: str | None, markdown: bool) -> None:
    """Show every setting: name, value, where it came from, what it is for.

    Secrets are masked. With settings that the service would not start with, these are named and
    the exit status is 1.
    """
    if markdown:
        click.echo(configuration_page(installed(DISTRIBUTION)), nl=False)
        return
    if ini is None:
        raise click.UsageError("which ini file? Write: combine settings -c production.ini")
    outcome = _judged(ini)
    if sys.stdout.isatty():
        _print_rich(outcome.loaded.rows())
    else:
        _print_plain(outcome.loaded.rows())
    _print_findings("Warnings", [*outcome.warnings, *outcome.faults])
    _print_findings("To mend before the service can start", outcome.problems)
    if outcome.problems:
        sys.exit(1)


def _judged(ini: str) -> Outcome:
    path = Path(plaster.parse_uri(ini).path)
    if not path.is_file():
        raise click.ClickException(f"there is no file {path}")
    try:
        keys = application_keys(ini)
    except configparser.InterpolationError:
        # The exception's own text holds the value, which may be a secret.
        raise click.ClickException(f"{path}: write each % in a value as %%") from None
    except configparser.MissingSectionHeaderError as error:
        raise click.ClickException(f"{path}, line {error.lineno}: no [section] above") from None
    except configparser.ParsingError as error:
        lines = ", ".join(str(line) for line, _ in error.errors)
        raise click.ClickException(f"{path}, line {lines}: write key = value") from None
    except (configparser.Error, LookupError, OSError, UnicodeDecodeError) as error:
        reason = type(error).__name__
        raise click.ClickException(f"{path} cannot be read as an ini file ({reason})") from None
    return judge_all(keys, path)


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
