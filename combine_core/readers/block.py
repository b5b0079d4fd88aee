"""The blocks that a reader finds in the text of a file."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class BlockKind(StrEnum):
    """The kind of a block."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    MESSAGE = "message"
    CUE = "cue"
    LIST_ITEM = "list_item"
    TABLE_ROW = "table_row"
    QUOTATION = "quotation"
    CODE = "code"
    COMMENT = "comment"
    FRONT_MATTER = "front_matter"
    LINKS = "links"


# What these hold is no statement of the source.
SILENT = frozenset(
    {
        BlockKind.HEADING,
        BlockKind.CODE,
        BlockKind.COMMENT,
        BlockKind.FRONT_MATTER,
        BlockKind.LINKS,
    }
)


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a source's text. The blocks of a text are in its order and do not overlap.

    :ivar start: the offset of its first character in the text
    :ivar end: the offset behind its last character
    :ivar headings: the titles it stands under, the outermost first
    :ivar speaker: who says it, in a message or a cue
    :ivar body: where the words begin, behind the marker of a list and the speaker's name
    :ivar number: of an item in an ordered list, as it is written: "3"
    :ivar done: the state of a check box; ``None`` if there is none
    :ivar time: when it was said, as it is written: "10:31", "00:12:05.000"
    :ivar page: of a PDF, from 1
    :ivar columns: the names of the columns of a table row
    """

    kind: BlockKind
    start: int
    end: int
    headings: tuple[str, ...] = ()
    speaker: str = ""
    body: int = 0
    number: str = ""
    done: bool | None = None
    time: str = ""
    page: int | None = None
    columns: tuple[str, ...] = ()


def block_at(blocks: Sequence[Block], offset: int) -> Block | None:
    """The block that holds the character at ``offset``, or ``None``."""
    index = bisect_right(blocks, offset, key=lambda block: block.start) - 1
    return blocks[index] if index >= 0 and offset < blocks[index].end else None
