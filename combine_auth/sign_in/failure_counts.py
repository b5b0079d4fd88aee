"""Counts the failed sign-ins of this process, for the health check and /metrics."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

from pyramid.registry import Registry

from combine_auth.failures import FailureCode

# The check reports a wrong secret after this many consecutive refusals.
WRONG_SECRET_AFTER: Final = 10
_KEY = "combine_auth.failure_counts"


class FailureCounts:
    """The failed sign-ins since the process started, by provider and code."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._secret_refused: Counter[str] = Counter()

    def failed(self, provider: str, code: FailureCode, *, from_browser: bool) -> None:
        """Count a failure.

        :param from_browser: the browser reported the provider's error, so it may be made up
        """
        with self._lock:
            self._counts[provider, code] += 1
            if code is FailureCode.INVALID_CLIENT and not from_browser:
                self._secret_refused[provider] += 1

    def succeeded(self, provider: str) -> None:
        """Record a successful sign-in, which shows that the provider accepts the secret."""
        with self._lock:
            self._secret_refused.pop(provider, None)

    def by_provider_and_code(self) -> dict[tuple[str, str], int]:
        with self._lock:
            return dict(self._counts)

    def secret_refusals(self) -> dict[str, int]:
        """Return the number of consecutive refusals for each provider that rejects the client secret."""
        with self._lock:
            refused = self._secret_refused.items()
            return {name: count for name, count in refused if count >= WRONG_SECRET_AFTER}


def failure_counts(registry: Registry) -> FailureCounts:
    counts: FailureCounts = registry.setdefault(_KEY, FailureCounts())
    return counts
