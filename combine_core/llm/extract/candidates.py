"""The sentences for an answer: from the sources, or from the items of earlier steps."""

import hashlib
import heapq
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from combine_core.llm.completion import Material
from combine_core.llm.extract.criteria import criterion_of_words
from combine_core.llm.extract.cues import SURE, Cue, cues_of, words_of
from combine_core.llm.extract.sentences import Sentence, find_sentences

# A larger text loses its least important sentences, which limits memory and time.
MAX_CANDIDATES = 15_000
# The number of places quoted for one sentence that the sources repeat.
MAX_EVIDENCE = 10

# What is no further field of an item: its words, and what evidence was found for them.
_JUDGED = frozenset({"text", "evidence", "verdict", "reasons", "repairs"})
_MARKUP = re.compile(r"[*_`\"'“”„»«]")
# Scripts without spaces between words.
_UNSPACED = re.compile("[\u0e00-\u0eff\u2e80-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]")
_LETTER = re.compile(r"[^\W\d_]")
_LEAD_STRENGTH = 0.5
_GIVEN_STRENGTH = 2.5


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence with its evidence.

    Sentences that differ only in case, space and markup have the same `key`. `cues` come from the
    sentence, `hints` from its surroundings: the heading above a list, the kind that an earlier step
    found. `weight` (0 to 1) is low for fragments, `given` are other fields of an earlier item.
    """

    key: str
    text: str
    evidence: tuple[Mapping[str, Any], ...]
    cues: Mapping[Cue, float]
    hints: Mapping[Cue, float]
    weight: float
    position: int
    given: Mapping[str, Any]

    def strength(self, cue: Cue) -> float:
        """How surely the sentence is of this kind, from 0 to 3."""
        return max(self.cues.get(cue, 0.0), self.hints.get(cue, 0.0))

    @property
    def own_cue(self) -> Cue | None:
        """The kind with the strongest cue, the first of equals; None for a plain statement."""
        cues = [cue for cue in Cue if self.cues.get(cue, 0.0) >= SURE]
        return max(cues, key=lambda cue: self.cues[cue], default=None)

    @property
    def source(self) -> str:
        """The label of the first source."""
        return str(self.evidence[0].get("source", "")) if self.evidence else ""


def from_materials(
    materials: Iterable[Material], check_time: Callable[[], None]
) -> list[Candidate]:
    """The sentences without duplicates, at most `MAX_CANDIDATES`.

    `check_time` is called now and then, and raises when the time is up.
    """
    return _distinct(_sentences(materials), check_time)


def _sentences(materials: Iterable[Material]) -> Iterator[Candidate]:
    position = 0
    for material in materials:
        for sentence in find_sentences(material.text):
            candidate = _from_sentence(sentence, material.label, position)
            if candidate is not None:
                position += 1
                yield candidate


def from_items(inputs: Mapping[str, Any]) -> list[Candidate] | None:
    """The items ("text" and "evidence") of earlier steps; None if their outputs have no list."""
    lists = list(_lists(inputs))
    if not lists:
        return None
    items = (item for found in lists for item in found if _is_item(item))
    return _distinct(_from_items(items), lambda: None)


def _from_items(items: Iterable[Mapping[str, Any]]) -> Iterator[Candidate]:
    for position, item in enumerate(items):
        text = item["text"]
        if item.get("verdict") == "unsupported":
            continue
        given = {key: value for key, value in item.items() if key not in _JUDGED}
        # A kind is a single word.
        hints = _hints(_GIVEN_STRENGTH, *(v for v in given.values() if len(str(v).split()) == 1))
        evidence = tuple(item["evidence"])
        yield _candidate(text, evidence, cues_of(text), hints, position, given)


def _candidate(
    text: str,
    evidence: tuple[Mapping[str, Any], ...],
    cues: Mapping[Cue, float],
    hints: Mapping[Cue, float],
    position: int,
    given: Mapping[str, Any],
) -> Candidate:
    key = " ".join(_MARKUP.sub("", text).casefold().split()).rstrip(".;,")
    return Candidate(key, text, evidence, cues, hints, _weight(text), position, given)


def _hints(strength: float, *values: Any) -> dict[Cue, float]:
    criteria = (criterion_of_words(value) for value in values if isinstance(value, str) and value)
    return {
        criterion.cue: strength
        for criterion in criteria
        if criterion is not None and criterion.cue is not None
    }


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


def _from_sentence(sentence: Sentence, label: str, position: int) -> Candidate | None:
    """The sentence as a candidate; None for titles and stray words."""
    if not _says_something(sentence.text):
        return None
    cues = cues_of(sentence.text)
    if sentence.task == "open":
        cues[Cue.ACTION] = 3.0
    elif sentence.task == "done":
        cues.pop(Cue.ACTION, None)
    if sentence.form == "heading" and Cue.QUESTION not in cues:
        return None
    hints = {} if sentence.task == "done" else _hints(_LEAD_STRENGTH, sentence.lead)
    evidence = {
        "source": label,
        "line_from": sentence.line_from,
        "line_to": sentence.line_to,
        "quote": sentence.quote,
    }
    return _candidate(sentence.text, (evidence,), cues, hints, position, {})


def _says_something(text: str) -> bool:
    if text.rstrip("*_ ").endswith(":"):
        return False  # it announces what follows
    if len(words_of(text)) >= 2:
        return _LETTER.search(text) is not None
    return len(text) >= 4 and _UNSPACED.search(text) is not None


def _weight(text: str) -> float:
    """1 for a sentence of ordinary length, less for a fragment, a row of a table, a long one."""
    weight = 1.0 if text[-1:] in ".!?…。" else 0.8
    if not 4 <= len(words_of(text)) <= 35:
        weight -= 0.3
    return weight / 2 if " | " in text else weight


def _distinct(candidates: Iterable[Candidate], check_time: Callable[[], None]) -> list[Candidate]:
    """The most important candidates in order, one for each key, with all of its evidence."""
    found: dict[str, Candidate] = {}
    for number, candidate in enumerate(candidates):
        if number % 1000 == 0:
            check_time()
        same = found.get(candidate.key)
        found[candidate.key] = candidate if same is None else _merge(same, candidate)
        if len(found) >= 2 * MAX_CANDIDATES:
            found = _most_important(found)
    if len(found) > MAX_CANDIDATES:
        found = _most_important(found)
    return sorted(found.values(), key=lambda candidate: candidate.position)


def _merge(first: Candidate, second: Candidate) -> Candidate:
    # Neither the wording nor the cues may depend on the order of the two.
    wording = first if first.text <= second.text else second
    evidence = list(first.evidence)
    if len(evidence) < MAX_EVIDENCE:
        evidence += [each for each in second.evidence if each not in evidence]
    return replace(
        wording,
        evidence=tuple(evidence),
        cues=_stronger(first.cues, second.cues),
        hints=_stronger(first.hints, second.hints),
        position=first.position,
        given={**second.given, **first.given},
    )


def _stronger(first: Mapping[Cue, float], second: Mapping[Cue, float]) -> dict[Cue, float]:
    cues = first.keys() | second.keys()
    return {cue: max(first.get(cue, 0.0), second.get(cue, 0.0)) for cue in cues}


def _most_important(found: Mapping[str, Candidate]) -> dict[str, Candidate]:
    def rank(entry: tuple[str, Candidate]) -> tuple[float, float, bytes]:
        key, candidate = entry
        # A hash orders equals, because their places in the text must not.
        digest = hashlib.blake2b(key.encode(errors="replace"), digest_size=8).digest()
        return sum(candidate.cues.values()), candidate.weight, digest

    return dict(heapq.nlargest(MAX_CANDIDATES, found.items(), key=rank))
