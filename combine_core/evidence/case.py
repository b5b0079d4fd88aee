"""Splits a statement and its passages into clauses, and matches the clauses for the rules."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, dropwhile, groupby, islice, pairwise, takewhile

from combine_core.evidence.facts import Facts, Word, facts_of
from combine_core.evidence.passage import Passage
from combine_core.evidence.stitching import Terms, terms_of
from combine_core.language import Language, sentence_spans

# The least share of a clause's content words that a clause of the source must have to be compared.
_MAIN = 0.34
# The number of following content words that "no" and "without" deny.
_REACH = 2
# The most words of an introduction such as "I think, ", and of a list's last name.
_FEW = 4
# The number of characters after "instead of" in which a figure is denied.
_NEAR = 20
# The least number of letters of a compound's part.
_PART = 4
_NONE: frozenset[str] = frozenset()


def figures_of(facts: Facts) -> frozenset[object]:
    """Return the times, dates and numbers."""
    return frozenset({*facts.times, *facts.dates, *(number.value for number in facts.numbers)})


@dataclass(frozen=True)
class Clause:
    """A clause of a sentence."""

    facts: Facts
    sentence: str
    language: Language

    @cached_property
    def names(self) -> frozenset[str]:
        """The stems of names. Empty in German, where all nouns are written as names."""
        if self.language.code == "de":
            return _NONE
        return frozenset(word.stem for word in self.facts.words if word.name)

    @cached_property
    def figures(self) -> frozenset[object]:
        return figures_of(self.facts)

    @cached_property
    def denied_figures(self) -> frozenset[object]:
        """The figures right after "instead of" and similar words."""
        behind = (
            self._text[match.end() :] for match in self.language.exclusion.finditer(self._text)
        )
        near = (figures_of(facts_of(text[:_NEAR], self.language)) for text in behind)
        return frozenset().union(*near)

    def is_verb(self, word: Word) -> bool:
        """Check for a verb behind its subject. Only languages that have it there have auxiliary verbs."""
        language, written = self.language, word.text.lower()
        is_past = written in language.irregular or written.endswith("ed")
        return bool(language.auxiliary) and (is_past or written in language.auxiliary)

    @property
    def is_contrast(self) -> bool:
        """Return whether the clause only excludes something: ", not by the vendor"."""
        return _is_contrast(self.facts.text, self.language)

    def negates(self, content: frozenset[object]) -> bool:
        """Check whether the clause negates these words."""
        return self.denies_all or self._begins_with_no or bool(self.denied & content)

    @cached_property
    def denies_all(self) -> bool:
        """Return whether the clause negates all its words: "not", "rejected"."""
        return self.refuses or self._says_not

    @cached_property
    def refuses(self) -> bool:
        """Return whether the clause has a verb such as "rejected"."""
        return self.language.refusal.search(self._text) is not None

    @property
    def denies_refusal(self) -> bool:
        """Return whether the clause negates such a verb: "neither approved nor rejected"."""
        return self.refuses and self._says_not

    @cached_property
    def _says_not(self) -> bool:
        return self.language.negation.search(self._text) is not None

    @cached_property
    def _begins_with_no(self) -> bool:
        """Return whether the clause begins with "no", which negates all of it: "no decision was taken"."""
        match = self.language.near_negation.search(self._text)
        before = self._text[: match.start()].split() if match else ["none"]
        return all(self.language.conjunction.fullmatch(f" {word} ") for word in before)

    @cached_property
    def _text(self) -> str:
        """The clause without phrases that only look like a negation, such as "not only"."""
        return self.language.no_negation.sub(lambda match: " " * len(match[0]), self.facts.text)

    @cached_property
    def denied(self) -> frozenset[str]:
        """The stems of the words right after "no", "without" and similar words."""
        denied: set[str] = set()
        for match in self.language.near_negation.finditer(self._text):
            behind = [word.stem for word in self._behind(match) if word.content]
            denied.update(behind[:_REACH])
        for match in self.language.exclusion.finditer(self._text):
            # "By train instead of by plane to the meeting" excludes the plane, not the meeting.
            at_noun = dropwhile(lambda word: not word.content, self._behind(match))
            phrase = takewhile(_goes_on, at_noun)
            nouns = (word.stem for word in phrase if word.content)
            denied.update(islice(nouns, _REACH))
        return frozenset(denied)

    def opposes(self, there: Facts) -> bool:
        """Check whether the clause has a word of which the text has only the opposite: "rose" and "fell"."""
        stems, said, language = there.stems, self.facts.stems, self.language
        pairs = [pair for stem in said for pair in language.opposites.get(stem, ())]
        # "Agreed to adopt what had been proposed" has words of two stages.
        stages = (pair for stem in said for pair in language.stages.get(stem, ()))
        pairs += ((own, others - said) for own, others in stages)
        return self._opposes_preposition(there) or any(
            others & stems and not own & stems for own, others in pairs
        )

    def opposes_attribute(self, there: Facts) -> bool:
        """Check for opposite words before the same noun: "the second van" and "the first van"."""
        opposites = self.language.opposites
        here = [pair for pair in _neighbours(self.facts) if pair[0] in opposites]
        pairs = set(_neighbours(there)) if here else set()
        return any(
            (attribute, noun) not in pairs and any((other, noun) in pairs for other in others)
            for attribute, noun in here
            for _, others in opposites[attribute]
        )

    def _opposes_preposition(self, there: Facts) -> bool:
        """Check for opposite prepositions of the same noun: "before the move" and "after the move"."""
        opposed = self.language.opposed_prepositions
        here = {
            (term.stem, stem)
            for term in self.terms
            for stem in self.language.stems(term.before)
            if stem in opposed
        }
        if not here:
            return False
        phrases = {
            (term.stem, stem)
            for term in terms_of(there.text, self.language)
            for stem in self.language.stems(term.before)
        }
        return any(
            (noun, stem) not in phrases and any((noun, other) in phrases for other in others)
            for noun, stem in here
            for _, others in opposed[stem]
        )

    def _behind(self, match: re.Match[str]) -> Iterator[Word]:
        return (word for word in self.facts.words if word.start >= match.end())

    def plain(self, content: frozenset[str]) -> bool:
        """Check whether the clause states these words without a negation, hedge or attribution."""
        restricts = (self.language.hedge, self.language.attribution)
        return not (self.negates(content) or any(map(self.facts.says, restricts)))

    @cached_property
    def content(self) -> frozenset[str]:
        titles = self.language.titles
        return frozenset(
            word.stem
            for word in self.facts.words
            if word.content and word.text.lower() not in titles
        )

    @cached_property
    def terms(self) -> Terms:
        return terms_of(self.facts.text, self.language)


def _neighbours(facts: Facts) -> list[tuple[str, str]]:
    """Return each content word with the word before it."""
    return [(one.stem, other.stem) for one, other in pairwise(facts.words) if other.content]


def _goes_on(word: Word) -> bool:
    """Check whether a phrase continues at this word, as in "ohne Zustimmung des Vorstands"."""
    return word.content or word.text in ("of", "being", "been", "des", "eines")


class Ground:
    """The evidence of a statement: the quoted sentences and the context of their blocks."""

    def __init__(self, passages: Sequence[Passage], language: Language) -> None:
        self.language = language
        self.text = " ".join(passage.text for passage in passages)
        self._passages = passages
        # Whether every passage is a task that is not done yet.
        self.is_open = all(passage.open_task for passage in passages)
        self.is_done = all(passage.done for passage in passages)
        self.facts = facts_of(self.text, language)
        known = " ".join(passage.known for passage in passages)
        self.known = facts_of(known, language)
        self.speakers = facts_of(" ".join(passage.speaker for passage in passages), language).stems

    @cached_property
    def clauses(self) -> list[Clause]:
        return [
            clause
            for passage in self._passages
            for clause in clauses_of(passage.text, self.language)
        ]

    @cached_property
    def sentences(self) -> list[Terms]:
        """The content words of each sentence."""
        grouped = groupby(self.clauses, key=lambda clause: clause.sentence)
        return [list(chain(*(clause.terms for clause in of_one))) for _, of_one in grouped]

    @cached_property
    def stems(self) -> frozenset[str]:
        return self.facts.stems | self.known.stems

    def holds_form(self, stem: str) -> bool:
        """Check for another form of the word, its parts, or a compound with it."""
        parts_of = self.language.compounds and (
            self._holds_each(stem) or self._holds_compound(stem)
        )
        return parts_of or self.holds_alike(stem)

    def holds_alike(self, stem: str) -> bool:
        """Check for another form of the word, or its parts: "Umbau" for "umgebaut", "in-depth"."""
        if "-" in stem:
            return all(map(self.holds_alike, stem.split("-")))
        return any(self.language.alike(stem, other) for other in self.stems)

    def _holds_each(self, compound: str) -> bool:
        """Check for both parts: "Architektenvertrag" in "der Vertrag mit dem Architekten"."""
        stem = self.language.stem
        return any(
            compound[cut:] in self.stems and stem(compound[:cut].removesuffix("s")) in self.stems
            for cut in range(_PART, len(compound) - _PART + 1)
        )

    def _holds_compound(self, part: str) -> bool:
        """Check for a compound: "der Vertrag mit dem Architekten" in "Architektenvertrag"."""
        return len(part) >= _PART and any(
            len(stem) >= len(part) + _PART and (stem.startswith(part) or stem.endswith(part))
            for stem in self.stems
        )

    @cached_property
    def rows(self) -> list[list[tuple[Facts, Facts]]]:
        """The table rows, each as the names of its columns with the cells."""
        return [
            [
                (facts_of(name, self.language), facts_of(cell, self.language))
                for name, cell in zip(passage.columns, cells, strict=True)
            ]
            for passage in self._passages
            if passage.columns
            and len(cells := passage.text.strip(" ;").split(" ; ")) == len(passage.columns)
        ]

    @cached_property
    def occurrences(self) -> Counter[object]:
        """The number of clauses with each content word and each figure."""
        return Counter(
            chain.from_iterable(clause.content | clause.figures for clause in self.clauses)
        )

    def clauses_with_figures_of(self, clause: Clause) -> list[Clause]:
        """Return the clauses of the passages that share a time, date or number with ``clause``."""
        return [one for one in self.clauses if clause.figures & one.figures]

    def clauses_for(self, content: frozenset[str]) -> list[Clause]:
        """Return the fewest clauses that cover most of the words that the passages share with ``content``."""
        missing = set(content)
        chosen: list[Clause] = []
        while missing:
            best = max(
                self.clauses,
                key=lambda clause: (len(missing & clause.content), clause.plain(content)),
                default=None,
            )
            if best is None or len(missing & best.content) < max(1, _MAIN * len(content)):
                break
            chosen.append(best)
            missing -= best.content
        return chosen


@dataclass(frozen=True)
class Case:
    """A statement, its clauses and its evidence."""

    claim: Facts
    clauses: Sequence[Clause]
    ground: Ground

    @property
    def language(self) -> Language:
        return self.ground.language

    @cached_property
    def resting(self) -> list[tuple[Clause, list[Clause]]]:
        """Each clause of the statement with the clauses of the source that match it."""
        return [(clause, self.ground.clauses_for(clause.content)) for clause in self.clauses]

    @property
    def carried(self) -> list[tuple[Clause, Clause]]:
        """Each pair of a clause of the statement and a matching clause of the source."""
        return [(clause, carrier) for clause, carriers in self.resting for carrier in carriers]

    @property
    def carriers(self) -> list[Clause]:
        """The clauses of the source that match the statement."""
        return [carrier for _, carrier in self.carried]

    @cached_property
    def with_figures(self) -> list[Clause]:
        """The clauses of the source that share a figure with the statement."""
        return list(chain(*map(self.ground.clauses_with_figures_of, self.clauses)))


def _introduces(piece: str, language: Language) -> bool:
    """Check whether a part of a sentence only introduces the next one: "I think, "."""
    weakens = language.hedge.search(piece) or language.attribution.search(piece)
    proposes = language.proposal.search(piece)
    return weakens is not None and proposes is None and len(piece.split()) <= _FEW


def _goes_on_with_names(facts: Facts, language: Language) -> bool:
    """Check whether a part only adds names to a list, as "or Linz" does in "in Graz or Linz"."""
    return (
        len(facts.words) <= _FEW
        and not facts.has_figures
        and not _is_contrast(facts.text, language)
        and all(word.name or not word.content for word in facts.words)
    )


def _denies_as_well(before: str, piece: str, language: Language) -> bool:
    """Check whether a negation continues, as before "or tablets" in "refunds no bottles or tablets"."""
    return bool(
        language.choice.match(piece.lstrip())
        and (language.negation.search(before) or language.near_negation.search(before))
    )


def _is_contrast(piece: str, language: Language) -> bool:
    return language.contrast.match(piece.lstrip(" ,;:-–—")) is not None


def clauses_of(text: str, language: Language) -> list[Clause]:
    """Split a text into clauses. A part without a content word or figure belongs to the clause before it."""
    clauses: list[Clause] = []
    for start, end in sentence_spans(text, 0, len(text), language):
        sentence = text[start:end]
        pieces: list[str] = []
        position = 0
        for match in language.conjunction.finditer(sentence):
            pieces.append(sentence[position : match.start()])
            position = match.start()
        pieces.append(sentence[position:])
        joined: list[str] = []
        for piece in pieces:
            facts = facts_of(piece, language)
            says_something = facts.has_words or facts.has_figures
            belongs = (
                not says_something
                or language.continuation.search(piece)
                or _goes_on_with_names(facts, language)
                or (joined and _denies_as_well(joined[-1], piece, language))
            )
            introduced = len(joined) == 1 and piece[0] == "," and _introduces(joined[0], language)
            # ", not before it" negates nothing in the clause before it.
            if not says_something and _is_contrast(piece, language):
                continue
            if joined and (belongs or introduced):
                joined[-1] += piece
            else:
                joined.append(piece)
        clauses += [
            Clause(facts_of(piece, language), sentence, language)
            for piece in joined
            if piece.strip()
        ]
    return clauses
