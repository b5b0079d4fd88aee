"""Gives a statement its verdict, supported, repaired or unsupported, with the reasons."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from combine_core.evidence.facts import facts_of
from combine_core.evidence.passage import Passage, passage_of
from combine_core.evidence.quotes import Place, SourceText
from combine_core.evidence.rules import details_against, reasons_against
from combine_core.language import Language, language_named, language_of

_OMISSION = re.compile(r"…|\.\.\.|\[\.\.\.\]|\[…\]")

# The number of characters from which the language of a source is recognised.
_SAMPLE = 4000


class Verdict(StrEnum):
    """The result of judging a statement by its sources."""

    SUPPORTED = "supported"
    REPAIRED = "repaired"
    UNSUPPORTED = "unsupported"
    # Set for statements that a person wrote without evidence. No rule gives this verdict.
    OWN = "own"


@dataclass(frozen=True, slots=True)
class Claim:
    """Evidence that an answer claims: the label of a source, lines counted from 1, and the quote."""

    source: str
    line_from: int
    line_to: int
    quote: str


@dataclass(frozen=True, slots=True)
class Found:
    """A quote that was found in a source."""

    label: str
    source: SourceText
    place: Place


@dataclass(slots=True)
class Judgement:
    """A verdict, the quotes that were found, and the codes of the reasons and repairs.

    :ivar passages: the whole sentences that contain the quotes
    """

    verdict: Verdict
    found: list[Found] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)


def judge(
    statement: str,
    claims: Sequence[Claim],
    sources: Mapping[str, SourceText],
    prose: bool = True,
) -> Judgement:
    """Judge one statement by the quotes that are claimed for it.

    :param statement: the words of the statement
    :param claims: the evidence that the answer claims
    :param sources: by label, such as ``S1``
    :param prose: whether the statement is a sentence, as opposed to fields such as a label and a value
    """
    judgement = Judgement(Verdict.UNSUPPORTED)
    passages = judgement.passages
    for claim in claims:
        found = _find(claim, sources, judgement)
        if found is None:
            continue
        judgement.found.append(found)
        passage = passage_of(found.source, found.place)
        if passage.silent:
            judgement.reasons.append(passage.silent)
        else:
            passages.append(passage)
    if not claims:
        judgement.reasons.append("no_evidence")
    if passages:
        # A quote without content is ignored if another quote supports the statement.
        against = reasons_against(statement, passages, _language(statement, judgement), prose)
        if not against and not _missing(judgement.reasons):
            judgement.reasons.clear()
            judgement.verdict = Verdict.REPAIRED if judgement.repairs else Verdict.SUPPORTED
        judgement.reasons += against
    judgement.reasons = list(dict.fromkeys(judgement.reasons))
    judgement.repairs = list(dict.fromkeys(judgement.repairs))
    return judgement


def judge_details(detail: str, judgement: Judgement) -> None:
    """Lower the verdict of a statement if another field, such as its owner, is not in the passages."""
    against = details_against(detail, judgement.passages, _language(detail, judgement))
    if against:
        judgement.verdict = Verdict.UNSUPPORTED
        judgement.reasons = list(dict.fromkeys([*judgement.reasons, *against]))


def _language(statement: str, judgement: Judgement) -> Language:
    """Return the language of the statement and its sentence, or of the source if these are too short."""
    texts = (statement, judgement.passages[0].text)
    language = language_of(*texts)
    return (
        language if language.code else language_of(*texts, judgement.found[0].source.text[:_SAMPLE])
    )


def _missing(reasons: Sequence[str]) -> bool:
    return any(
        reason in ("unknown_source", "quote_not_found", "omission", "no_quote")
        for reason in reasons
    )


def _find(claim: Claim, sources: Mapping[str, SourceText], judgement: Judgement) -> Found | None:
    label = claim.source
    source = sources.get(label)
    if source is None:
        label = _label(label)
        source = sources.get(label)
        if source is not None:
            judgement.repairs.append("label")
    if not _has_content(claim.quote):
        judgement.reasons.append("no_quote")
        return None
    place = source.find(claim.quote, claim.line_from) if source is not None else None
    if place is None:
        elsewhere = [
            Found(another, other, where)
            for another, other in sources.items()
            if other is not source
            and (where := other.find(claim.quote, claim.line_from)) is not None
        ]
        if len(elsewhere) == 1:
            judgement.repairs += ["source", *elsewhere[0].place.repairs]
            return elsewhere[0]
        if source is None:
            judgement.reasons.append("unknown_source")
        else:
            judgement.reasons.append(
                "omission" if _OMISSION.search(claim.quote) else "quote_not_found"
            )
        return None
    assert source is not None
    judgement.repairs += place.repairs
    if not claim.line_from <= place.line_from <= max(claim.line_from, claim.line_to):
        judgement.repairs.append("lines")
    return Found(label, source, place)


def _label(written: str) -> str:
    """Return "S2" for "[S2]", "s2", "Source 2" or "S2:"."""
    match = re.fullmatch(
        r"\W*(?:s|source|quelle)?[\s_:#-]*(\d+)\W*", written.strip(), re.IGNORECASE
    )
    return f"S{int(match[1])}" if match else written.strip(" []():.")


def _has_content(quote: str) -> bool:
    facts = facts_of(quote, language_of(quote))
    # One or two words may not show their language, and "no" alone has no content in any.
    return facts.has_figures or (
        facts.has_words and facts_of(quote, language_named("en")).has_words
    )
