"""The lines that may be run, and their versions in the database."""

from __future__ import annotations

import functools
import uuid
from importlib import resources

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from combine_core.database.metadata import new_id
from combine_core.database.page import Page
from combine_core.lines.definition import Line, line_from_definition, parse_line
from combine_core.lines.model import LineVersion


class UnknownLine(LookupError):
    """There is no line of this name."""


@functools.cache
def shipped_lines() -> dict[str, Line]:
    """The lines that come with the package, by name. Read once, on first use."""
    lines = [
        parse_line(entry.read_text(encoding="utf-8"))
        for entry in resources.files("combine_core.lines").iterdir()
        if entry.name.endswith(".yaml")
    ]
    return {line.name: line for line in sorted(lines, key=lambda line: line.name)}


def list_lines(*, cursor: str | None = None, limit: int = 50) -> Page[Line]:
    """The lines in the order of their names.

    :param cursor: ``Page.next`` of the page before
    """
    lines = [line for name, line in shipped_lines().items() if cursor is None or name > cursor]
    shown = lines[:limit]
    return Page(shown, shown[-1].name if len(lines) > limit else None)


def find_line(name: str) -> Line:
    """The line of this name.

    :raises UnknownLine: there is none; the message names those there are
    """
    try:
        return shipped_lines()[name]
    except KeyError as error:
        message = f"There is no line of this name. There are: {', '.join(shipped_lines())}."
        raise UnknownLine(message) from error


def store_version(session: Session, line: Line) -> uuid.UUID:
    """Return the key of the stored version of ``line``. Stores a new version first."""
    find = select(LineVersion.id).where(
        LineVersion.name == line.name, LineVersion.sha256 == line.sha256
    )
    found = session.scalar(find)
    if found is not None:
        return found
    session.execute(
        insert(LineVersion)
        .values(id=new_id(), name=line.name, sha256=line.sha256, definition=line.definition)
        .on_conflict_do_nothing()
    )
    return session.execute(find).scalar_one()


def read_version(session: Session, version_id: uuid.UUID) -> Line:
    """The line as it was when this version was stored."""
    definition = session.execute(
        select(LineVersion.definition).where(LineVersion.id == version_id)
    ).scalar_one()
    return line_from_definition(definition)
