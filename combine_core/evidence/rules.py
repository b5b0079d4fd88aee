"""The rules that decide whether passages of a source carry a statement."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from combine_core.evidence.case import Case, Ground, clauses_of
from combine_core.evidence.facts import Facts, Number, Word, facts_of
from combine_core.evidence.passage import Passage
from combine_core.evidence.roles import swaps_roles
from combine_core.evidence.stitching import breaks_in, is_rephrased, own_words
from combine_core.language import Language

# The share of a clause's content words that has to stand in the passage.
MIN_COVERAGE = 0.5
# So many letters of a German noun tell it from others.
_PART = 6
# A statement of fewer content words is not looked at for scraps.
_STITCHABLE = 3
# So many breaks for each two neighbouring words make scraps.
_BREAKS = 0.14
# A paraphrase has more words of its own than this share, or no more breaks than this beside them.
_OWN = 0.34
_MOVED = 0.5

_QUOTED = re.compile(r"[“\"„«]([^“”\"„«»]{2,80})[”\"“»]")
_BEFORE_NUMBER = re.compile(r"(?:\b(from|to|by|von|auf|um|zu)\s+)?$", re.IGNORECASE)


# A rule returns whether the statement breaks it.
Rule = Callable[[Case], bool]


def reasons_against(
    statement: str, passages: Sequence[Passage], language: Language, prose: bool = True
) -> list[str]:
    """Why the passages do not carry the statement, as codes. Empty: they carry it.

    :param statement: what is claimed, in plain text
    :param passages: what its quotes stand in
    :param prose: whether it is a sentence. Fields such as a label and a value are scraps by nature
    """
    if any(_same_words(statement, passage) for passage in passages):
        return []
    rules = [*_RULES, *_PROSE] if prose else _RULES
    return _broken(rules, statement, passages, language)


def details_against(detail: str, passages: Sequence[Passage], language: Language) -> list[str]:
    """Why a further field of a statement, such as its owner or due date, does not stand in the passages."""
    if any(detail in (passage.speaker, *passage.titles) for passage in passages):
        return []
    named = [replace(passage, known=f"{passage.known} {passage.speaker}") for passage in passages]
    return _broken(_DETAILS, detail, named, language)


def _broken(
    rules: Sequence[tuple[str, Rule]],
    statement: str,
    passages: Sequence[Passage],
    language: Language,
) -> list[str]:
    text = _unmarked(statement)
    case = Case(facts_of(text, language), clauses_of(text, language), Ground(passages, language))
    return list(dict.fromkeys(code for code, broken in rules if broken(case)))


def _same_words(statement: str, passage: Passage) -> bool:
    """Whether the statement is the sentence itself, or several of them."""

    def plain(text: str) -> str:
        return " ".join(_unmarked(text).lower().split()).rstrip(".! ")

    return plain(statement) == plain(passage.text)


def _unmarked(statement: str) -> str:
    return re.sub(r"[*`]|~~", "", statement)


# -- numbers, dates, times, names, quoted terms


def _another_number(case: Case) -> bool:
    return not all(_number_stands(number, case.claim, case.ground) for number in case.claim.numbers)


def _number_stands(number: Number, claim: Facts, ground: Ground) -> bool:
    years = {date.year for facts in (ground.facts, ground.known) for date in facts.dates}
    if not number.known_unit and number.value in years:
        return True
    candidates = [*ground.facts.numbers, *ground.known.numbers]
    same = [other for other in candidates if other.value == number.value]
    return any(
        _units_agree(number, other, candidates) and _bounds_agree(number, claim, other, ground)
        for other in same
    )


def _units_agree(number: Number, other: Number, candidates: Sequence[Number]) -> bool:
    if number.known_unit and other.known_unit:
        return number.unit == other.unit or {number.unit[:1], other.unit[:1]} == {"°"}
    if number.known_unit or other.known_unit:
        return not number.unit or not other.unit
    if number.unit == other.unit or not number.unit:
        return True
    # "20 designers" of "15 engineers and 20 designers".
    return not any(number.unit == third.unit for third in candidates)


def _bounds_agree(number: Number, claim: Facts, other: Number, ground: Ground) -> bool:
    if other not in ground.facts.numbers:
        return True
    language = ground.language

    def bound(text: str, start: int) -> str:
        before = text[max(0, start - 20) : start].rstrip(" $€£-−")
        for name, pattern in (("more", language.more_than), ("less", language.less_than)):
            if any(match.end() == len(before) for match in pattern.finditer(before)):
                return name
        return ""

    return bound(claim.text, number.start) == bound(ground.facts.text, other.start)


def _another_date(case: Case) -> bool:
    dates = case.ground.facts.dates + case.ground.known.dates
    return not all(any(date.covers(claimed) for date in dates) for claimed in case.claim.dates)


def _another_time(case: Case) -> bool:
    return not set(case.claim.times) <= {*case.ground.facts.times, *case.ground.known.times}


def _another_name(case: Case) -> bool:
    return any(not _name_stands(word, case.claim, case.ground) for word in _names(case.claim))


def _names(claim: Facts) -> Iterator[Word]:
    first = True
    for word in claim.words:
        # The first word is what the sentence is about: a name or not, it has to stand there.
        if word.name or (first and word.content and word.text[0].isupper()):
            yield word
        first = False


def _name_stands(word: Word, claim: Facts, ground: Ground) -> bool:
    written = word.text.lower()
    if word.stem in ground.stems or written in ground.text.lower():
        return True
    if (
        ground.language.code == "de"
        and len(written) > _PART
        and written[:_PART] in ground.text.lower()
    ):
        return True  # a noun in another form, or a part of a compound
    if word.stem in ground.speakers:
        # Who speaks is meant by "I" and "we", or is named as who says it.
        return ground.facts.says(ground.language.first_person) or claim.says(
            ground.language.attribution
        )
    return word.text.isupper() and _is_acronym(word.text, ground.facts)


def _is_acronym(letters: str, facts: Facts) -> bool:
    initials = "".join(word.text[0] for word in facts.words if word.content)
    return len(letters) > 1 and letters in initials


def _another_term(case: Case) -> bool:
    text = " ".join(case.ground.text.lower().split())
    return not all(term.lower().strip(" .,") in text for term in _QUOTED.findall(case.claim.text))


def _another_role(case: Case) -> bool:
    """ "From 5 to 9" is not "from 9 to 5"."""

    def role(text: str, number: Number) -> str:
        match = _BEFORE_NUMBER.search(text[: number.start].rstrip(" $€£-−") + " ")
        return (match[1] or "").lower() if match else ""

    for number in case.claim.numbers:
        roles = {
            role(case.ground.facts.text, other)
            for other in case.ground.facts.numbers
            if other.value == number.value
        }
        claimed = role(case.claim.text, number)
        if claimed and roles and "" not in roles and claimed not in roles:
            return True
    return False


# -- negation, condition, modality, question, attribution


def _another_polarity(case: Case) -> bool:
    return any(
        carrier.negates(clause.content) != clause.negates(carrier.content)
        for clause, carrier in case.carried
    )


def _opposite_word(case: Case) -> bool:
    """ "Compliant" where the source says "non-compliant", or the other way round."""
    there = {word.text.lower() for word in case.ground.facts.words}
    said = {word.text.lower() for word in case.claim.words if word.content}
    prefixes = "".join(f"|{prefix}" for prefix in case.language.negating_prefixes)
    pattern = re.compile(rf"(?:(?P<first>[^\W\d_]+)-{prefixes})(?P<word>\w{{4,}})")
    # "Based on risk" is no opposite of "risk-based".
    return any(
        (match := pattern.fullmatch(compound))
        and match["word"] in words - others
        and match["first"] not in words
        for words, others in ((said, there), (there, said))
        for compound in others - words
    )


def _condition_left_out(case: Case) -> bool:
    condition = case.language.condition
    return not case.claim.says(condition) and any(
        condition.search(carrier.sentence) for carrier in case.carriers
    )


def _hedge_left_out(case: Case) -> bool:
    hedge, proposal = case.language.hedge, case.language.proposal
    if case.claim.says(hedge):
        return False
    texts = [carrier.facts.text for carrier in case.carriers]
    if _is_agreed(case):
        texts = [proposal.sub(" ", text) for text in texts]
    return any(map(hedge.search, texts))


def _is_agreed(case: Case) -> bool:
    """Whether statement and source say that what was proposed is agreed on, the source of nothing else."""
    language = case.language
    if not case.claim.says(language.agreement):
        return False
    said = case.claim.stems
    for clause in case.ground.clauses:
        if not clause.facts.says(language.agreement) or clause.negates(clause.content):
            continue
        if clause.facts.says(language.future) or clause.facts.says(language.obligation):
            continue
        # "Agreed to Ben's suggestion" names who made it. "Agreed with Anna" says something else.
        proposes = clause.facts.says(language.proposal)
        rest = language.agreement.sub(" ", language.proposal.sub(" ", clause.facts.text))
        others = (word for word in facts_of(rest, language).words if word.content)
        if not language.hedge.search(rest) and all(
            word.stem in said or (proposes and word.name) for word in others
        ):
            return True
    return False


def _unattributed(case: Case) -> bool:
    """What the source only reports stays somebody's word. What a source says of itself is its own."""
    language = case.language
    if case.claim.says(language.attribution) or case.claim.says(language.hedge):
        return False
    for carrier in case.carriers:
        sentence = carrier.sentence
        at = sentence.find(carrier.facts.text.strip())
        before, behind = sentence[:at], sentence[at + len(carrier.facts.text.strip()) :]
        for match in language.attribution.finditer(sentence):
            inside = at <= match.start() < at + len(carrier.facts.text)
            # "According to Ben, …" and "…, Ben said."
            beside = (
                match.end() <= at
                and not re.search(r"[;:.]", before[match.end() :])
                and len(before.split()) <= 6
            ) or (match.start() >= len(sentence) - len(behind) and len(behind.split()) <= 4)
            around = sentence[max(0, match.start() - 40) : match.end() + 20]
            if (inside or beside) and not language.document.search(around):
                return True
    return False


def _question(case: Case) -> bool:
    if case.claim.text.rstrip().endswith("?") or case.claim.says(case.language.open_question):
        return False
    return any(carrier.sentence.rstrip("\"'”’»)*_ ").endswith("?") for carrier in case.carriers)


def _done(case: Case) -> bool:
    """What has to be done, will be done or is asked for, is not done yet."""
    language = case.language
    still_to_do = (language.obligation, language.request, language.future)
    if any(map(case.claim.says, still_to_do)):
        return False
    asked = [carrier for carrier in case.carriers if any(map(carrier.facts.says, still_to_do))]
    if not asked:
        return False
    if case.claim.says(language.past):
        return not any(carrier.facts.says(language.past) for carrier in asked)
    written = {word.text.lower() for carrier in asked for word in carrier.facts.words}
    # "We have to call" carries "Call the vendor", and not "We called the vendor".
    return any(
        word.content
        and word.text.lower().endswith(("ed", "te", "ten"))
        and word.text.lower() not in written
        and any(word.stem == other.stem for carrier in asked for other in carrier.facts.words)
        for word in case.claim.words
    )


def _uncovered(case: Case) -> bool:
    stems = case.ground.stems | case.ground.speakers
    return any(
        clause.content and len(clause.content & stems) / len(clause.content) < MIN_COVERAGE
        for clause in case.clauses
    ) or not (case.ground.facts.words or case.ground.facts.numbers)


def _roles_swapped(case: Case) -> bool:
    """The sentences that have most of a clause say it the other way round."""
    articles, sentences = case.language.articles, case.ground.sentences
    for clause in case.clauses:
        stems = {term.stem for term in clause.terms}
        shared = [len(stems & {term.stem for term in sentence}) for sentence in sentences]
        most = max(shared, default=0)
        closest = [
            sentence
            for sentence, count in zip(sentences, shared, strict=True)
            if most and count == most
        ]
        if closest and all(swaps_roles(clause.terms, one, articles) for one in closest):
            return True
    return False


def _stitched(case: Case) -> bool:
    """A statement put together from scraps. One that moves the parts of a sentence is a paraphrase."""
    known, sentences = case.ground.known.stems | case.ground.speakers, case.ground.sentences
    clauses = [[term for term in clause.terms if term.stem not in known] for clause in case.clauses]
    said = list(chain(*clauses))
    if len(said) < _STITCHABLE:
        return False
    breaks = breaks_in(said, sentences)
    own = own_words(said, sentences)
    if breaks < _BREAKS * (len(said) - 1) or breaks - own <= _MOVED or own > _OWN * len(said):
        return False
    return not is_rephrased(clauses, sentences)


_DETAILS: list[tuple[str, Rule]] = [
    ("number", _another_number),
    ("date", _another_date),
    ("time", _another_time),
    ("name", _another_name),
    ("not_covered", _uncovered),
]
_RULES: list[tuple[str, Rule]] = [
    ("number", _another_number),
    ("number", _another_role),
    ("date", _another_date),
    ("time", _another_time),
    ("name", _another_name),
    ("term", _another_term),
    ("negation", _another_polarity),
    ("negation", _opposite_word),
    ("condition", _condition_left_out),
    ("hedge", _hedge_left_out),
    ("not_done", _done),
    ("question", _question),
    ("attribution", _unattributed),
    ("not_covered", _uncovered),
]
_PROSE: list[tuple[str, Rule]] = [("roles", _roles_swapped), ("stitched", _stitched)]
