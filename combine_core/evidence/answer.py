"""Judges every statement of an answer, whatever its fields are called."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from combine_core.evidence.judge import Claim, Judgement, Verdict, judge, judge_details
from combine_core.evidence.quotes import SourceText

# Fields that describe the statement itself. They need no evidence.
_ABOUT_ITSELF = frozenset(
    {"evidence", "verdict", "reasons", "repairs", "kind", "type", "id", "author_id"}
)


@dataclass(frozen=True)
class Support:
    """The number of statements with each verdict."""

    supported: int
    repaired: int
    unsupported: int
    own: int = 0

    @property
    def carried(self) -> int:
        """The number of statements that sources support, with or without a repair."""
        return self.supported + self.repaired

    def as_json(self) -> dict[str, int]:
        """Return the counts as a version stores them: ``own`` only if people have edited it."""
        return {verdict: n for verdict, n in asdict(self).items() if n or verdict != Verdict.OWN}


def statements_of(content: Any) -> Iterator[dict[str, Any]]:
    """Yield each statement of an answer or document: each object with a list ``evidence``."""
    if isinstance(content, dict):
        if isinstance(content.get("evidence"), list):
            yield content
        else:
            for value in content.values():
                yield from statements_of(value)
    elif isinstance(content, list):
        for value in content:
            yield from statements_of(value)


def can_hold_statements(schema: Any) -> bool:
    """Check whether a valid answer for this JSON Schema can contain statements."""
    if isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict) and "evidence" in properties:
            return True
        return any(can_hold_statements(value) for value in schema.values())
    return isinstance(schema, list) and any(can_hold_statements(value) for value in schema)


def judge_answer(
    answer: dict[str, Any], sources: Mapping[str, SourceText], inputs: Any = None
) -> Support:
    """Give each statement of ``answer`` its verdict, in place.

    Each claimed quote is ``{"source": label, "line_from", "line_to", "quote"}``. A quote that is found keeps
    this form, with the label, lines and characters of the source. Other quotes are removed. Each statement
    gets ``verdict`` and ``reasons``, and ``repairs`` if there were any.

    :param sources: by label; a source is loaded only if a statement cites it
    :param inputs: judged answers. A supported statement that is copied from these is not judged again, nor is
        one that merges the evidence of several equal statements
    :returns: the number of statements with each verdict
    """
    supported: defaultdict[str, set[str]] = defaultdict(set)
    for statement in statements_of(inputs):
        if statement.get("verdict") == Verdict.SUPPORTED.value:
            supported[_words_of(statement)].update(map(_as_key, statement["evidence"]))
    for statement in statements_of(answer):
        evidence = set(map(_as_key, statement["evidence"])) if supported else set()
        if evidence and evidence <= supported.get(_words_of(statement), set()):
            statement |= {"verdict": Verdict.SUPPORTED.value, "reasons": []}
            statement.pop("repairs", None)
            continue
        judgement = _judge(statement, sources)
        statement["evidence"] = _proven(judgement)
        statement["verdict"] = judgement.verdict.value
        statement["reasons"] = judgement.reasons
        statement.pop("repairs", None)
        if judgement.repairs:
            statement["repairs"] = judgement.repairs
    return count_verdicts(answer)


def _words_of(statement: Mapping[str, Any]) -> str:
    """Return all fields that the verdict depends on, except the evidence."""
    return _as_key({key: said for key, said in statement.items() if key not in _ABOUT_ITSELF})


def _as_key(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def count_verdicts(content: Any) -> Support:
    """Count the verdicts of the statements of a judged answer or document."""
    verdicts = Counter(statement["verdict"] for statement in statements_of(content))
    return Support(*(verdicts[verdict] for verdict in Verdict))


def _judge(statement: Mapping[str, Any], sources: Mapping[str, SourceText]) -> Judgement:
    claims = [
        Claim(claim["source"], claim["line_from"], claim["line_to"], claim["quote"])
        for claim in statement["evidence"]
    ]
    said = {key: value for key, value in statement.items() if key not in _ABOUT_ITSELF}
    text = said.pop("text", None)
    if not isinstance(text, str):
        return judge(" ".join(_values(said)), claims, sources, prose=False)
    judgement = judge(text, claims, sources)
    if judgement.verdict is not Verdict.UNSUPPORTED:
        # The owner or the due date must be in the source as well.
        for detail in _values(said):
            judge_details(detail, judgement)
    return judgement


def _values(said: Any) -> Iterator[str]:
    """Yield the texts and numbers in a value, in the order of their keys."""
    match said:
        case dict():
            for key, value in said.items():
                if key not in _ABOUT_ITSELF:
                    yield from _values(value)
        case list():
            for value in said:
                yield from _values(value)
        case bool() | None:
            return
        case str() | int() | float():
            yield str(said)


def _proven(judgement: Judgement) -> list[dict[str, Any]]:
    proven: list[dict[str, Any]] = []
    for found in judgement.found:
        place = found.place
        entry = {
            "source": found.label,
            "line_from": place.line_from,
            "line_to": place.line_to,
            "quote": found.source.text[place.start : place.end],
        }
        if entry not in proven:
            proven.append(entry)
    return proven
