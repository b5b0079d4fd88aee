"""The items that an answer may hold: sentences of the sources, or items of earlier steps."""

import heapq
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from combine_core.language import Language, language_of, plain_text, sentence_spans, silenced_at
from combine_core.llm.completion import Material
from combine_core.llm.extract.criteria import criterion_of_name
from combine_core.llm.extract.kinds import (
    Kind,
    Reading,
    Section,
    Sentence,
    is_labelled_decision,
    kind_of,
    matter_of,
    needs_more,
    read_sentence,
    records_more,
    section_of,
    settles,
    stands_alone,
)
from combine_core.llm.extract.vocabulary import vocabulary_of
from combine_core.readers import SILENT, Block, BlockKind, read_blocks

# A larger source loses its least important sentences, which limits memory and time.
MAX_ITEMS = 2_000
# The number of places quoted for one sentence that the sources repeat.
MAX_EVIDENCE = 5

# What is no further field of an item: its words, and what evidence was found for them.
_JUDGED = frozenset({"text", "evidence", "verdict", "reasons", "repairs"})
_MARKUP = re.compile(r"[\W_]+")
# The same for what most texts are made of, in less time.
_PUNCTUATION = {code: " " for code in range(128) if not chr(code).isalnum()}
_WORD = re.compile(r"[^\W\d_]\w+")
# To begin with a letter of its own makes a pattern fast.
_CODE = re.compile(r"(?P<letters>[A-Z](?<!\w[A-Z])[A-Z]{1,7})[- ]?(?P<number>\d{3,6})\b")
_DIGIT = re.compile(r"\d")
# "Self-serve model [#1747](...)" is the title of a discussion.
_NUMBERED_TITLE = re.compile(r"\[?#\d+\]?(?:\([^()\s]*\))?\s*\Z")
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
    key: str

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
        sayings = _Sayings()
        for said in _said_in(material, check_time):
            sayings.add(said, position)
            position += 1
        line_ends = [match.start() for match in re.finditer("\n", material.text)]
        for saying in sayings.kept():
            _add(found, saying.item(material, line_ends))
    return list(found.values())


def _key(text: str, kind: Kind, headings: str) -> str:
    """The words in lower case, with those of its headings if it is a decision."""
    words = f"{text} / {headings}" if kind is Kind.DECISION else text
    words = words.casefold()
    if words.isascii():
        return " ".join(words.translate(_PUNCTUATION).split())
    return _MARKUP.sub(" ", words).strip()


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


@dataclass(frozen=True, slots=True)
class _Said:
    """A sentence of a source: what it is, where it stands, and how important it is."""

    sentence: Sentence
    reading: Reading
    start: int
    end: int
    weight: float


@dataclass(slots=True)
class _Saying:
    """What a source says, perhaps in several places."""

    key: str
    position: int
    places: list[_Said]

    def item(self, material: Material, line_ends: Sequence[int]) -> Item:
        first = self.places[0]
        fields: dict[str, str] = {}
        for said in reversed(self.places):
            fields |= _fields(said)
        evidence: list[Mapping[str, Any]] = []
        for said in self.places:
            place = {
                "source": material.label,
                "line_from": bisect_left(line_ends, said.start) + 1,
                "line_to": bisect_left(line_ends, said.end - 1) + 1,
                "quote": material.text[said.start : said.end],
            }
            if place not in evidence:
                evidence.append(place)
        return Item(
            first.sentence.text,
            tuple(evidence),
            kind_of(first.sentence, first.reading),
            first.sentence.section,
            first.sentence.language,
            first.weight,
            self.position,
            fields,
            self.key,
        )


class _Sayings:
    """What one source says, without repetitions, and without the least important of very much."""

    def __init__(self) -> None:
        self._found: dict[str, _Saying] = {}
        # Statements that weigh less would be left out in the end.
        self._least = 0.0

    def add(self, said: _Said, position: int) -> None:
        if said.weight < self._least and said.reading.kind is Kind.STATEMENT:
            return
        headings = " / ".join(said.sentence.block.headings)
        key = _key(said.sentence.text, said.reading.kind, headings)
        saying = self._found.get(key)
        if saying is None:
            self._found[key] = _Saying(key, position, [said])
            if len(self._found) >= 2 * MAX_ITEMS:
                self._leave_out()
        elif len(saying.places) < MAX_EVIDENCE:
            saying.places.append(said)

    def kept(self) -> list[_Saying]:
        if len(self._found) > MAX_ITEMS:
            self._leave_out()
        return sorted(self._found.values(), key=lambda saying: saying.position)

    def _leave_out(self) -> None:
        def rank(saying: _Saying) -> tuple[bool, float, str]:
            said = saying.places[0]
            return said.reading.kind is not Kind.STATEMENT, said.weight, saying.key

        most = heapq.nlargest(MAX_ITEMS, self._found.values(), key=rank)
        self._found = {saying.key: saying for saying in most}
        self._least = most[-1].places[0].weight


def _said_in(material: Material, check_time: Callable[[], None]) -> Iterator[_Said]:
    """The sentences of a source that say something."""
    text = material.text
    blocks = material.blocks or read_blocks(text)
    language = language_of(text)
    people = _people(blocks)
    codes = frozenset(
        code["number"]
        for code in _CODE.finditer(text)
        if language.unit(code["letters"].lower()) is None
    )
    sections: dict[tuple[str, ...], Section] = {}
    # Of the block before, and the question right before the next sentence.
    held: list[_Said] = []
    asked: tuple[int, int] | None = None
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
        discount = _discount(text, block, following)
        answered = following is not None and (
            following.headings == block.headings
            and following.kind is block.kind is BlockKind.LIST_ITEM
            and not text[following.start : following.end].rstrip().endswith("?")
        )
        found: list[_Said] = []
        decided = False
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
                codes=codes,
            )
            question, asked = asked, None
            if words.endswith("?"):
                # A mark of its own belongs to the sentence before.
                asked = (start if len(words) > 1 or not index else spans[index - 1][0]), end
            kind = settles(sentence) if question else None
            if question and kind:
                before = found or held
                if before and (before[-1].start, before[-1].end) == question:
                    before.pop()
                both = replace(sentence, text=plain_text(text[question[0] : end]))
                found.append(_Said(both, Reading(kind), question[0], end, _weight(both)))
                if kind is Kind.STATEMENT:
                    asked = question[0], end  # there may be more votes
                continue
            if index == 0:
                decided = is_labelled_decision(sentence)
            elif decided and records_more(sentence):
                sentence = replace(sentence, section=Section.DECISION)
            reading = read_sentence(sentence)
            if reading is None or silenced_at(text, start, end, (block.start, block.end)):
                continue
            quoted_from = start
            if reading.kind is Kind.DECISION and index and needs_more(sentence):
                # "Decided to defer it": what, the sentence before says.
                sentence_before = spans[index - 1]
                quoted_from = sentence_before[0]
                sentence = replace(sentence, text=plain_text(text[quoted_from:end]))
                if found and (found[-1].start, found[-1].end) == sentence_before:
                    found.pop()
            weight = _weight(sentence) / discount
            found.append(_Said(sentence, reading, quoted_from, end, weight))
        yield from held
        held = found
    yield from held


def _discount(text: str, block: Block, following: Block | None) -> int:
    """By how much a block counts less: it is about the text, or names what a list below it is about."""
    words = text[block.body : block.end].strip()
    if words[:1] in "*_" and words[-1:] in "*_" and words[:2] not in ("**", "__"):
        return 2  # in italics
    if following is None:
        return 1
    if block.kind is BlockKind.PARAGRAPH:
        below = following.kind in (BlockKind.LIST_ITEM, BlockKind.HEADING)
        title = below and words[-1:] not in ".!?:…" and len(words) < 80
        return 3 if title or words[:1].islower() else 1
    if _NUMBERED_TITLE.search(words):
        return 3
    named = len(following.headings) > len(block.headings) and (
        following.headings[-1] == plain_text(words).rstrip(":")
    )
    return 2 if named else 1


def _fields(said: _Said) -> dict[str, str]:
    block, reading = said.sentence.block, said.reading
    heading = block.headings[-1] if block.headings else ""
    if reading.kind is Kind.DECISION:
        heading = matter_of(block.headings, said.sentence.language)
    known = {
        "speaker": "" if reading.owner == block.speaker else block.speaker,
        "owner": reading.owner,
        "due": reading.due,
        "heading": heading,
    }
    return {name: value[:_LONGEST_TITLE] for name, value in known.items() if value}


def _given(item: Mapping[str, Any], position: int) -> Item:
    text = item["text"]
    fields = {key: value for key, value in item.items() if key not in _JUDGED}
    language = language_of(text)
    heading = fields.get("heading")
    section = section_of((heading,), language) if isinstance(heading, str) else Section.OTHER
    spoken = bool(fields.get("speaker"))
    block = Block(BlockKind.MESSAGE if spoken else BlockKind.PARAGRAPH, 0, 0)
    sentence = Sentence(text, block, section, language, first=True, last=True)
    reading = read_sentence(sentence)
    kind = _given_kind(fields) or (kind_of(sentence, reading) if reading else Kind.STATEMENT)
    return Item(
        text,
        tuple(item["evidence"]),
        kind,
        section,
        language,
        _weight(sentence),
        position,
        fields,
        _key(text, kind, str(fields.get("heading", ""))),
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
    # Of two cells, the first says what the second is about.
    if len(words.split()) >= 4 and len([cell for cell in cells if cell[0].strip()]) != 2:
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
    capitals: int = 0 if text[1:].islower() else sum(word[0].isupper() for word in words[1:])
    weight += 0.15 * min(capitals + (_DIGIT.search(text) is not None), 3)
    if sentence.spoken:
        weight -= 0.4 if block.kind is BlockKind.MESSAGE else 0.7
        if vocabulary_of(sentence.language).agrees.search(sentence.low):
            weight += 0.8
    if block.kind in (BlockKind.TABLE_ROW, BlockKind.QUOTATION):
        weight -= 0.4
    if sentence.section is Section.SUMMARY:
        weight += 1.2 if sentence.first else 0.8
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
