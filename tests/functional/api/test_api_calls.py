"""Tests the list of model calls of a run, their prompts and answers, and the totals by run and month."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from combine_auth.tokens.service import create_token
from combine_core.database import session_factory
from combine_core.runs import Call
from tests.functional.api.conftest import NOTES
from tests.functional.conftest import make_client, writes_brief
from tests.vendor_server import cut, error

SONNET, GPT = "anthropic/claude-sonnet-4-5", "openai/gpt-5-mini"
DECISION = NOTES.splitlines()[3]
NOTHING = {
    "calls": 0,
    "failed_calls": 0,
    "unanswered_calls": 0,
    "input_tokens": 0,
    "cache_read_tokens": 0,
    "cache_write_tokens": 0,
    "output_tokens": 0,
    "cost": "0.000000",
    "unpriced_calls": 0,
    "currency": "USD",
}


@pytest.fixture
def writes(vendor):
    vendor.always(writes_brief(4, DECISION, input_tokens=1000, cache_read=800, output_tokens=100))


@pytest.fixture
def calls_of(room):
    def calls_of(run):
        return room.client.get(f"/api/v1/runs/{run['id']}/calls").json["items"]

    return calls_of


@pytest.fixture
def usage_of(room):
    return lambda run: room.client.get(f"/api/v1/runs/{run['id']}").json["usage"]


def test_calls_show_tokens_cost_and_latency(room, run_jobs, writes, calls_of):
    run = room.run(room.add(), model=SONNET)
    run_jobs()
    facts, brief = calls_of(run)
    assert (facts["step"], brief["step"]) == ("facts", "brief")
    known = {
        "sequence": 1,
        "provider": "anthropic",
        "model": "claude-sonnet-4-5",
        "used_llm": True,
        "state": "ok",
        "input_tokens": 1000,
        "cache_read_tokens": 800,
        "cache_write_tokens": 0,
        "output_tokens": 100,
        # 200 tokens at $3, 800 at $0.30 and 100 at $15 a million.
        "cost": "0.002340",
        "currency": "USD",
        "http_status": 200,
        "stop_reason": "end_turn",
        "error_code": None,
        "error": None,
    }
    assert {name: facts[name] for name in known} == known
    assert facts["latency_ms"] >= 0
    assert facts["provider_request_id"].startswith("req_")
    assert facts["created_at"] <= facts["ended_at"] <= brief["created_at"]


def test_prompt_and_answer_are_read_on_demand(room, run_jobs, writes, calls_of):
    run = room.run(room.add(), model=SONNET)
    run_jobs()
    call = calls_of(run)[0]
    assert not call.keys() & {"system", "prompt", "answer"}
    whole = room.client.get(f"/api/v1/runs/{run['id']}/calls/{call['id']}", status=200).json
    assert {**whole, **call} == whole
    assert DECISION in whole["prompt"]
    assert DECISION in whole["answer"]
    assert whole["system"]


def test_a_call_is_found_only_in_its_run(room, run_jobs, calls_of, problem):
    first, second = room.run(room.add()), room.run(room.add("other.md", "Other."))
    run_jobs()
    [call, *_] = calls_of(first)
    for run, call_id in ((second["id"], call["id"]), (first["id"], uuid.uuid4())):
        answer = room.client.get(f"/api/v1/runs/{run}/calls/{call_id}", status="*")
        problem(answer, 404)


def test_a_call_needs_the_right_to_read_sources(app, room, run_jobs, calls_of, sign_in):
    run = room.run(room.add())
    run_jobs()
    [call, *_] = calls_of(run)
    with session_factory(app.registry).begin() as session:
        token, _ = create_token(session, sign_in().user_id, "runs", scopes=["runs:read"])
    client = make_client(app, token)
    path = f"/api/v1/runs/{run['id']}/calls"
    assert client.get(path, status=200).json["items"]
    refused = client.get(f"{path}/{call['id']}", status=403)
    assert 'scope="sources:read"' in refused.headers["WWW-Authenticate"]


def test_calls_come_in_pages(room, run_jobs, calls_of):
    run = room.run(room.add())
    run_jobs()
    path = f"/api/v1/runs/{run['id']}/calls"
    both = [call["id"] for call in calls_of(run)]
    first = room.client.get(f"{path}?limit=1").json
    second = room.client.get(f"{path}?limit=1&cursor={first['next']}").json
    assert [first["items"][0]["id"], second["items"][0]["id"]] == both
    assert second["next"] is None
    newest = room.client.get(f"{path}?sort=-created_at").json["items"]
    assert [call["id"] for call in newest] == both[::-1]


def test_a_run_with_extract_calls_no_model(room, run_jobs, calls_of, usage_of):
    run = room.run(room.add())
    run_jobs()
    assert usage_of(run) == NOTHING
    for call in calls_of(run):
        assert (call["used_llm"], call["cost"], call["provider"]) == (False, "0.000000", "extract")
        whole = room.client.get(f"/api/v1/runs/{run['id']}/calls/{call['id']}").json
        assert not whole["prompt"]


def test_usage_of_a_run_is_the_sum_of_its_calls(room, run_jobs, writes, vendor, usage_of):
    vendor.script(error(429, retry_after=0))
    run = room.run(room.add(), model=SONNET)
    run_jobs()
    assert usage_of(run) == {
        **NOTHING,
        "calls": 3,
        "failed_calls": 1,
        "input_tokens": 2000,
        "cache_read_tokens": 1600,
        "output_tokens": 200,
        "cost": "0.004680",
    }
    assert room.client.get(f"{room.path}/runs").json["items"][0]["usage"] == usage_of(run)


def test_an_unknown_price_is_not_zero(room, run_jobs, writes, calls_of, usage_of):
    run = room.run(room.add(), model=GPT)
    run_jobs()
    assert [call["cost"] for call in calls_of(run)] == [None, None]
    sums = usage_of(run)
    assert (sums["cost"], sums["unpriced_calls"]) == (None, 2)


def test_a_rejected_call_is_counted_and_costs_nothing(room, run_jobs, vendor, calls_of, usage_of):
    vendor.always(error(401))
    run = room.run(room.add(), model=SONNET)
    run_jobs()
    [call] = calls_of(run)
    assert (call["state"], call["http_status"], call["error_code"]) == ("error", 401, "auth")
    assert "ANTHROPIC_API_KEY" in call["error"]
    assert (call["cost"], call["used_llm"]) == (None, None)
    assert usage_of(run) == {**NOTHING, "calls": 1, "failed_calls": 1}


def test_the_cost_of_a_call_with_a_lost_response_is_unknown(room, run_jobs, vendor, usage_of):
    vendor.always(cut({}))
    run = room.run(room.add(), model=SONNET)
    run_jobs()
    sums = usage_of(run)
    assert sums["calls"] == sums["failed_calls"] == sums["unanswered_calls"] >= 1
    assert sums["cost"] is None


@pytest.fixture
def spread(app, room, run_jobs, writes):
    """Six calls: two of Sonnet in November 2025, two of Sonnet and two of GPT in January 2026."""
    months = (SONNET, "2025-11-30"), (SONNET, "2026-01-01"), (GPT, "2026-01-31")
    for model, day in months:
        run = room.run(room.add(f"{day}.md", NOTES.replace("2027", day)), model=model)
        run_jobs()
        # This is the last second of the day in UTC, whatever time zone the database has.
        moment = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(seconds=86_399)
        with session_factory(app.registry).begin() as session:
            session.execute(
                update(Call).where(Call.run_id == uuid.UUID(run["id"])).values(created_at=moment)
            )
    room.run(room.add("rules.md"), model="extract")
    run_jobs()


def costs(room, query=""):
    answer = room.client.get(f"{room.path}/costs?{query}", status=200).json
    rows = [
        (row["month"], f"{row['provider']}/{row['model']}", row["calls"], row["cost"])
        for row in answer["items"]
    ]
    return rows, answer


def test_costs_by_month_and_model(room, spread):
    rows, answer = costs(room, "from=2025-01-01")
    assert rows == [
        ("2026-01", SONNET, 2, "0.004680"),
        ("2026-01", GPT, 2, None),
        ("2025-11", SONNET, 2, "0.004680"),
    ]
    assert answer["complete"]
    assert answer["total"] == {
        **NOTHING,
        "calls": 6,
        "input_tokens": 6000,
        "cache_read_tokens": 4800,
        "output_tokens": 600,
        "cost": "0.009360",
        "unpriced_calls": 2,
    }
    assert (answer["from"], answer["until"]) == ("2025-01-01", None)


@pytest.mark.parametrize(
    ("query", "months"),
    [
        ("from=2025-12-01", {"2026-01"}),
        ("from=2025-11-30&until=2025-12-01", {"2025-11"}),
        ("from=2025-11-30&until=2025-11-30", set()),
        ("from=0001-01-01&until=9999-12-31", {"2025-11", "2026-01"}),
        ("from=2026-02-01&until=2025-01-01", set()),
    ],
)
def test_costs_are_limited_to_a_period(room, spread, query, months):
    rows, answer = costs(room, query)
    assert {row[0] for row in rows} == months
    assert answer["total"]["calls"] == sum(row[2] for row in rows)


@pytest.mark.parametrize(
    "day", ["2026-02-30", "20260101", "2026-W01-1", "0000-01-01", "2026-01", "2026-01-01T00:00:00Z"]
)
def test_an_invalid_date_is_rejected(room, problem, fields, day):
    told = problem(room.client.get(f"{room.path}/costs?from={day}", status="*"), 400)
    assert fields(told) == ["from"]


def test_a_new_project_has_no_costs(room):
    rows, answer = costs(room)
    assert (rows, answer["total"]) == ([], NOTHING)
    now = datetime.now(UTC)
    first = datetime.fromisoformat(answer["from"]).replace(tzinfo=UTC)
    assert first.day == 1
    assert (now.year - first.year) * 12 + now.month - first.month == 11


def test_the_list_of_costs_is_cut_and_the_total_is_complete(room, spread, monkeypatch):
    monkeypatch.setattr("combine_core.runs.calls.MAX_COST_ROWS", 3)
    rows, answer = costs(room, "from=2025-01-01")
    # The rows of the totals count too.
    assert rows == [("2026-01", SONNET, 2, "0.004680")]
    assert not answer["complete"]
    assert answer["total"]["calls"] == 6
