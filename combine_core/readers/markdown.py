"""Reads Markdown and plain text: headings, paragraphs, messages, list items, table rows, code, comments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from combine_core.language import labels
from combine_core.readers.block import Block, BlockKind

_TIME = r"(?:\d{4}-\d\d-\d\d[ T])?\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+)?(?: ?[AaPp]\.?[Mm]\b\.?)?"
# "Anna:", "**Anna Weber** [10:31]:", "[10:31] Dr. Weber (Legal):"; the labels of each language are none.
_SPEAKER = re.compile(
    rf"[ \t]*(?:[-*+][ \t]+)?(?:[\[(]?(?P<before>{_TIME})[\])]?[ \t]*(?:[-–][ \t]*)?)?"
    r"(?:\*\*|__|\*)?(?P<name>[^\W\d_][\w.'’-]*(?:[ ][^\W\d_(][\w.'’-]*){0,3})(?:\*\*|__|\*)?"
    rf"(?:[ ]\([^()\n]{{1,30}}\))?(?:[ ]?[\[(]?(?P<behind>{_TIME})[\])]?)?"
    r":(?:\*\*|__|\*)?(?=[ \t]+\S|[ \t]*$)",
    re.MULTILINE,
)
_TAGS = ("h1", "h2", "h3", "h4", "h5", "h6")
# Below every heading with a mark of its own.
_UNMARKED = len(_TAGS) + 1
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n.*?\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_ITEM = re.compile(r"[ \t>]*(?:[-*+]|(?P<number>\d{1,9})[.)])[ \t]+")
_CHECK_BOX = re.compile(r"\[(?P<mark>[ xX])\][ \t]+")
# "**Decisions**" on a line of its own.
_BOLD = re.compile(r"\s*(?:\*\*|__)(?P<title>[^*_\n]{1,80}?)(?:\*\*|__)\s*(?P<colon>:?)\s*")
# "Action items:" on a line of its own.
_LEAD = re.compile(r"[ \t]*(?P<title>[^\W\d_][^.?!:\n]{0,60}):[ \t]*(?:\n|\Z)")
_SENTENCE_END = re.compile(r"[.!?…][\"'”’»)\]*_]*\s*\Z")
_LINK = re.compile(
    r"!?\[[^\]\n]*\](?:\((?:[^()\s]|\([^()\s]*\))*(?:\s+\"[^\"]*\")?\)|\[[^\]\n]*\])"
    r"|<?https?://[^\s>]+>?"
)
_WORD = re.compile(r"\w")


@dataclass(slots=True)
class _Leaf:
    """A leaf of the parser's tree: lines from ``first`` to before ``behind``, counted from 0."""

    kind: BlockKind
    first: int
    behind: int
    level: int = 0
    listed: bool = False
    columns: tuple[str, ...] = ()


@dataclass
class _Headings:
    """The titles that the next block stands under."""

    path: list[tuple[int, str]] = field(default_factory=list)
    lead: str = ""

    def enter(self, level: int, title: str) -> None:
        while self.path and self.path[-1][0] >= level:
            self.path.pop()
        self.path.append((level, title))

    def above(self, level: int) -> tuple[str, ...]:
        return tuple(title for other, title in self.path if other < level)

    def titles(self) -> tuple[str, ...]:
        return (*(title for _, title in self.path), *([self.lead] if self.lead else []))


def read_blocks(text: str, *, indented_code: bool = True) -> list[Block]:
    """The blocks of a Markdown or plain text, in its order. Lines that belong to no block are left out.

    A paragraph whose lines begin with names becomes one block per message. A bold line of its own is a
    heading, and so is one with a final colon above a list.

    :param indented_code: whether lines that begin with four spaces are code, as in Markdown
    """
    line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
    line_starts.append(len(text))
    blocks: list[Block] = []
    offset = 0
    if front := _FRONT_MATTER.match(text):
        blocks.append(Block(BlockKind.FRONT_MATTER, 0, front.end()))
        offset = front.end()
    # Blank lines instead of the front matter keep the line numbers.
    body = "\n" * text.count("\n", 0, offset) + text[offset:]
    headings = _Headings()
    listed = False
    for leaf in _leaves(_parser(indented_code).parse(body)):
        start = line_starts[leaf.first]
        end = line_starts[min(leaf.behind, len(line_starts) - 1)]
        if leaf.kind is BlockKind.HEADING or (listed and not leaf.listed):
            headings.lead = ""
        listed = leaf.listed
        match leaf.kind:
            case BlockKind.HEADING:
                blocks += _heading(text, start, end, leaf.level, headings)
            case BlockKind.PARAGRAPH:
                blocks += _paragraph(text, start, end, headings)
            case BlockKind.LIST_ITEM:
                blocks += _item(text, start, end, headings)
            case BlockKind.QUOTATION:
                block = Block(leaf.kind, start, end, headings.titles(), body=start)
                blocks += _messages(text, block)
            case kind:
                blocks.append(
                    Block(kind, start, end, headings.titles(), body=start, columns=leaf.columns)
                )
    return blocks


def _heading(text: str, start: int, end: int, level: int, headings: _Headings) -> Iterator[Block]:
    words = text[start:end].strip()
    underlined = not words.lstrip(">-*+ \t").startswith("#")
    if underlined and _SENTENCE_END.search(words):
        # A rule below a sentence makes no heading of it.
        yield from _paragraph(text, start, end, headings)
        return
    yield Block(BlockKind.HEADING, start, end, headings.above(level), body=start)
    headings.enter(level, words.strip("#=- \t\n*_"))


def _paragraph(text: str, start: int, end: int, headings: _Headings) -> Iterator[Block]:
    bold = _BOLD.fullmatch(text, start, end)
    if bold is not None and not _SENTENCE_END.search(bold["title"]):
        yield Block(BlockKind.HEADING, start, end, headings.above(_UNMARKED), body=start)
        headings.enter(_UNMARKED, bold["title"].rstrip(":"))
        return
    at = start
    while at < end:
        lead = _LEAD.match(text, at, end)
        if lead is not None and not _is_speaker(_SPEAKER.match(text, at, end)):
            titles = headings.titles()
            yield Block(BlockKind.HEADING, at, lead.end(), titles, body=at)
            headings.lead = lead["title"].strip("*_ ")
            at = lead.end()
            continue
        # Up to the next line that is a lead.
        stop = next(
            (
                match.start()
                for match in re.finditer(r"(?m)^.*:[ \t]*$", text[at:end])
                if match.start() and _LEAD.match(text, at + match.start(), end)
            ),
            end - at,
        )
        block = Block(BlockKind.PARAGRAPH, at, at + stop, headings.titles(), body=at)
        yield from _messages(text, block)
        at += stop
        # The lead counts for the lines behind it, else for the paragraph or the list below it.
        headings.lead = ""


def _item(text: str, start: int, end: int, headings: _Headings) -> Iterator[Block]:
    block = Block(BlockKind.LIST_ITEM, start, end, headings.titles(), body=start)
    if marker := _ITEM.match(text, start, end):
        box = _CHECK_BOX.match(text, marker.end(), end)
        block = replace(
            block,
            body=box.end() if box else marker.end(),
            number=marker["number"] or "",
            done=box["mark"] != " " if box else None,
        )
    yield from _messages(text, block)


def _leaves(tokens: Sequence[Token]) -> Iterator[_Leaf]:
    inside: list[str] = []
    columns: list[str] = []
    for token in tokens:
        if token.nesting == 1:
            inside.append(token.tag if token.type == "heading_open" else token.type)
            if token.type == "thead_open":
                columns = []
            if token.type == "tr_open" and token.map and "thead_open" not in inside:
                first, behind = token.map
                yield _Leaf(BlockKind.TABLE_ROW, first, behind, columns=tuple(columns))
            continue
        if token.nesting == -1:
            inside.pop()
            continue
        if token.type == "inline" and "thead_open" in inside:
            columns.append(token.content.strip("*_ "))
        if token.map is None or "table_open" in inside:
            continue
        first, behind = token.map
        listed = "list_item_open" in inside
        if token.type == "inline":
            level = _TAGS.index(inside[-1]) + 1 if inside[-1] in _TAGS else 0
            yield _Leaf(_kind_of_prose(inside, token.content), first, behind, level, listed)
        elif token.type in ("fence", "code_block"):
            yield _Leaf(BlockKind.CODE, first, behind, listed=listed)
        elif token.type == "html_block":
            comment = token.content.lstrip().startswith("<!--")
            kind = BlockKind.COMMENT if comment else BlockKind.PARAGRAPH
            yield _Leaf(kind, first, behind, listed=listed)


def _kind_of_prose(inside: Sequence[str], content: str) -> BlockKind:
    if inside[-1] in _TAGS:
        return BlockKind.HEADING
    if _LINK.search(content) and not _WORD.search(_LINK.sub("", content)):
        return BlockKind.LINKS
    if "blockquote_open" in inside:
        return BlockKind.QUOTATION
    return BlockKind.LIST_ITEM if "list_item_open" in inside else BlockKind.PARAGRAPH


def _messages(text: str, block: Block) -> Iterator[Block]:
    """One block for each message in ``block``; ``block`` itself if there is none."""
    found = [
        match
        for match in _SPEAKER.finditer(text, block.start, block.end)
        if (match.start() == block.start or text[match.start() - 1] == "\n") and _is_speaker(match)
    ]
    if block.kind is BlockKind.LIST_ITEM and block.body > block.start:
        match = _SPEAKER.match(text, block.body, block.end)
        found = [match] if match is not None and _is_speaker(match) else []
    if not found:
        yield block
        return
    first = found[0].start()
    if first > block.body:
        yield replace(block, end=first)
    starts = [match.start() for match in found]
    starts[0] = block.start if first <= block.body else first
    for match, start, end in zip(found, starts, [*starts[1:], block.end], strict=True):
        yield replace(
            block,
            kind=BlockKind.MESSAGE,
            start=start,
            end=end,
            body=match.end(),
            speaker=match["name"],
            time=match["before"] or match["behind"] or "",
        )


def _is_speaker(match: re.Match[str] | None) -> bool:
    return (
        match is not None
        and match["name"][0].isupper()
        and match["name"].split()[-1].rstrip(".").lower() not in labels()
    )


@cache
def _parser(indented_code: bool) -> MarkdownIt:
    """Finds blocks only: what is within a line is not looked at, which takes most of the time."""
    parser = MarkdownIt("commonmark").enable("table")
    if not indented_code:
        parser.disable("code")
    parser.core.ruler.enableOnly(["block"])
    return parser
