"""Opens the service, reports errors and prints tables for the commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Protocol

import click
from sqlalchemy.orm import Session, sessionmaker

from combine_auth.failures import Refused
from combine_core.settings import LoadedSettings
from combine_core.users import InvalidEmail


class OpenedService(Protocol):
    """The settings and the database of an ini file."""

    @property
    def settings(self) -> LoadedSettings:
        """The settings of all add-ons."""

    @property
    def sessions(self) -> sessionmaker[Session]:
        """The factory of sessions, which the caller commits and closes."""


class OpenService(Protocol):
    """The callable in ``ctx.obj`` that opens the service of an ini file for a command."""

    def __call__(
        self, ini: str, *, all_models: bool = True
    ) -> AbstractContextManager[OpenedService]:
        """Open the service, with the models of the whole domain or only of users and projects."""


def printable(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Return the value if it is printable. Bytes in another encoding are not."""
    if value is not None and not value.isprintable():
        raise click.BadParameter("contains a character that is not printable.")
    return value


@contextmanager
def report_refusals() -> Iterator[None]:
    """Print a refusal as one line, and exit with status 1."""
    try:
        yield
    except (Refused, InvalidEmail) as refused:
        raise click.ClickException(str(refused)) from refused


@contextmanager
def transaction(
    open_service: OpenService, ini: str, *, all_models: bool = True
) -> Iterator[tuple[OpenedService, Session]]:
    """Open the service and begin a transaction. A refusal ends the command."""
    with (
        report_refusals(),
        open_service(ini, all_models=all_models) as service,
        service.sessions.begin() as session,
    ):
        yield service, session


def show_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns with two spaces between them."""
    table = [tuple(head), *map(tuple, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def format_time(value: datetime | None, without: str = "-") -> str:
    """Format a time in UTC, to the minute."""
    return without if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M}Z"
