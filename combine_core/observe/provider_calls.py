"""How long providers take to answer, per model."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


@contextmanager
def provider_call(provider: str, model: str, *, slow_ms: int) -> Iterator[None]:
    """Log how long the call inside took: as slow beyond `slow_ms`, as a timeout if it ended so.

    Errors pass. One with the ``code`` "timeout" (see ``ProviderError``) is a timeout. Whatever else
    they say is logged by who handles them.
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
        what = "slow provider call" if slow else "provider call"
        if outcome == "timeout":
            what = "provider timeout"
        log.log(
            logging.WARNING if slow or outcome == "timeout" else logging.INFO,
            "%s: %s model %s: %s after %.0f ms",
            what,
            provider,
            model,
            outcome,
            duration,
            extra={"provider": provider, "model": model, "duration": duration},
        )
