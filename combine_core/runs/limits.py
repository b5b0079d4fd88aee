"""What the people who run the service allow models, whatever a line says."""

from __future__ import annotations

from dataclasses import dataclass

from combine_core.settings.core import CoreSettings


@dataclass(frozen=True)
class ModelLimits:
    """Limits of every call.

    :ivar timeout: seconds for one call; ``None``: as the step says
    :ivar answer_tokens: the most tokens of an answer
    :ivar context_tokens: what prompt and answer may have together; ``None``: what is known of the model
    """

    timeout: float | None = None
    answer_tokens: int = 32_000
    context_tokens: int | None = None


def limits_of(settings: CoreSettings) -> ModelLimits:
    return ModelLimits(settings.model_timeout, settings.answer_tokens, settings.context_tokens)
