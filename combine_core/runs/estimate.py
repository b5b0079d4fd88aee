"""Estimates the calls, tokens and cost of a run from the sizes of its sources, before it starts."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from combine_core.lines import Line, WriteStep
from combine_core.llm import Offline, ProviderRegistry, Usage
from combine_core.runs.portions import ModelLimits
from combine_core.runs.questions import context_for, frame_tokens, room_for_source
from combine_core.sources import Source

# Bytes of UTF-8 per token, for a text whose content is not loaded.
_BYTES_PER_TOKEN = 3.6
_TOKENS_PER_LINE = 3
# The size of the facts with their quotes, as a share of the text that contains them.
_SHARE_OF_FACTS = 0.25
_MIN_ANSWER_TOKENS = 150
_MICRO_DOLLAR = Decimal("0.000001")


@dataclass(frozen=True)
class Estimate:
    """The maximum calls, tokens and cost of a run, if no answer needs a repair.

    :ivar cost: in US dollars; ``None`` if the price of the model is unknown
    """

    calls: int
    input_tokens: int
    output_tokens: int
    cost: Decimal | None


def estimate(
    session: Session,
    line: Line,
    source_ids: Sequence[uuid.UUID],
    *,
    model: str,
    providers: ProviderRegistry,
    limits: ModelLimits,
) -> Estimate:
    """Estimate a run. The estimate ignores that answers of earlier runs may be reused at no cost.

    :raises UnknownModel: if no provider has this model
    :raises ContextTooSmall: if the line does not fit this model
    """
    provider, _ = providers.resolve(model)
    if isinstance(provider, Offline):
        return Estimate(0, 0, 0, Decimal(0))
    sizes = session.execute(
        select(Source.size, Source.line_count).where(Source.id.in_(source_ids))
    ).all()
    texts = [round(size / _BYTES_PER_TOKEN) + lines * _TOKENS_PER_LINE for size, lines in sizes]
    context = context_for(model, providers, limits)
    calls = read = 0
    written: dict[str, int] = {}
    for step in line.steps:
        step_calls, step_tokens = _size_of(step, texts, written, context)
        calls += step_calls
        read += step_tokens
        written[step.key] = sum(
            min(
                step.max_tokens,
                round(step_tokens / step_calls * _SHARE_OF_FACTS) + _MIN_ANSWER_TOKENS,
            )
            for _ in range(step_calls)
        )
        if step.second_opinion:
            # The prompt contains each statement with its sentences. The answer is short.
            calls += step_calls
            read += written[step.key]
    usage = Usage(input_tokens=read, output_tokens=sum(written.values()))
    cost = providers.price_of(model, usage)
    if cost is not None:
        cost = cost.quantize(_MICRO_DOLLAR)
    return Estimate(calls, usage.input_tokens, usage.output_tokens, cost)


def _size_of(
    step: WriteStep, texts: Sequence[int], written: dict[str, int], context: int
) -> tuple[int, int]:
    """Return the number of calls of a step and the tokens sent in them."""
    if step.each is None:
        inputs = sum(written[need] for need in step.needs) if step.needs else sum(texts)
        return 1, frame_tokens(step) + inputs
    calls = sum(math.ceil(text / room_for_source(step, context)) or 1 for text in texts)
    return calls, calls * frame_tokens(step) + sum(texts)
