"""Tests the estimate of a run, which is based only on the sizes of its sources."""

from __future__ import annotations

import uuid
from decimal import Decimal

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from combine_core.llm import ProviderRegistry, provider_registry
from combine_core.runs import InvalidRun, ModelLimits, estimate_run, start_run
from combine_core.runs.estimate import Estimate
from combine_core.settings.core import CoreSettings
from combine_core.sources import add_source
from tests.functional.runs.conftest import Place

Sessions = sessionmaker[Session]
CLAUDE = "anthropic/claude-sonnet-4-5"
LOG = "The oven runs at the same heat all day long.\n" * 40_000


@pytest.fixture
def providers(settings: CoreSettings) -> ProviderRegistry:
    keys = {"anthropic_api_key": SecretStr("sk-ant-x"), "openai_base_url": "http://127.0.0.1:9/v1"}
    return provider_registry(settings.model_copy(update=keys))


@pytest.fixture
def log(sessions: Sessions, place: Place) -> uuid.UUID:
    with sessions.begin() as session:
        return add_source(session, place.project_id, "oven.log", LOG, place.user_id).id


def test_an_estimate_has_calls_tokens_and_cost(
    sessions: Sessions, place: Place, providers: ProviderRegistry, log: uuid.UUID
) -> None:
    def estimated(model: str, *sources: uuid.UUID, limits: ModelLimits | None = None) -> Estimate:
        with sessions() as session:
            return estimate_run(
                session,
                place.project_id,
                "brief",
                sources,
                model=model,
                providers=providers,
                limits=limits or ModelLimits(),
            )

    short = estimated(CLAUDE, place.source_id)
    assert short.calls == 2
    assert short.cost is not None
    assert Decimal("0.001") < short.cost < Decimal("0.1")
    long = estimated(CLAUDE, place.source_id, log)
    assert long.cost is not None
    # 1.8 MB are half a million tokens, which exceed any single call.
    assert 400_000 < long.input_tokens < 900_000
    assert 20 < long.calls < 60
    assert long.cost > Decimal(1)
    assert estimated("openai/qwen", log).cost is None
    small = estimated("openai/qwen", log, limits=ModelLimits(context_tokens=8000))
    assert small.calls > estimated("openai/qwen", log).calls
    assert estimated("extract", log) == Estimate(0, 0, 0, Decimal(0))


def test_a_model_with_too_small_a_context_is_rejected(
    sessions: Sessions, place: Place, providers: ProviderRegistry
) -> None:
    with sessions() as session:
        with pytest.raises(InvalidRun, match="context of 1,000 tokens") as caught:
            start_run(
                session,
                place.project_id,
                "brief",
                [place.source_id],
                place.user_id,
                model="openai/qwen",
                providers=providers,
                limits=ModelLimits(context_tokens=1000),
            )
        assert caught.value.field == "model"
        assert session.scalar(text("SELECT count(*) FROM runs")) == 0
