"""What the commands share: how they open the service, errors, and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Protocol

import click
from sqlalchemy.orm import Session, sessionmaker

from combine_auth.refused import Refused
from combine_core.settings import LoadedSettings
from combine_core.users import InvalidEmail


class OpenedService(Protocol):
    """The settings and the database of an ini file, which the callable in ``ctx.obj`` opens."""

    @property
    def settings(self) -> LoadedSettings:
        """The settings of all add-ons."""

    @property
    def sessions(self) -> sessionmaker[Session]:
        """Creates sessions; the caller commits and closes them."""


class OpenService(Protocol):
    """Opens the service of an ini file for the time of a command."""

    def __call__(
        self, ini: str, *, all_models: bool = True
    ) -> AbstractContextManager[OpenedService]:
        """:param all_models: load those of the whole domain; ``False``: of users and projects alone."""


def shown(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """The value, if it is printable text. Bytes of another encoding are not."""
    if value is not None and not value.isprintable():
        raise click.BadParameter("holds a character that cannot be shown.")
    return value


@contextmanager
def refusals_shown() -> Iterator[None]:
    """Print what a service refuses as one line, and exit with status 1."""
    try:
        yield
    except (Refused, InvalidEmail) as refused:
        raise click.ClickException(str(refused)) from refused


def show_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns with two spaces between them."""
    table = [tuple(head), *map(tuple, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def shown_time(value: datetime | None, without: str = "-") -> str:
    """A time in UTC, to the minute."""
    return without if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M}Z"
