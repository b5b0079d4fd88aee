"""Tests a run with the SDK of each vendor over real HTTP: one journal row for each request."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from combine_core.llm import ProviderRegistry
from combine_core.llm.anthropic_messages import AnthropicProvider
from combine_core.llm.openai_chat import OpenAIProvider
from combine_core.runs import Call
from combine_core.settings.core import CoreSettings
from combine_core.sources import Source
from tests.functional.conftest import writes_brief
from tests.functional.runs.conftest import TEXT, Place, StartRun
from tests.functional.runs.test_worker import QUOTE, calls_of, ended, working
from tests.vendor_server import Exchange, VendorServer, empty, error, garbage, ok, truncated

pytestmark = pytest.mark.usefixtures("frequent_polling")

MODELS = {"anthropic": "anthropic/claude-sonnet-5-5", "openai": "openai/gpt-5-mini"}


writes = writes_brief(4, QUOTE)


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    with VendorServer() as server:
        yield server


@pytest.fixture
def registry(vendor: VendorServer) -> ProviderRegistry:
    providers = ProviderRegistry()
    providers.register(AnthropicProvider("sk-ant-test", vendor.url))
    providers.register(OpenAIProvider("sk-test", vendor.openai_url))
    return providers


@pytest.fixture
def long_source(sessions: Sessions, place: Place) -> None:
    """A source of a thousand words."""
    words = TEXT + "The oven was measured again on this day.\n" * 125
    with sessions.begin() as session:
        changed = update(Source).where(Source.id == place.source_id).values(text=words)
        session.execute(changed)


Sessions = sessionmaker[Session]


@pytest.mark.parametrize("name", MODELS)
def test_a_run_with_a_model_is_journaled_and_priced(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    vendor: VendorServer,
    registry: ProviderRegistry,
    name: str,
) -> None:
    vendor.always(writes)
    run = start(MODELS[name], registry)
    with working(settings, registry):
        done = ended(sessions, run)
    assert done.state == "succeeded", done.error
    calls = calls_of(sessions, run)
    assert len(calls) == len(vendor.requests) == 2
    for call in calls:
        assert (call.provider, call.state, call.http_status) == (name, "ok", 200)
        assert call.provider_request_id
        assert call.input_tokens
        assert call.output_tokens
        assert call.used_llm
    if name == "anthropic":
        assert done.cost == sum((call.cost for call in calls if call.cost), Decimal(0)) > 0
    else:
        # The owner and the prices of the server at OPENAI_BASE_URL are unknown.
        assert (done.cost, done.unpriced_calls) == (0, 2)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("status", [429, 529])
def test_a_call_is_retried_after_a_rate_limit(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    vendor: VendorServer,
    registry: ProviderRegistry,
    name: str,
    status: int,
) -> None:
    vendor.script(error(status, retry_after=0)).always(writes)
    run = start(MODELS[name], registry)
    with working(settings, registry):
        assert ended(sessions, run).state == "succeeded"
    states = [(call.state, call.http_status) for call in calls_of(sessions, run)]
    assert states == [("error", status), ("ok", 200), ("ok", 200)]


@pytest.mark.parametrize("name", MODELS)
def test_a_wrong_key_ends_the_run_with_the_remedy(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    vendor: VendorServer,
    registry: ProviderRegistry,
    name: str,
) -> None:
    vendor.always(error(401))
    run = start(MODELS[name], registry)
    with working(settings, registry):
        failed = ended(sessions, run)
    assert (failed.state, failed.error_code) == ("failed", "auth")
    assert f"{name.upper()}_API_KEY" in (failed.error or "")
    assert "sk-" not in (failed.error or "")
    assert len(vendor.requests) == 1


@pytest.mark.parametrize("name", MODELS)
def test_the_message_about_an_empty_answer_ends_with_one_full_stop(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    vendor: VendorServer,
    registry: ProviderRegistry,
    name: str,
) -> None:
    vendor.always(empty())
    run = start(MODELS[name], registry)
    with working(settings, registry):
        failed = ended(sessions, run)
    message = failed.error or ""
    assert (message.endswith("."), ".." in message) == (True, False)


@pytest.mark.parametrize("name", MODELS)
def test_a_garbled_reply_is_journaled_as_lost_and_retried_once(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    vendor: VendorServer,
    registry: ProviderRegistry,
    name: str,
) -> None:
    vendor.script(garbage()).always(writes)
    run = start(MODELS[name], registry)
    with working(settings, registry):
        assert ended(sessions, run).state == "succeeded"
    states = [call.state for call in calls_of(sessions, run)]
    assert states == ["lost", "ok", "ok"]


# Written by hand: strings for numbers, a draft, one key too many.
THINKING = """<think>The lines say "Friday". {"facts": []} would be lazy.</think>
{"facts": [{"text": "%(quote)s", "kind": "decision", "sure": true,
  "evidence": [{"source": "S1", "line_from": "4", "line_to": "4", "quote": "%(quote)s"}]}]}"""


def test_a_reply_of_a_reasoning_model_is_repaired_without_a_call(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    vendor: VendorServer,
    registry: ProviderRegistry,
) -> None:
    vendor.script(ok(THINKING % {"quote": QUOTE})).always(writes)
    run = start(MODELS["openai"], registry)
    with working(settings, registry):
        done = ended(sessions, run)
    assert done.state == "succeeded", done.error
    facts, brief = calls_of(sessions, run)
    assert facts.mends is not None
    assert sorted(facts.mends) == [
        '/facts/0/evidence/0/line_from: converted "4" to integer',
        '/facts/0/evidence/0/line_to: converted "4" to integer',
        "/facts/0: dropped the unknown key 'sure'",
    ]
    assert brief.mends is None


def limits_of(vendor: VendorServer) -> list[int]:
    return [request.body["max_tokens"] for request in vendor.requests]


@pytest.mark.parametrize("name", MODELS)
def test_a_truncated_reply_is_retried_with_a_higher_limit(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    vendor: VendorServer,
    registry: ProviderRegistry,
    name: str,
) -> None:
    cut_off = truncated({"facts": ["x" * 80]})
    vendor.script(cut_off, cut_off).always(writes)
    run = start(MODELS[name], registry)
    with working(settings, registry):
        done = ended(sessions, run)
    assert done.state == "succeeded", done.error
    assert limits_of(vendor) == [8000, 16_000, 32_000, 8000]
    assert len({request.prompt for request in vendor.requests[:3]}) == 1
    assert [call.state for call in calls_of(sessions, run)] == ["error", "error", "ok", "ok"]


def test_a_truncated_reply_at_the_maximum_fails_the_run(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    vendor: VendorServer,
    registry: ProviderRegistry,
) -> None:
    vendor.always(truncated({"facts": ["x" * 80]}))
    run = start(MODELS["openai"], registry)
    lower = settings.model_copy(update={"answer_tokens": 10_000})
    with working(lower, registry):
        failed = ended(sessions, run)
    assert (failed.state, failed.error_code) == ("failed", "answer_cut")
    assert "10,000 tokens" in (failed.error or "")
    assert "COMBINE_CORE_ANSWER_TOKENS" in (failed.error or "")
    assert limits_of(vendor) == [8000, 10_000]


@pytest.mark.parametrize("name", MODELS)
def test_a_server_that_truncates_the_prompt_is_reported(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    vendor: VendorServer,
    registry: ProviderRegistry,
    name: str,
    long_source: None,
) -> None:
    def clips(exchange: Exchange) -> None:
        ok({"facts": []}, input_tokens=400)(exchange)

    vendor.always(clips)
    run = start(MODELS[name], registry)
    with working(settings, registry):
        failed = ended(sessions, run)
    assert (failed.state, failed.error_code) == ("failed", "prompt_clipped")
    assert "400 tokens" in (failed.error or "")
    [call] = calls_of(sessions, run)
    assert (call.state, call.error_code, call.input_tokens) == ("error", "prompt_clipped", 400)


def test_the_timeout_is_a_setting(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    vendor: VendorServer,
    registry: ProviderRegistry,
) -> None:
    vendor.always(writes)
    run = start(MODELS["openai"], registry)
    with working(settings.model_copy(update={"model_timeout": 600}), registry):
        assert ended(sessions, run).state == "succeeded"
    with sessions() as session:
        requests = session.scalars(select(Call.request).where(Call.run_id == run.id)).all()
    assert [request["timeout"] for request in requests] == [600, 600]
