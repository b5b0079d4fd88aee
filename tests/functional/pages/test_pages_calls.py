"""Tests the calls on the page of a run, the page of a call, and the costs of a project."""

import pytest
from sqlalchemy import update

from combine_core.llm import providers_of
from combine_core.runs import Call, start_run
from tests.functional.conftest import writes_brief
from tests.functional.pages.conftest import OVEN
from tests.vendor_server import cut, error

SONNET, GPT = "anthropic/claude-sonnet-4-5", "openai/gpt-5-mini"


@pytest.fixture
def run_with(place, ada, slug, run_jobs):
    """``run_with(SONNET)``: a finished run on one source."""

    def run_with(model):
        source = place.source(slug, ada)
        with place.sessions.begin() as session:
            run = start_run(
                session,
                source.project_id,
                "brief",
                [source.id],
                ada.user_id,
                model=model,
                providers=providers_of(place.registry),
            )
        run_jobs()
        return run

    return run_with


@pytest.fixture
def writes(vendor):
    decision = OVEN.splitlines()[3]
    vendor.always(writes_brief(4, decision, input_tokens=1000, cache_read=800, output_tokens=100))


def words(part):
    return " ".join(part.text.split())


def test_a_run_shows_its_cost(ada, run_with, writes):
    page = ada.get(f"/runs/{run_with(SONNET).id}")
    state = words(page.html.select_one(".run-state"))
    assert "$0.0047" in state
    assert "2 calls, 2,000 tokens in (1,600 of them cached), 200 out" in state
    facts = page.html.select_one("ol.rows .row-facts")
    assert "1 call, 1,000 tokens in (800 of them cached), 100 out · $0.0023" in words(facts)
    first, second = page.html.select("#calls li")
    assert "Collect facts Answered anthropic/claude-sonnet-4-5 · 1,000 tokens in" in words(first)
    assert "$0.0023" in words(second)
    assert "HTTP 200" in words(second)


def test_a_call_shows_prompt_and_reply(ada, run_with, writes):
    page = ada.get(f"/runs/{run_with(SONNET).id}")
    call = page.click("Collect facts")
    titles = [heading.text for heading in call.html.select("h2")]
    assert titles == ["Instructions", "Prompt", "Answer"]
    prompt, answer = call.html.select("pre")[1:]
    assert "Who pays for the new seal?" in prompt.text
    assert '"kind": "decision"' in answer.text
    assert call.click("Back to the run").request.path == page.request.path


def test_deleted_texts_are_reported(place, ada, run_with, writes):
    run = run_with(SONNET)
    page = ada.get(f"/runs/{run.id}").click("Collect facts")
    with place.sessions.begin() as session:
        session.execute(update(Call).values(request={}, response=None))
    page = ada.get(page.request.path)
    assert "it was deleted" in words(page.html.main)
    assert "1,000 tokens in" in words(page.html.main)


def test_extract_costs_nothing(ada, run_with):
    page = ada.get(f"/runs/{run_with('extract').id}")
    assert words(page.html.select_one(".run-state")).endswith("no language model, no cost")
    call = page.click("Collect facts")
    assert "extract · no cost" in words(call.html.main)
    assert [heading.text for heading in call.html.select("h2")] == ["Answer"]


def test_a_run_with_only_reused_replies_costs_nothing(ada, run_with, writes):
    run_with(SONNET)
    page = ada.get(f"/runs/{run_with(SONNET).id}")
    assert "reused from an earlier run" in page
    assert "no language model" not in page


@pytest.mark.parametrize("status", [401, 429])
def test_rejected_calls_are_shown(ada, vendor, run_with, status):
    vendor.always(error(status, "No.", retry_after=0))
    page = ada.get(f"/runs/{run_with(SONNET).id}")
    state = words(page.html.select_one(".run-state"))
    assert "no language model" not in state
    assert "nothing was charged" in state
    assert "failed" in state
    call = page.html.select_one("#calls li")
    assert f"HTTP {status}" in words(call)
    assert "not charged" in words(call)


def test_an_unknown_price_is_shown_as_unknown(ada, slug, run_with, writes):
    page = ada.get(f"/runs/{run_with(GPT).id}")
    assert "cost unknown: 2 calls without a known price" in words(page.html.find(id="live"))
    assert "cost unknown" in words(page.html.select_one("#calls li"))
    assert "$0" not in page
    costs = ada.get(f"/projects/{slug}").click("Costs")
    assert "Cost unknown: 2 calls without a known price for 2 calls" in words(costs.html.main)
    assert "$0" not in costs


def test_a_lost_reply_is_shown(ada, vendor, run_with):
    vendor.always(cut({}))
    page = ada.get(f"/runs/{run_with(SONNET).id}")
    assert "cost unknown: 1 call without an answer" in words(page.html.select_one(".run-state"))


def test_a_project_shows_its_costs(place, ada, slug, run_with, writes):
    run_with(SONNET)
    with place.sessions.begin() as session:
        session.execute(update(Call).values(created_at="2025-11-30T23:59:59Z"))
    run_with(GPT)
    assert "No language model was called" in ada.get(f"/projects/{slug}/costs?until=2025-11-30")
    page = ada.get(f"/projects/{slug}/costs?from=2025-11-01")
    total = words(page.html.find(id="total"))
    assert "At least $0.0047, 2 calls without a known price for 4 calls" in total
    months = [heading.text for heading in page.html.select("h2")]
    assert months[-1] == "November 2025"
    assert len(months) == 2
    november = page.html.select("section")[-1]
    assert "$0.0047 for 2 calls, 2,000 tokens in" in words(november)
    assert [row.text for row in november.select(".row-title")] == [SONNET]
    form = page.forms[1]
    form["until"] = "2025-12-01"
    assert len(form.submit().html.select("h2")) == 1


def test_an_invalid_date_gets_400(ada, slug):
    page = ada.get(f"/projects/{slug}/costs?from=yesterday", status=400)
    assert "Enter a date such as 2026-11-01." in page.html.find(id="from-error").text


def test_many_calls_come_in_pages(place, ada, slug):
    run = place.run(slug, ada, place.source(slug, ada))
    with place.sessions.begin() as session:
        [step, *_] = place.steps(session, run)
        for number in range(1, 53):
            call = {"run_id": run.id, "step_id": step.id, "epoch": 1, "sequence": number}
            sent = {"provider": "anthropic", "model": "m", "request": {}, "request_sha256": ""}
            session.add(Call(**call, **sent))
    page = ada.get(f"/runs/{run.id}")
    assert len(page.html.select("#calls li")) == 50
    later = page.click("Later calls")
    assert len(later.html.select("#calls li")) == 2
    # During the run, the reload shows the same page of the list.
    part = ada.get(later.html.find(id="live")["data-poll"])
    assert len(part.html.select("#calls li")) == 2
    assert len(later.click("First calls").html.select("#calls li")) == 50
