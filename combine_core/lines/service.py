"""The table of line versions. Finds the installed lines and stores their versions."""

from __future__ import annotations

import functools
import uuid
from importlib import resources
from importlib.metadata import entry_points
from typing import Any

from sqlalchemy import UniqueConstraint, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from combine_core.database.metadata import Identified, Model, new_id
from combine_core.database.page import Page
from combine_core.lines.definition import InvalidLine, Line, line_from_definition, parse_line

# The entry-point group for packages with lines, as YAML files, and the templates of their documents.
LINES_GROUP = "combine.lines"


class LineVersion(Identified, Model):
    """The immutable definition of a line that a run used."""

    __tablename__ = "line_versions"

    name: Mapped[str]
    sha256: Mapped[str]
    definition: Mapped[dict[str, Any]] = mapped_column(deferred=True)

    __table_args__ = (UniqueConstraint("name", "sha256"),)


class UnknownLine(LookupError):
    """Raised when no line has this name."""


def line_packages() -> list[str]:
    """Return the packages that contain lines: this one and those of the installed add-ons."""
    return [
        "combine_core.lines",
        *sorted({point.value for point in entry_points(group=LINES_GROUP)}),
    ]


@functools.cache
def installed_lines() -> dict[str, Line]:
    """Return the lines of all packages by name. They are read once, on first use.

    :raises InvalidLine: if a line is invalid or two lines have the same name
    """
    lines: dict[str, Line] = {}
    for package in line_packages():
        for entry in resources.files(package).iterdir():
            if entry.name.endswith(".yaml"):
                line = parse_line(entry.read_text(encoding="utf-8"))
                if line.name in lines:
                    message = (
                        f"Two packages have a line named {line.name}. Rename the one in {package}."
                    )
                    raise InvalidLine(message)
                lines[line.name] = line
    return dict(sorted(lines.items()))


def list_lines(*, cursor: str | None = None, limit: int = 50) -> Page[Line]:
    """List the lines in the order of their names.

    :param cursor: ``Page.next`` of the previous page
    """
    lines = [line for name, line in installed_lines().items() if cursor is None or name > cursor]
    shown = lines[:limit]
    return Page(shown, shown[-1].name if len(lines) > limit else None)


def find_line(name: str) -> Line:
    """Return the line with this name.

    :raises UnknownLine: if it does not exist; the message names the existing lines
    """
    try:
        return installed_lines()[name]
    except KeyError as error:
        message = f"No line has this name. There are: {', '.join(installed_lines())}."
        raise UnknownLine(message) from error


def store_version(session: Session, line: Line) -> uuid.UUID:
    """Return the id of the stored version of ``line``. Store the version if it is new."""
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
    """Return the line as this version defines it."""
    definition = session.execute(
        select(LineVersion.definition).where(LineVersion.id == version_id)
    ).scalar_one()
    return line_from_definition(definition)
