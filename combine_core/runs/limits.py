"""Limits that the operator sets for models. They override the limits of a line."""

from __future__ import annotations

from dataclasses import dataclass

from combine_core.settings.core import CoreSettings


@dataclass(frozen=True)
class ModelLimits:
    """Limits of every call.

    :ivar timeout: seconds for one call; ``None``: the timeout of the step
    :ivar answer_tokens: maximum tokens of an answer
    :ivar context_tokens: maximum tokens of prompt and answer together; ``None``: the context of the model
    """

    timeout: float | None = None
    answer_tokens: int = 32_000
    context_tokens: int | None = None


def limits_of(settings: CoreSettings) -> ModelLimits:
    return ModelLimits(settings.model_timeout, settings.answer_tokens, settings.context_tokens)
