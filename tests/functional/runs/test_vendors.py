"""A run with each vendor's SDK, over real HTTP: one journal row for each request."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from sqlalchemy.orm import Session, sessionmaker

from combine_core.llm import ProviderRegistry
from combine_core.llm.anthropic_messages import AnthropicProvider
from combine_core.llm.openai_chat import OpenAIProvider
from combine_core.runs import worker as worker_module
from combine_core.settings.core import CoreSettings
from tests.functional.runs.conftest import StartRun
from tests.functional.runs.test_worker import QUOTE, calls_of, ended, working
from tests.vendor_server import Exchange, VendorServer, error, garbage, ok

MODELS = {"anthropic": "anthropic/claude-sonnet-5-5", "openai": "openai/gpt-5-mini"}


def writes(exchange: Exchange) -> None:
    """What a good model answers to either step of the brief."""
    proof = {"source": "S1", "line_from": 4, "line_to": 4, "quote": QUOTE}
    item = {"text": QUOTE, "evidence": [proof]}
    if "Collect the facts" in exchange.request.prompt:
        ok({"facts": [{**item, "kind": "decision"}]})(exchange)
    else:
        sections = ("summary", "key_points", "numbers", "open_questions", "next_steps")
        ok({**{section: [] for section in sections}, "decisions": [item]})(exchange)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "SWEEP_S", 0.1)
    monkeypatch.setattr(worker_module, "POLL_S", 0.1)


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
        # Whose server it is at OPENAI_BASE_URL, and what it charges, is not known.
        assert (done.cost, done.unpriced_calls) == (0, 2)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("status", [429, 529])
def test_a_vendor_that_turns_away_is_asked_again(
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
def test_a_wrong_key_ends_the_run_with_what_to_do(
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
def test_garbage_is_journaled_as_lost_and_asked_once_more(
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
