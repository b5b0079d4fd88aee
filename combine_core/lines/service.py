"""The lines that may be run, and their versions in the database."""

from __future__ import annotations

import functools
import uuid
from importlib import resources
from importlib.metadata import entry_points

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from combine_core.database.metadata import new_id
from combine_core.database.page import Page
from combine_core.lines.definition import InvalidLine, Line, line_from_definition, parse_line
from combine_core.lines.model import LineVersion

# The packages of add-ons that hold lines, as YAML files, and the templates of their documents.
LINES_GROUP = "combine.lines"


class UnknownLine(LookupError):
    """There is no line of this name."""


def line_packages() -> list[str]:
    """The packages that hold lines: ours, and those of the installed add-ons."""
    return [
        "combine_core.lines",
        *sorted({point.value for point in entry_points(group=LINES_GROUP)}),
    ]


@functools.cache
def shipped_lines() -> dict[str, Line]:
    """The lines that come with the packages, by name. Read once, on first use.

    :raises InvalidLine: a line is wrong, or two have the same name
    """
    lines: dict[str, Line] = {}
    for package in line_packages():
        for entry in resources.files(package).iterdir():
            if entry.name.endswith(".yaml"):
                line = parse_line(entry.read_text(encoding="utf-8"))
                if line.name in lines:
                    message = f"{package} brings a line named {line.name}, which exists. Rename it."
                    raise InvalidLine(message)
                lines[line.name] = line
    return dict(sorted(lines.items()))


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
