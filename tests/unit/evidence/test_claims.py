"""Each claim about a source gets the verdict that a careful reader would give it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from combine_core.evidence import SourceText
from combine_core.evidence.judge import Claim, judge

HERE = Path(__file__).parent


def budget() -> list[Any]:
    data = yaml.safe_load((HERE / "budget.yaml").read_text("utf-8"))
    sources = {"S1": data["source"], "S2": data["other"]}
    return [
        pytest.param(
            sources,
            Claim(claim.get("source", "S1"), claim["line"], claim["line"], claim["quote"]),
            claim["statement"],
            claim["verdict"],
            id=f"{claim['verdict']}: {claim.get('why', claim['statement'])}",
        )
        for claim in data["claims"]
    ]


def kinds() -> list[Any]:
    data = yaml.safe_load((HERE / "kinds.yaml").read_text("utf-8"))
    return [
        pytest.param(
            {"S1": case["source"]},
            Claim("S1", 1, case["source"].count("\n") + 1, case.get("quote", case["source"])),
            case["statement"],
            case["verdict"],
            id=f"{group['kind']}: {case['source']} -> {case['statement']}",
        )
        for group in data
        for case in group["cases"]
    ]


@pytest.mark.parametrize(("texts", "claim", "statement", "verdict"), [*budget(), *kinds()])
def test_the_verdict(texts: dict[str, str], claim: Claim, statement: str, verdict: str) -> None:
    sources = {label: SourceText(text) for label, text in texts.items()}
    judgement = judge(statement, [claim], sources)
    assert (judgement.verdict.value, judgement.reasons, judgement.repairs) == (
        verdict,
        judgement.reasons if verdict == "unsupported" else [],
        judgement.repairs if verdict != "supported" else [],
    )
    assert bool(judgement.reasons) == (verdict == "unsupported")
