"""What the rules look at: a statement, the passages that it may rest on, and the clauses of both."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, dropwhile, groupby, islice, takewhile

from combine_core.evidence.facts import Facts, Word, facts_of
from combine_core.evidence.passage import Passage
from combine_core.evidence.stitching import Terms, terms_of
from combine_core.language import Language, sentence_spans

# The share of a clause's content words for which a clause of the source has to be looked at.
_MAIN = 0.34
# How many words behind it "no" and "without" deny.
_REACH = 2


@dataclass(frozen=True)
class Clause:
    """A part of a sentence that says one thing."""

    facts: Facts
    sentence: str
    language: Language

    def negates(self, content: frozenset[str]) -> bool:
        """Whether the clause denies what these words say."""
        text = self.language.no_negation.sub(lambda match: " " * len(match[0]), self.facts.text)
        if self.language.negation.search(text):
            return True
        denied: set[str] = set()
        for match in self.language.near_negation.finditer(text):
            behind = [word.stem for word in self._behind(match) if word.content]
            denied.update(behind[:_REACH])
        for match in self.language.exclusion.finditer(text):
            # "By train instead of by plane to the meeting" denies the plane, and not the meeting.
            at_noun = dropwhile(lambda word: not word.content, self._behind(match))
            phrase = takewhile(_goes_on, at_noun)
            nouns = (word.stem for word in phrase if word.content)
            denied.update(islice(nouns, _REACH))
        return bool(denied & content)

    def _behind(self, match: re.Match[str]) -> Iterator[Word]:
        return (word for word in self.facts.words if word.start >= match.end())

    def plain(self, content: frozenset[str]) -> bool:
        """Whether the clause says these words without denying, weakening or attributing them."""
        restricts = (self.language.hedge, self.language.attribution)
        return not (self.negates(content) or any(map(self.facts.says, restricts)))

    @cached_property
    def content(self) -> frozenset[str]:
        return frozenset(word.stem for word in self.facts.words if word.content)

    @cached_property
    def terms(self) -> Terms:
        return terms_of(self.facts.text, self.language)


def _goes_on(word: Word) -> bool:
    """Whether a phrase goes on: "ohne Zustimmung des Vorstands"."""
    return word.content or word.text in ("of", "des", "eines")


class Ground:
    """What a statement may rest on: the sentences quoted, and what is known of their blocks."""

    def __init__(self, passages: Sequence[Passage], language: Language) -> None:
        self.language = language
        self.text = " ".join(passage.text for passage in passages)
        self._passages = passages
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
        """The words of each sentence."""
        grouped = groupby(self.clauses, key=lambda clause: clause.sentence)
        return [list(chain(*(clause.terms for clause in of_one))) for _, of_one in grouped]

    @cached_property
    def stems(self) -> frozenset[str]:
        return self.facts.stems | self.known.stems

    def clauses_for(self, content: frozenset[str]) -> list[Clause]:
        """The fewest clauses that hold most of what the passages hold of ``content``."""
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
    """A statement, its clauses, and what it may rest on."""

    claim: Facts
    clauses: Sequence[Clause]
    ground: Ground

    @property
    def language(self) -> Language:
        return self.ground.language

    @cached_property
    def carried(self) -> list[tuple[Clause, Clause]]:
        """Each clause of the statement with each clause of the source on which it rests."""
        return [
            (clause, carrier)
            for clause in self.clauses
            for carrier in self.ground.clauses_for(clause.content)
        ]

    @property
    def carriers(self) -> list[Clause]:
        """The clauses of the source on which the statement rests."""
        return [carrier for _, carrier in self.carried]


def clauses_of(text: str, language: Language) -> list[Clause]:
    """The clauses of a text. One without a content word or number belongs to the one before it."""
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
            if joined and not (facts.has_words or facts.has_figures):
                joined[-1] += piece
            else:
                joined.append(piece)
        clauses += [
            Clause(facts_of(piece, language), sentence, language)
            for piece in joined
            if piece.strip()
        ]
    return clauses
