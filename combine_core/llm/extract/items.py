"""The items that an answer may hold: sentences of the sources, or items of earlier steps."""

import heapq
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from combine_core.language import Language, language_of, plain_text, sentence_spans, silenced_at
from combine_core.llm.completion import Material
from combine_core.llm.extract.criteria import criterion_of_name
from combine_core.llm.extract.kinds import (
    Kind,
    Reading,
    Section,
    Sentence,
    needs_more,
    read_sentence,
    section_of,
    stands_alone,
)
from combine_core.readers import SILENT, Block, BlockKind, read_blocks

# A larger source loses its least important sentences, which limits memory and time.
MAX_ITEMS = 5_000
# The number of places quoted for one sentence that the sources repeat.
MAX_EVIDENCE = 5

# What is no further field of an item: its words, and what evidence was found for them.
_JUDGED = frozenset({"text", "evidence", "verdict", "reasons", "repairs"})
_MARKUP = re.compile(r"[\W_]+")
# The same for what most texts are made of, in less time.
_PUNCTUATION = {code: " " for code in range(128) if not chr(code).isalnum()}
_WORD = re.compile(r"[^\W\d_]\w+")
_DIGIT = re.compile(r"\d")
_LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True)
class Item:
    """Something that the sources say.

    :ivar weight: how well it serves as a statement of a document, from 0; 0 says not at all
    :ivar fields: what else is known of it, such as ``speaker`` and ``heading``
    :ivar key: equal for items that say the same
    """

    text: str
    evidence: tuple[Mapping[str, Any], ...]
    kind: Kind
    section: Section
    language: Language
    weight: float
    position: int
    fields: Mapping[str, Any]
    key: str = field(init=False)

    def __post_init__(self) -> None:
        heading = self.fields.get("heading", "") if self.kind is Kind.DECISION else ""
        words = f"{self.text} / {heading}".casefold()
        if words.isascii():
            key = " ".join(words.translate(_PUNCTUATION).split())
        else:
            key = _MARKUP.sub(" ", words).strip()
        object.__setattr__(self, "key", key)

    @property
    def source(self) -> str:
        """The label of the first source."""
        return str(self.evidence[0].get("source", "")) if self.evidence else ""


def items_of_materials(materials: Iterable[Material], check_time: Callable[[], None]) -> list[Item]:
    """What the sources say, in their order, without repetitions.

    :param check_time: called now and then; raises when the time is up
    """
    found: dict[str, Item] = {}
    position = 0
    for material in materials:
        of_source: dict[str, Item] = {}
        for item in _items_of(material, position, check_time):
            position += 1
            _add(of_source, item)
            if len(of_source) >= 2 * MAX_ITEMS:
                of_source = _most_important(of_source)
        for item in _most_important(of_source).values():
            _add(found, item)
    return sorted(found.values(), key=lambda item: item.position)


def items_of_answers(answers: Mapping[str, Any]) -> list[Item] | None:
    """The items (``text`` and ``evidence``) of earlier steps; ``None`` if these have no list of any."""
    lists = list(_lists(answers))
    if not lists:
        return None
    found: dict[str, Item] = {}
    for position, given in enumerate(item for items in lists for item in items if _is_item(item)):
        if given.get("verdict") != "unsupported":
            _add(found, _given(given, position))
    return list(found.values())


def _items_of(material: Material, position: int, check_time: Callable[[], None]) -> Iterator[Item]:
    text = material.text
    blocks = material.blocks or read_blocks(text)
    language = language_of(text)
    people = _people(blocks)
    sections: dict[tuple[str, ...], Section] = {}
    lines = _LineCounter(text)
    for number, block in enumerate(blocks):
        if number % 500 == 0:
            check_time()
        if block.kind in SILENT:
            continue
        if block.headings not in sections:
            sections[block.headings] = section_of(block.headings, language)
        section = sections[block.headings]
        if section is Section.SILENT:
            continue
        following = blocks[number + 1] if number + 1 < len(blocks) else None
        remark = _is_remark(text, block, following)
        answered = following is not None and (
            following.headings == block.headings
            and following.kind is block.kind is BlockKind.LIST_ITEM
            and not text[following.start : following.end].rstrip().endswith("?")
        )
        found: list[Item] = []
        spans = list(_spans(text, block, language))
        for index, (start, end) in enumerate(spans):
            words = plain_text(text[start:end])
            if block.kind is BlockKind.TABLE_ROW:
                words = _row_text(text[start:end], block) or words
            sentence = Sentence(
                words,
                block,
                section,
                language,
                first=index == 0,
                last=index == len(spans) - 1 and not answered,
                people=people,
            )
            reading = read_sentence(sentence)
            if reading is None or silenced_at(text, start, end, (block.start, block.end)):
                continue
            quoted_from = start
            if reading.kind is Kind.DECISION and index and needs_more(sentence):
                # "Decided to defer it": what, the sentence before says.
                quoted_from = spans[index - 1][0]
                sentence = replace(sentence, text=plain_text(text[quoted_from:end]))
                if found and found[-1].evidence[0]["quote"] == text[slice(*spans[index - 1])]:
                    found.pop()
            evidence = {
                "source": material.label,
                "line_from": lines.line_of(quoted_from),
                "line_to": lines.line_of(end - 1),
                "quote": text[quoted_from:end],
            }
            item = _item(sentence, reading, evidence, position)
            found.append(replace(item, weight=item.weight / 2) if remark else item)
            position += 1
        yield from found


def _is_remark(text: str, block: Block, following: Block | None) -> bool:
    """Whether it is about the text (in italics), or a list item that names what the items in it are about."""
    words = text[block.body : block.end].strip()
    if words[:1] in "*_" and words[-1:] in "*_" and words[:2] not in ("**", "__"):
        return True
    return (
        following is not None
        and len(following.headings) > len(block.headings)
        and following.headings[-1] == plain_text(words).rstrip(":")
    )


def _item(sentence: Sentence, reading: Reading, evidence: Mapping[str, Any], position: int) -> Item:
    block = sentence.block
    known = {
        "speaker": "" if reading.owner == block.speaker else block.speaker,
        "owner": reading.owner,
        "due": reading.due,
        "heading": block.headings[-1] if block.headings else "",
    }
    fields = {name: value[:_LONGEST_TITLE] for name, value in known.items() if value}
    return Item(
        sentence.text,
        (evidence,),
        reading.kind,
        sentence.section,
        sentence.language,
        _weight(sentence),
        position,
        fields,
    )


def _given(item: Mapping[str, Any], position: int) -> Item:
    text = item["text"]
    fields = {key: value for key, value in item.items() if key not in _JUDGED}
    language = language_of(text)
    heading = fields.get("heading")
    section = section_of((heading,), language) if isinstance(heading, str) else Section.OTHER
    spoken = bool(fields.get("speaker"))
    kind = BlockKind.MESSAGE if spoken else BlockKind.PARAGRAPH
    sentence = Sentence(text, Block(kind, 0, 0), section, language, first=True, last=True)
    reading = read_sentence(sentence)
    return Item(
        text,
        tuple(item["evidence"]),
        _given_kind(fields) or (reading.kind if reading else Kind.STATEMENT),
        section,
        language,
        _weight(sentence),
        position,
        fields,
    )


def _given_kind(fields: Mapping[str, Any]) -> Kind | None:
    """The kind that an earlier step gave: a field with a single word that names one."""
    for value in fields.values():
        if isinstance(value, str) and len(value.split()) == 1:
            criterion = criterion_of_name(value)
            if criterion is not None:
                return criterion.kind or Kind.STATEMENT
    return None


def _spans(text: str, block: Block, language: Language) -> Iterator[tuple[int, int]]:
    if block.kind is not BlockKind.TABLE_ROW:
        yield from sentence_spans(text, block.body, block.end, language)
        return
    # A row is its longest cell if that holds a sentence, else the whole row.
    cells = list(re.finditer(r"[^|\n]+", text[block.start : block.end]))
    longest = max(cells, key=lambda cell: len(cell[0].strip()), default=None)
    if longest is None:
        return
    words = longest[0].strip()
    if len(words.split()) >= 4:
        at = block.start + longest.start() + longest[0].index(words)
        yield at, at + len(words)
        return
    row = text[block.start : block.end].strip()
    if row:
        at = block.start + text[block.start : block.end].index(row)
        yield at, at + len(row)


def _row_text(row: str, block: Block) -> str:
    """ "Item: Door; Price: 900", for a row without a sentence."""
    cells = [cell.strip() for cell in row.strip().strip("|").split("|")]
    if len(cells) != len(block.columns) or len(cells) < 2:
        return ""
    named = zip(block.columns, map(plain_text, cells), strict=True)
    return "; ".join(f"{column}: {cell}" if column else cell for column, cell in named if cell)


def _people(blocks: Iterable[Block]) -> frozenset[str]:
    """The first and last names of those who speak."""
    return frozenset(name for block in blocks for name in block.speaker.split())


def _weight(sentence: Sentence) -> float:
    text, block = sentence.text, sentence.block
    # "This alert" below "Meaning" is what the text is about.
    about_itself = sentence.section is Section.SUMMARY and sentence.first
    if not about_itself and not stands_alone(sentence):
        return 0.0
    words = _WORD.findall(text)
    weight = 1.0 if 6 <= len(words) <= 40 else 0.6 if len(words) >= 3 else 0.0
    if text[-1:] not in ".!…。)":
        weight -= 0.1
    specific: int = sum(word[0].isupper() for word in words[1:])
    weight += 0.15 * min(specific + (_DIGIT.search(text) is not None), 3)
    if sentence.spoken:
        weight -= 0.4 if block.kind is BlockKind.MESSAGE else 0.7
    if block.kind in (BlockKind.TABLE_ROW, BlockKind.QUOTATION):
        weight -= 0.4
    if sentence.section is Section.SUMMARY:
        weight += 0.8
    elif sentence.section is Section.OUTCOME:
        weight += 0.5
    if sentence.first:
        weight += 0.1
    return max(weight, 0.0)


def _add(found: dict[str, Item], item: Item) -> None:
    same = found.get(item.key)
    if same is None:
        found[item.key] = item
        return
    more = [each for each in item.evidence if each not in same.evidence]
    evidence = (*same.evidence, *more)[:MAX_EVIDENCE]
    found[item.key] = replace(same, evidence=evidence, fields={**item.fields, **same.fields})


def _most_important(found: dict[str, Item]) -> dict[str, Item]:
    if len(found) <= MAX_ITEMS:
        return found

    def rank(entry: tuple[str, Item]) -> tuple[bool, float, str]:
        key, item = entry
        return item.kind is not Kind.STATEMENT, item.weight, key

    return dict(heapq.nlargest(MAX_ITEMS, found.items(), key=rank))


def _lists(value: Any) -> Iterator[list[Any]]:
    """The outermost lists of a JSON value: those of items, and empty ones."""
    if isinstance(value, list):
        if not value or any(_is_item(item) for item in value):
            yield value
        else:
            for item in value:
                yield from _lists(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _lists(item)


def _is_item(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("text"), str)
        and isinstance(value.get("evidence"), list)
        and all(isinstance(evidence, Mapping) for evidence in value["evidence"])
    )


class _LineCounter:
    """Numbers of lines for offsets that grow."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._offset = 0
        self._line = 1

    def line_of(self, offset: int) -> int:
        if offset < self._offset:
            return self._line - self._text.count("\n", offset, self._offset)
        self._line += self._text.count("\n", self._offset, offset)
        self._offset = offset
        return self._line
