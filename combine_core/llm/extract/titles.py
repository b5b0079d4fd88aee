"""Find the titles that complete what stands below them, and the lists that complete a line."""

import re
from collections.abc import Sequence

from combine_core.language import Language, lowered, plain_text
from combine_core.llm.extract.clauses import says_so
from combine_core.llm.extract.vocabulary import vocabulary_of
from combine_core.readers import Block, BlockKind

Span = tuple[int, int]

# A longer list says more than one statement can.
_LONGEST_LIST = 400
_LONGEST_TITLE = 90
# Of an entry that is a part, in words.
_SHORT = 6
# With more words, an entry of a list is more than a label: "Sticker".
_LABEL = 10
_MARKS = " \t\n#*_:=>"
_ANNOUNCES = (":", "following", "folgende", "folgendes", "folgenden")
_OPAQUE = re.compile(r"https?://\S+\Z")


class Titles:
    """Where the titles and the entries of lists stand, which are the headings of further blocks."""

    def __init__(self, text: str, language: Language) -> None:
        self._text = text
        self._language = language
        self._spans: dict[str, Span] = {}
        self._entries: set[str] = set()
        self._numbered = ""

    def note(self, block: Block) -> None:
        """Remember a block that may be a title of the next ones."""
        if block.kind not in (BlockKind.HEADING, BlockKind.LIST_ITEM):
            return
        self._numbered = ""
        entry = block.kind is BlockKind.LIST_ITEM
        words = self._text[block.body if entry else block.start : block.end]
        if len(words) > 2 * _LONGEST_TITLE:
            return
        title = (
            plain_text(words.lstrip("#")).strip(" :")
            if not entry
            else plain_text(words).rstrip(":")
        )
        stripped = words.strip(_MARKS)
        if stripped:
            at = block.start + self._text[block.start : block.end].index(stripped)
            self._spans[title] = at, at + len(stripped)
            self._numbered = title if block.number else ""
        (self._entries.add if entry else self._entries.discard)(title)

    def span_of(self, title: str) -> Span | None:
        """Return where a title stands, without its marks; ``None`` if it is not in this text."""
        return self._spans.get(title) if len(title) <= _LONGEST_TITLE else None

    def title_above(self, block: Block) -> str:
        """Return the nearest title: a heading, or a numbered entry right above a paragraph."""
        if block.kind is BlockKind.PARAGRAPH and self._numbered:
            return self._numbered
        return block.headings[-1] if block.headings else ""

    def label_above(self, block: Block) -> str:
        """Return the entry above a nested one if it only names a topic; else an empty text."""
        title = block.headings[-1] if block.headings else ""
        named = (
            title in self._entries
            and self.span_of(title) is not None
            and len(title.split()) <= _LABEL
            and title[-1:] not in "?.!"
        )
        words = vocabulary_of(self._language)
        return title if named and not title[0].islower() and not says_so(title, words) else ""


def list_below(text: str, blocks: Sequence[Block], number: int) -> list[Block]:
    """Return the entries of the list that a line announces: "One of the following:". It may be empty."""
    lead = blocks[number]
    words = text[lead.body : lead.end].strip()
    titled = lead.kind is BlockKind.HEADING and words.startswith(("**", "__"))
    if not titled and not words.endswith(_ANNOUNCES):
        return []
    headings = {(*lead.headings, plain_text(words).rstrip(" :"))}
    if lead.kind is BlockKind.PARAGRAPH:
        headings.add(lead.headings)
    rows = blocks[number + 1 : number + 3]
    if rows[0].kind is BlockKind.TABLE_ROW:
        # A table with a single row.
        return [rows[0]] if len(rows) == 1 or rows[1].kind is not BlockKind.TABLE_ROW else []
    entries: list[Block] = []
    for block in map(blocks.__getitem__, range(number + 1, len(blocks))):
        if block.kind is not BlockKind.LIST_ITEM or block.headings not in headings:
            nested = (
                block.kind is BlockKind.LIST_ITEM and len(block.headings) > len(lead.headings) + 1
            )
            return [] if nested else entries
        entries.append(block)
        if block.end - lead.start > _LONGEST_LIST:
            return []
    return entries


def is_part(words: str, language: Language) -> bool:
    """Check for an entry that the line above its list completes: no sentence, or a short one."""
    if words.endswith(("?", ":")) or _OPAQUE.search(words):
        return False
    vocabulary = vocabulary_of(language)
    return (
        len(words.split()) <= _SHORT
        or vocabulary.imperative.match(lowered(words)) is not None
        or not says_so(words, vocabulary)
    )
