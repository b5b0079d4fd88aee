"""Each claim about a source gets the verdict that a careful reader would give it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from combine_core.evidence import SourceText
from combine_core.evidence.judge import Claim, judge
from combine_core.evidence.passage import passage_of
from combine_core.yaml_files import load_yaml

HERE = Path(__file__).parent


def budget() -> list[Any]:
    data = load_yaml((HERE / "budget.yaml").read_text("utf-8"))
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
    data = load_yaml((HERE / "kinds.yaml").read_text("utf-8"))
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


def test_cells_around_the_quote_count_in_a_long_table_row() -> None:
    cells = " ".join(f"{number}% in May" for number in range(10_000))
    source = SourceText(f"| a | b |\n| --- | --- |\n| {cells} | x |\n")
    place = source.find("5000% in May 5001%", 3)
    assert place is not None
    text = passage_of(source, place).text
    assert "5000% in May 5001% in May" in text
    assert len(text) < 5000


def rounds() -> list[Any]:
    return [
        pytest.param(data["source"], *claim, id=f"{path.stem}: {claim[0]}")
        for path in sorted((HERE / "claims").glob("*.yaml"))
        for data in [load_yaml(path.read_text("utf-8"))]
        for claim in data["claims"]
    ]


@pytest.mark.parametrize(("text", "statement", "quote", "line", "verdict"), rounds())
def test_verdict_of_each_claim(
    text: str, statement: str, quote: str, line: int, verdict: str
) -> None:
    judgement = judge(statement, [Claim("S1", line, line, quote)], {"S1": SourceText(text)})
    assert (judgement.verdict == "unsupported", judgement.reasons) == (
        verdict == "unsupported",
        judgement.reasons if verdict == "unsupported" else [],
    )


def test_a_statement_as_long_as_a_document_is_not_compared() -> None:
    source = SourceText("The board approved the budget of the club.\n")
    claim = Claim("S1", 1, 1, "The board approved the budget of the club.")
    statement = "The board approved the budget of the club, " * 2000
    assert judge(statement, [claim], {"S1": source}).reasons == ["not_covered"]
