"""Logs the duration of each call to an LLM provider."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


@contextmanager
def provider_call(provider: str, model: str, *, slow_ms: int) -> Iterator[None]:
    """Log the duration of the call in the block, with a warning if it is slow or times out.

    Errors pass through; their handler logs them. An error with the ``code`` "timeout" (see
    ``ProviderError``) counts as a timeout.

    :param slow_ms: the duration from which a call counts as slow
    """
    started = time.monotonic()
    outcome = "failed"
    try:
        yield
        outcome = "ok"
    except Exception as error:
        outcome = str(getattr(error, "code", outcome))
        raise
    finally:
        duration = round((time.monotonic() - started) * 1000, 1)
        slow = duration >= slow_ms
        event = "slow provider call" if slow else "provider call"
        if outcome == "timeout":
            event = "provider timeout"
        log.log(
            logging.WARNING if slow or outcome == "timeout" else logging.INFO,
            "%s: %s model %s: %s after %.0f ms",
            event,
            provider,
            model,
            outcome,
            duration,
            extra={"provider": provider, "model": model, "duration": duration},
        )
