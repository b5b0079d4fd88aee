"""Reads the structure of a source: headings, paragraphs, messages, list items, table rows, code, comments."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from combine_core.evidence.language import labels


class BlockKind(StrEnum):
    """What a block is."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    MESSAGE = "message"
    LIST_ITEM = "list_item"
    TABLE_ROW = "table_row"
    QUOTATION = "quotation"
    CODE = "code"
    COMMENT = "comment"
    FRONT_MATTER = "front_matter"


# What these hold is no statement of the source.
SILENT = frozenset({BlockKind.HEADING, BlockKind.CODE, BlockKind.COMMENT, BlockKind.FRONT_MATTER})


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a source. ``start`` and ``end`` are offsets into its text."""

    kind: BlockKind
    start: int
    end: int
    headings: tuple[str, ...] = ()
    speaker: str = ""
    # Where the words begin, behind the speaker's name.
    body: int = 0


# "Anna:", "**Anna Weber** [10:31]:", "Dr. Weber (Legal):"; the labels of each language are none.
_SPEAKER = re.compile(
    r"[ \t]*(?:[-*+][ \t]+)?(?P<mark>\*\*|__|\*)?"
    r"(?P<name>[^\W\d_][\w.'’-]*(?:[ ][^\W\d_(][\w.'’-]*){0,3})(?:\*\*|__|\*)?"
    r"(?:[ ]\([^()\n]{1,30}\))?(?:[ ]?[\[(]?\d{1,2}:\d{2}(?::\d{2})?(?:[ ]?[AaPp][Mm])?[\])]?)?"
    r":(?:\*\*|__|\*)?(?=[ \t]+\S|[ \t]*$)",
    re.MULTILINE,
)
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n.*?\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)


def read_blocks(text: str) -> list[Block]:
    """The blocks of a Markdown or plain text, in its order. Lines that belong to no block are left out.

    A paragraph whose lines begin with names becomes one block per message.
    """
    line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
    line_starts.append(len(text))
    blocks: list[Block] = []
    offset = 0
    if front := _FRONT_MATTER.match(text):
        blocks.append(Block(BlockKind.FRONT_MATTER, 0, front.end()))
        # Blank lines instead of the front matter keep the line numbers.
        offset = front.end()
    body = "\n" * text.count("\n", 0, offset) + text[offset:]
    headings: list[tuple[int, str]] = []
    for kind, first, behind, level in _leaves(_parser().parse(body)):
        start, end = line_starts[first], line_starts[min(behind, len(line_starts) - 1)]
        if kind is BlockKind.HEADING:
            while headings and headings[-1][0] >= level:
                headings.pop()
            title = text[start:end].strip().strip("#=- \t\n")
            blocks.append(Block(kind, start, end, tuple(name for _, name in headings), body=start))
            headings.append((level, title))
            continue
        path = tuple(name for _, name in headings)
        if kind in (BlockKind.PARAGRAPH, BlockKind.LIST_ITEM, BlockKind.QUOTATION):
            blocks.extend(_messages(text, Block(kind, start, end, path, body=start)))
        else:
            blocks.append(Block(kind, start, end, path, body=start))
    return blocks


def block_at(blocks: Sequence[Block], offset: int) -> Block | None:
    """The block that holds the character at ``offset``, or ``None``."""
    index = bisect_right(blocks, offset, key=lambda block: block.start) - 1
    return blocks[index] if index >= 0 and offset < blocks[index].end else None


def _leaves(tokens: Sequence[Token]) -> Iterator[tuple[BlockKind, int, int, int]]:
    """Kind, first line, line behind the last, level of a heading; of each leaf of the tree."""
    inside: list[str] = []
    row: list[int] | None = None
    for token in tokens:
        if token.nesting == 1:
            inside.append(token.tag if token.type == "heading_open" else token.type)
            if token.type == "tr_open" and token.map and "thead_open" not in inside:
                yield BlockKind.TABLE_ROW, token.map[0], token.map[1], 0
                row = token.map
            continue
        if token.nesting == -1:
            inside.pop()
            if token.type == "tr_close":
                row = None
            continue
        if token.map is None or row is not None or "thead_open" in inside:
            continue
        first, behind = token.map
        if token.type == "inline":
            level = _HEADINGS.index(inside[-1]) + 1 if inside[-1] in _HEADINGS else 0
            yield _kind_of_prose(inside), first, behind, level
        elif token.type in ("fence", "code_block"):
            yield BlockKind.CODE, first, behind, 0
        elif token.type == "html_block":
            comment = token.content.lstrip().startswith("<!--")
            yield (BlockKind.COMMENT if comment else BlockKind.PARAGRAPH), first, behind, 0


def _kind_of_prose(inside: Sequence[str]) -> BlockKind:
    if inside[-1] in _HEADINGS:
        return BlockKind.HEADING
    if "blockquote_open" in inside:
        return BlockKind.QUOTATION
    return BlockKind.LIST_ITEM if "list_item_open" in inside else BlockKind.PARAGRAPH


def _messages(text: str, block: Block) -> Iterator[Block]:
    names = [
        match
        for match in _SPEAKER.finditer(text, block.start, block.end)
        if (match.start() == block.start or text[match.start() - 1] == "\n")
        and match["name"].split()[-1].rstrip(".").lower() not in labels()
        and match["name"][0].isupper()
    ]
    if not names:
        yield block
        return
    if names[0].start() > block.start:
        yield Block(block.kind, block.start, names[0].start(), block.headings, body=block.start)
    ends = [match.start() for match in names[1:]] + [block.end]
    for match, end in zip(names, ends, strict=True):
        yield Block(
            BlockKind.MESSAGE, match.start(), end, block.headings, match["name"], match.end()
        )


@cache
def _parser() -> MarkdownIt:
    """Finds blocks only: what is within a line is not looked at, which takes most of the time."""
    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["block"])
    return parser
