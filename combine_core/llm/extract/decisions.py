"""Tell the sentences that decide something.

Rather none than a wrong one: what is denied, asked, conditional, quoted or reported is no decision.
"""

import re

from combine_core.language import lowered
from combine_core.llm.extract.sentence import (
    NO_ITEM,
    Kind,
    Section,
    Sentence,
    is_option,
    is_question,
    is_restricted,
    stands_alone,
)
from combine_core.llm.extract.vocabulary import Vocabulary
from combine_core.readers import BlockKind

# Of a decision that does not tell its matter, in letters.
_LONGEST_BARE = 100
_QUOTED = re.compile(r"[“\"„«][^“”\"„«»]*[”\"“»]")
# Before a word of decision these make a clause that only tells which thing is meant.
_SUBORDINATE = re.compile(
    r"\b(?:that|which|who|when|after|as|since|because|once|until|if|whether|what|where|how|before|dass|"
    r"nachdem|als|weil|ob|wenn|bevor)\b",
    re.IGNORECASE,
)
# "The first" before "motion".
_LEAD_IN = re.compile(r"(?<!\w)(?:the )?(?:\w+[- ]){0,3}\Z", re.IGNORECASE)
_DASH = re.compile(r" (?:->?|[–—→]) ")
# "EC decided to".
_ACRONYM = re.compile(r"\b[A-Z]{2,6}\s+")
_PRONOUN = re.compile(r"\s+(?:that|it|this|them|das|dies|es)\W*", re.IGNORECASE)
_REFERS = re.compile(r"\s+(?:this|it|her|his|their|these|those|them)\b")
_PROPOSAL = re.compile(r"\bproposals?\b|\A\W*(?:the )?proposed\b", re.IGNORECASE)
_DENIED_CONTENT = re.compile(r"\b(?:not to|no longer|that no\w*)\s*$", re.IGNORECASE)


def moves(sentence: Sentence) -> bool:
    """Check whether the sentence puts a motion, which the next ones may settle."""
    words = sentence.words
    return any(map(sentence.low.__contains__, words.motion_signs)) and (
        words.moves.search(sentence.low) is not None
    )


def is_bare(sentence: Sentence) -> bool:
    """Check for a decision that does not tell its matter: "Motion passed"."""
    short = len(sentence.low) <= _LONGEST_BARE
    return short and sentence.words.bare.fullmatch(sentence.low.strip(" .!*")) is not None


def needs_title(sentence: Sentence, title: str) -> bool:
    """Check for a bare decision that the title above completes: "Postponed" below "Roof"."""
    words, headings = sentence.words, sentence.block.headings
    if not title or words.by_title.match(sentence.low) or words.procedure.fullmatch(lowered(title)):
        return False
    return not words.states.fullmatch(lowered(headings[-1]))


def seconds(sentence: Sentence) -> bool:
    """Check whether the sentence supports a motion and does not settle it yet."""
    return sentence.words.seconds.search(sentence.low) is not None


def records_more(sentence: Sentence) -> bool:
    """Check whether a sentence continues the decision of the sentence before."""
    return stands_alone(sentence) and not sentence.language.obligation.search(sentence.text)


def settles(sentence: Sentence) -> Kind | None:
    """Return the kind that an answer gives to the pending question: a decision, or a count of votes."""
    words = sentence.words
    answer = sentence.low.strip(" .!*")
    if words.settles.fullmatch(answer) or words.carries.search(answer):
        return Kind.DECISION
    return Kind.STATEMENT if words.tally.fullmatch(answer) else None


def needs_more(sentence: Sentence) -> bool:
    """Check whether a decision needs the sentence before to be understood."""
    words = sentence.words
    if sentence.spoken:
        return False
    if any(
        pattern.match(sentence.low)
        for pattern in (words.depends, words.opens_decision, words.by_title)
    ):
        return True
    deed = words.decides.search(sentence.low)
    return deed is not None and _REFERS.match(sentence.low, deed.end()) is not None


def is_decision(
    sentence: Sentence, said: str, low: str, section: Section, words: Vocabulary
) -> bool:
    """Check whether a sentence says that something is decided.

    :param said: its words behind a label such as "Decision:"
    :param low: the same in lower case
    """
    language = sentence.language
    if is_question(said) or sentence.block.kind is BlockKind.QUOTATION or NO_ITEM.fullmatch(said):
        return False
    if section is Section.DECISION:
        if is_option(sentence):
            return False
        # "Tom said that …" is what somebody said.
        return not (
            words.not_decided.search(low)
            or (is_restricted(said, language) and not words.decides.search(low))
            or language.attribution.search(said)
            or (sentence.spoken and words.speech.search(low))
        )
    found = _performative(sentence, low, words)
    if found is None:
        return moves(sentence) and words.carries.search(low) is not None
    start, end = found
    if _PRONOUN.fullmatch(said[end:]):
        return False  # "we adopted that": long ago, or what was said before
    up_to = _DENIED_CONTENT.sub("", said[:end])
    return not (
        words.not_decided.search(low)
        or language.negation.search(up_to)
        or language.hedge.search(_PROPOSAL.sub("", up_to))
        or language.condition.search(up_to)
        or language.attribution.search(said[:start])
        or _SUBORDINATE.search(said[max(0, start - 12) : start])
        or any(quoted.start() < start < quoted.end() for quoted in _QUOTED.finditer(said))
        or (sentence.spoken and words.speech.search(low))
    )


def _performative(sentence: Sentence, low: str, words: Vocabulary) -> tuple[int, int] | None:
    """Where the sentence says that something is decided."""
    if not sentence.spoken:
        # "Two names are in use - agreed to keep the first".
        starts = [0, *(dash.end() for dash in _DASH.finditer(low))]
        for start in starts:
            if opening := words.opens_decision.match(low, start):
                return opening.span()
    # Deeds are rare, groups are not.
    deeds = words.decides.search(low) is not None
    for group in words.group.finditer(low) if deeds else ():
        if _SUBORDINATE.search(group[0]):
            continue
        deed = re.compile(r"\s+").match(low, group.end())
        decides = words.decides.match(low, deed.end()) if deed else None
        if decides is not None:
            return group.start(), decides.end()
    for acronym in (
        _ACRONYM.finditer(sentence.text) if deeds and len(low) == len(sentence.text) else ()
    ):
        if decides := words.decides.match(low, acronym.end()):
            return acronym.start(), decides.end()
    outcome = words.outcome.search(low) if not sentence.spoken else None
    if outcome is None:
        return None
    start = outcome.start()
    if outcome.lastgroup == "matter":
        lead_in = _LEAD_IN.search(low, 0, start)
        assert lead_in is not None
        start = lead_in.start()
    return start, outcome.end()
