"""The content of an exported document, independent of the format.

This module does not import the database, so that the process that writes the file starts fast.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class Note:
    """A numbered quote from a source."""

    number: int
    text: str


@dataclass(frozen=True)
class Entry:
    """A part of a section: a statement, a heading or a plain paragraph.

    :ivar remark: the reasons why the statement is unsupported, or its repairs
    """

    kind: Literal["statement", "heading", "paragraph"]
    text: str
    details: str = ""
    remark: str = ""
    notes: list[Note] = field(default_factory=list)


@dataclass(frozen=True)
class Section:
    """A section of the document."""

    title: str
    entries: list[Entry]


@dataclass(frozen=True)
class Outline:
    """The content of a version of a document.

    :ivar remarks: paragraphs before the first section
    :ivar origin: the provenance of the version, as labels with values
    """

    title: str
    written_at: datetime
    remarks: list[str]
    sections: list[Section]
    origin: list[tuple[str, str]]
