"""What an exported document contains, whatever the format.

Nothing here needs the database: the process that writes the file starts fast.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class Note:
    """A quote from a source, under a number of its own."""

    number: int
    text: str


@dataclass(frozen=True)
class Entry:
    """One thing below a section: a statement, a title within the section, or a plain paragraph.

    :ivar remark: what is wrong with the statement, or what was repaired
    """

    kind: Literal["statement", "heading", "paragraph"]
    text: str
    details: str = ""
    remark: str = ""
    notes: list[Note] = field(default_factory=list)


@dataclass(frozen=True)
class Section:
    """A part of the document."""

    title: str
    entries: list[Entry]


@dataclass(frozen=True)
class Outline:
    """A version of a document.

    :ivar remarks: what a reader has to know before the first section
    :ivar origin: how it was made, as labels with values
    """

    title: str
    written_at: datetime
    remarks: list[str]
    sections: list[Section]
    origin: list[tuple[str, str]]
