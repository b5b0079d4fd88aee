"""Reads Markdown and plain text: headings, paragraphs, messages, list items, table rows, code, comments."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from combine_core.language import labels, month_names, plain_text
from combine_core.readers.block import Block, BlockKind

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.token import Token

_TIME = r"(?:\d{4}-\d\d-\d\d[ T])?\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+)?(?: ?[AaPp]\.?[Mm]\b\.?)?"
# "Anna:", "**Anna Weber** [10:31]:", "[10:31] Dr. Weber (Legal):".
_NAME = (
    rf"(?:[\[(]?(?P<before>{_TIME})[\])]?[ \t]*(?:[-–][ \t]*)?)?(?P<bold>\*\*|__|\*)?"
    r"(?P<name>[^\W\d_][\w.'’-]*(?:[ ][^\W\d_(][\w.'’-]*){0,3})(?:\*\*|__|\*)?"
    rf"(?P<role>[ ]\([^()\n]{{1,30}}\))?(?:[ ]?[\[(]?(?P<behind>{_TIME})[\])]?)?"
    r":(?:\*\*|__|\*)?(?=[ \t]+\S|[ \t]*$)"
)
_MARKER = r"[ \t>]*(?:(?:[-*+]|(?P<number>\d{1,9})[.)])[ \t]+(?:\[(?P<box>[ xX])\][ \t]+)?)?"
_ITEM = re.compile(_MARKER)
_SPEAKER = re.compile(rf"^{_MARKER}{_NAME}", re.MULTILINE)
# "- Anna" alone, above a list of what she says.
_NAME_ALONE = re.compile(
    r"^[ \t]*[-*+][ \t]+(?P<name>[^\W\d_a-z][\w.'’-]*(?:[ ][A-ZÀ-Þ][\w.'’-]*){0,2})[ \t]*$",
    re.MULTILINE,
)
# In lower case within a name: "Ludwig van Beethoven".
_PARTICLES = frozenset(
    (
        "al",
        "bin",
        "da",
        "de",
        "del",
        "den",
        "der",
        "di",
        "du",
        "la",
        "le",
        "ten",
        "van",
        "von",
        "zu",
    )
)
# A name in lower case is one if it stands before so many messages.
_NICKNAME = 3

_TAGS = ("h1", "h2", "h3", "h4", "h5", "h6")
# Below every heading with a mark of its own.
_UNMARKED = len(_TAGS) + 1
_FRONT_MATTER = re.compile(
    r"\A(?:---[ \t]*\n.*?\n(?:---|\.\.\.)|\+\+\+[ \t]*\n.*?\n\+\+\+)[ \t]*(?:\n|\Z)", re.DOTALL
)
# "##Decisions", which CommonMark takes for text. One alone may mark a subject: "#roof".
_UNSPACED = re.compile(r"^[ ]{0,3}(?P<marks>#{2,6})(?P<title>[^\s#][^\n]*)(?:\n|\Z)", re.MULTILINE)
# "**Decisions**" on a line of its own.
_BOLD = re.compile(r"\s*(?:\*\*|__)(?P<title>[^*_\n]{1,80}?)(?:\*\*|__)\s*(?P<colon>:?)\s*")
# "Action items:" on a line of its own.
_LEAD = re.compile(r"^[ \t]*(?P<title>[^\W\d_][^.?!:\n]{0,60}):[ \t]*(?:\n|\Z)", re.MULTILINE)
_SENTENCE_END = re.compile(r"[.!?…:][\"'”’»)\]*_]*\s*\Z")
_LONGEST_TITLE = 150
_LINK = re.compile(
    r"!?\[[^\[\]\n]*\](?:\((?:[^()\s]|\([^()\s]*\))*(?:\s+\"[^\"]*\")?\)|\[[^\[\]\n]*\])"
    r"|<?https?://[^\s>]+>?"
)
_WORD = re.compile(r"\w")
# "[plan]: https://example.org" names an address; "[^1]: It holds for a year." is a footnote.
_ADDRESSES = re.compile(
    r"(?:\[[^\]\n^][^\]\n]*\]:[ \t]*\S+(?:[ \t]+[\"'(][^\n]*)?[ \t]*(?:\n|\Z))+"
)
# A comment alone: words behind it are no part of it.
_COMMENT = re.compile(r"\s*<!--(?:(?!-->).)*(?:-->\s*)?", re.DOTALL)


@dataclass(slots=True)
class _Leaf:
    """A leaf of the parser's tree: lines from ``first`` to before ``behind``, counted from 0.

    :ivar depth: in how many list items it stands
    """

    kind: BlockKind
    first: int
    behind: int
    level: int = 0
    depth: int = 0
    columns: tuple[str, ...] = ()


def read_blocks(text: str, *, indented_code: bool = True) -> list[Block]:
    """The blocks of a Markdown or plain text, in its order. Lines that belong to no block are left out.

    A paragraph whose lines begin with names becomes one block per message. A bold line of its own is a
    heading, and so is one with a final colon. A list item is a heading of the items in it.

    :param indented_code: whether lines that begin with four spaces are code, as in Markdown
    """
    return list(_Reader(text).read(indented_code))


class _Reader:
    """Reads one text.

    ``_path`` are the titles above the next block, each with its level; ``_lead`` is the line that announces
    the next paragraph or list, and ``_items`` are the list items it stands in.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        # To look at lines with a colon alone takes a tenth of the time.
        named = (_SPEAKER.match(line) for line in text.split("\n") if ":" in line)
        self._names = Counter(match["name"].casefold() for match in named if match)
        self._repeats = any(n > 1 for name, n in self._names.items() if name not in labels())
        # "Jan" is a month where "Feb" is a label, too.
        self._lists_months = not self._names.keys().isdisjoint(month_names() & labels())
        self._lone_names = Counter(match["name"] for match in _NAME_ALONE.finditer(text))
        self._path: list[tuple[int, str]] = []
        self._lead = ""
        self._items: list[str] = []

    def read(self, indented_code: bool) -> Iterator[Block]:
        text = self._text
        line_starts = [0, *(match.end() for match in re.finditer("\n", text)), len(text)]
        offset = 0
        if front := _FRONT_MATTER.match(text):
            yield Block(BlockKind.FRONT_MATTER, 0, front.end())
            offset = front.end()
        # Blank lines instead of the front matter keep the line numbers.
        body = "\n" * text.count("\n", 0, offset) + text[offset:]
        depth = 0
        for leaf in _leaves(_parser(indented_code).parse(body)):
            start = line_starts[leaf.first]
            end = line_starts[min(leaf.behind, len(line_starts) - 1)]
            if leaf.kind is BlockKind.HEADING or (depth and not leaf.depth):
                self._lead = ""
            depth = leaf.depth
            del self._items[max(depth - 1, 0) :]
            match leaf.kind:
                case BlockKind.HEADING:
                    yield from self._heading(start, end, leaf.level)
                case BlockKind.PARAGRAPH:
                    yield from self._paragraph(start, end)
                case BlockKind.LIST_ITEM:
                    yield from self._item(start, end, depth)
                case BlockKind.QUOTATION:
                    yield from self._messages(self._block(leaf.kind, start, end))
                case kind:
                    yield self._block(kind, start, end, columns=leaf.columns)

    def _block(self, kind: BlockKind, start: int, end: int, **known: Any) -> Block:
        titles = [title for _, title in self._path] + [self._lead, *self._items]
        return Block(kind, start, end, tuple(filter(None, titles)), **{"body": start} | known)

    def _heading(self, start: int, end: int, level: int) -> Iterator[Block]:
        words = self._text[start:end].strip()
        underlined = not words.lstrip(">-*+ \t").startswith("#")
        if underlined and _SENTENCE_END.search(words):
            # A rule below a sentence makes no heading of it.
            yield from self._paragraph(start, end)
            return
        yield self._enter(start, end, level, words.strip("#=- \t\n"))

    def _enter(self, start: int, end: int, level: int, title: str) -> Block:
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        block = self._block(BlockKind.HEADING, start, end)
        self._path.append((level, plain_text(title).strip(" :")))
        return block

    def _paragraph(self, start: int, end: int) -> Iterator[Block]:
        if unspaced := _UNSPACED.search(self._text, start, end):
            if unspaced.start() > start:
                yield from self._paragraph(start, unspaced.start())
            level, title = len(unspaced["marks"]), unspaced["title"]
            yield self._enter(unspaced.start(), unspaced.end(), level, title)
            if unspaced.end() < end:
                yield from self._paragraph(unspaced.end(), end)
            return
        bold = _BOLD.fullmatch(self._text, start, end)
        if bold is not None and not _SENTENCE_END.search(bold["title"].rstrip(":")):
            yield self._enter(start, end, _UNMARKED, bold["title"])
            return
        if self._text.find(":", start, end) == -1:
            # Nobody speaks here, and nothing is announced.
            yield self._block(BlockKind.PARAGRAPH, start, end)
            self._lead = ""
            return
        for begin, stop, lead in self._split_at_leads(start, end):
            if lead:
                yield self._block(BlockKind.HEADING, begin, stop)
                self._lead = plain_text(lead)
            else:
                yield from self._messages(self._block(BlockKind.PARAGRAPH, begin, stop))
                # A lead counts for the lines behind it, else for the paragraph or the list below it.
                self._lead = ""

    def _split_at_leads(self, start: int, end: int) -> Iterator[tuple[int, int, str]]:
        """Stretches of a paragraph, each with its title if it is a line that announces the next."""
        at = start
        for lead in _LEAD.finditer(self._text, start, end):
            before = self._text[at : lead.start()]
            # "Anna:" above her words is a speaker, but at the end it announces what follows.
            names = self._speaker(_SPEAKER.match(self._text, lead.start(), end))
            if (before and not _SENTENCE_END.search(before)) or (names and lead.end() != end):
                continue
            if before:
                yield at, lead.start(), ""
            yield lead.start(), lead.end(), lead["title"]
            at = lead.end()
        if at < end:
            yield at, end, ""

    def _item(self, start: int, end: int, depth: int) -> Iterator[Block]:
        marker = _ITEM.match(self._text, start, end)
        assert marker is not None
        words = plain_text(self._text[marker.end() : end])
        item = self._block(
            BlockKind.LIST_ITEM,
            start,
            end,
            body=marker.end(),
            number=marker["number"] or "",
            done=marker["box"] != " " if marker["box"] else None,
        )
        if self._items and self._lone_names[self._items[-1]] >= _NICKNAME:
            # A list of what somebody says, below the name.
            speaker = self._items[-1]
            headings = item.headings[:-1]
            yield replace(item, kind=BlockKind.MESSAGE, speaker=speaker, headings=headings)
        else:
            yield from self._messages(item)
        if len(self._items) < depth:
            self._items += [""] * (depth - 1 - len(self._items))
            self._items.append(words.rstrip(":") if len(words) <= _LONGEST_TITLE else "")

    def _messages(self, block: Block) -> Iterator[Block]:
        """One block for each message in ``block``; ``block`` itself if there is none."""
        if self._text.find(":", block.start, block.end) == -1:
            yield block
            return
        listed = block.kind is BlockKind.LIST_ITEM
        found = [
            match
            for match in _SPEAKER.finditer(self._text, block.start, block.end)
            if self._speaker(match, listed=listed) and not (listed and match.start() > block.start)
        ]
        if not found:
            yield block
            return
        if found[0].start() > block.start:
            yield replace(block, end=found[0].start())
        ends = [match.start() for match in found[1:]] + [block.end]
        for match, end in zip(found, ends, strict=True):
            yield replace(
                block,
                kind=BlockKind.MESSAGE,
                start=match.start(),
                end=end,
                body=match.end(),
                speaker=match["name"],
                time=match["before"] or match["behind"] or "",
            )

    def _speaker(self, match: re.Match[str] | None, *, listed: bool = False) -> bool:
        """Check whether a match names a speaker; "Decision:" and "- **Term**:" do not."""
        if match is None:
            return False
        words = match["name"].split()
        if words[-1].rpartition("-")[2].rstrip("._").lower() in labels():
            return False
        if self._lists_months and match["name"].lower() in month_names():
            return False
        if len(words) > 1 and words[0].lower() in labels() and words[-1].islower():
            return False  # "Action point"
        if match["name"].isupper() and match["name"].endswith("ED"):
            return False  # "RESOLVED"
        if match["before"] or match["behind"]:
            return True
        times = self._names[match["name"].casefold()]
        if match["bold"] and times == 1 and not self._repeats:
            return False  # a title of its paragraph, where nobody speaks twice
        if listed and (match["bold"] or match["role"]) and times == 1:
            return False
        return times >= _NICKNAME or all(word[0].isupper() or word in _PARTICLES for word in words)


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
        depth = inside.count("list_item_open")
        if token.type == "inline":
            level = _TAGS.index(inside[-1]) + 1 if inside and inside[-1] in _TAGS else 0
            yield _Leaf(_kind_of_prose(inside, token.content), first, behind, level, depth)
        elif token.type in ("fence", "code_block"):
            yield _Leaf(BlockKind.CODE, first, behind, depth=depth)
        elif token.type == "html_block":
            comment = _COMMENT.fullmatch(token.content)
            kind = BlockKind.COMMENT if comment else BlockKind.PARAGRAPH
            yield _Leaf(kind, first, behind, depth=depth)


def _kind_of_prose(inside: Sequence[str], content: str) -> BlockKind:
    if inside and inside[-1] in _TAGS:
        return BlockKind.HEADING
    if content.startswith("[") and _ADDRESSES.fullmatch(content):
        return BlockKind.LINKS
    linked = "[" in content or "://" in content
    if linked and _LINK.search(content) and not _WORD.search(_LINK.sub("", content)):
        return BlockKind.LINKS
    if "blockquote_open" in inside:
        return BlockKind.QUOTATION
    return BlockKind.LIST_ITEM if "list_item_open" in inside else BlockKind.PARAGRAPH


@cache
def _parser(indented_code: bool) -> MarkdownIt:
    """Finds blocks only: what is within a line is not looked at, which takes most of the time."""
    # Here, because most web processes never read Markdown.
    from markdown_it import MarkdownIt

    # Its rule for named addresses takes the footnote "[^1]: Agreed." for one.
    parser = MarkdownIt("commonmark").enable("table").disable("reference")
    if not indented_code:
        parser.disable("code")
    parser.core.ruler.enableOnly(["block"])
    parser.block.ruler.before("table", "plain", _plain_paragraph)
    return parser


def _plain_paragraph(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A rule for lines that begin with a letter, up to an empty one: nothing else than a paragraph.

    Most of a text are such lines, and the parser would try all of its rules on each.
    """
    del end, silent
    if state.is_code_block(start):
        return False
    line = start
    while line < state.lineMax and not state.isEmpty(line):
        first = state.bMarks[line] + state.tShift[line]
        if state.sCount[line] < 0 or not state.src[first].isalpha():
            return False
        line += 1
    state.line = line
    token = state.push("inline", "", 0)
    token.content = state.src[state.bMarks[start] : state.eMarks[line - 1]]
    token.map = [start, line]
    return True
