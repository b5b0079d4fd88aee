"""The items that an answer may hold: sentences of the sources, or items of earlier steps."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from combine_core.language import Language, language_of
from combine_core.llm.completion import Material
from combine_core.llm.extract.criteria import criterion_of_name
from combine_core.llm.extract.kinds import kind_of, read_sentence
from combine_core.llm.extract.sentence import Kind, Section, Sentence, matter_of, section_of
from combine_core.llm.extract.source import TITLES, Said, SourceReader
from combine_core.llm.extract.weight import weight_of
from combine_core.readers import Block, BlockKind

# A larger source loses its least important sentences, which limits memory and time.
MAX_ITEMS = 2_000
# Statements that are less fit than this are left out rather than shown.
FIT = 0.6
# The number of places quoted for one sentence that the sources repeat.
MAX_EVIDENCE = 5

# What is no further field of an item: its words, and what evidence was found for them.
_JUDGED = frozenset({"text", "evidence", "verdict", "reasons", "repairs"})
_MARKUP = re.compile(r"[\W_]+")
# The same for what most texts are made of, in less time.
_PUNCTUATION = bytes(code if chr(code).isalnum() else 32 for code in range(256))
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
    """Return the items of the sources in their order, without repetitions.

    :param check_time: called now and then; raises when the time is up
    """
    found: dict[str, Item] = {}
    position = 0
    for material in materials:
        sayings = _Sayings()
        reader = SourceReader(material)
        for said in reader.said(check_time):
            sayings.add(said, position)
            position += 1
        line_ends = [match.start() for match in re.finditer("\n", material.text)]
        for saying in sayings.kept():
            _add(found, saying.item(material, line_ends, reader.heading))
    return list(found.values())


def _key(text: str, kind: Kind, matter: str) -> str:
    """The words in lower case, with those of the title above it if it is a decision."""
    words = f"{text} / {matter}" if kind is Kind.DECISION else text
    words = words.casefold()
    if words.isascii():
        return b" ".join(words.encode().translate(_PUNCTUATION).split()).decode()
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


@dataclass(slots=True)
class _Saying:
    """A sentence of a source with all of its places."""

    key: str
    position: int
    places: list[Said]

    def item(
        self, material: Material, line_ends: Sequence[int], heading: Callable[[Block], str]
    ) -> Item:
        first = self.places[0]
        fields: dict[str, str] = {}
        for said in reversed(self.places):
            fields |= _fields(said, heading(said.sentence.block))
        evidence: list[Mapping[str, Any]] = []
        for said in self.places:
            for start, end in (*said.titles, (said.start, said.end)):
                place = {
                    "source": material.label,
                    "line_from": bisect_left(line_ends, start) + 1,
                    "line_to": bisect_left(line_ends, end - 1) + 1,
                    "quote": material.text[start:end],
                }
                if place not in evidence:
                    evidence.append(place)
        return Item(
            first.sentence.text,
            tuple(evidence[:MAX_EVIDENCE]),
            kind_of(first.sentence, first.reading),
            first.sentence.section,
            first.sentence.language,
            first.weight,
            self.position,
            fields,
            self.key,
        )


class _Sayings:
    """The distinct sentences of one source, without the least important ones of a long source."""

    def __init__(self) -> None:
        self._found: dict[str, _Saying] = {}
        # Statements that weigh less would be left out in the end.
        self._least = 0.0

    def add(self, said: Said, position: int) -> None:
        if said.weight < self._least and said.reading.kind is Kind.STATEMENT:
            return
        matter = ""
        if said.reading.kind is Kind.DECISION:
            matter = matter_of(said.sentence.block.headings, said.sentence.language)
        key = _key(said.sentence.text, said.reading.kind, matter)
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

        most = sorted(self._found.values(), key=rank, reverse=True)[:MAX_ITEMS]
        self._found = {saying.key: saying for saying in most}
        self._least = most[-1].places[0].weight


def _fields(said: Said, heading: str) -> dict[str, str]:
    block, reading = said.sentence.block, said.reading
    if reading.kind is Kind.DECISION or said.titles:
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
    titles = tuple(heading.split(TITLES)) if isinstance(heading, str) else ()
    section = section_of(titles, language)
    speaker = str(fields.get("speaker") or "")
    block = Block(BlockKind.MESSAGE if speaker else BlockKind.PARAGRAPH, 0, 0, speaker=speaker)
    sentence = Sentence(text, block, section, language, first=True, last=True)
    reading = read_sentence(sentence)
    given_kind = _given_kind(fields)
    kind = given_kind or (kind_of(sentence, reading) if reading else Kind.STATEMENT)
    # An earlier step chose it, with the block around it: a row of a table, a sentence of a list.
    weight = max(weight_of(sentence), FIT)
    return Item(
        text,
        tuple(item["evidence"]),
        kind,
        section,
        language,
        weight,
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
