"""Failed sign-ins of this process, counted for the health check and for /metrics."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

from pyramid.registry import Registry

from combine_auth.failures import FailureCode

# How many sign-ins in a row a provider refuses for the secret until the check says so.
WRONG_SECRET_AFTER: Final = 10
_KEY = "combine_auth.failure_counts"


class FailureCounts:
    """Counts by provider and code, since the process started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._secret_refused: Counter[str] = Counter()

    def failed(self, provider: str, code: FailureCode, *, told_by_browser: bool) -> None:
        """Count a failure.

        :param told_by_browser: the browser brought the provider's error, which anybody can make up
        """
        with self._lock:
            self._counts[provider, code] += 1
            if code is FailureCode.INVALID_CLIENT and not told_by_browser:
                self._secret_refused[provider] += 1

    def succeeded(self, provider: str) -> None:
        """A sign-in with this provider: its secret is right."""
        with self._lock:
            self._secret_refused.pop(provider, None)

    def by_provider_and_code(self) -> dict[tuple[str, str], int]:
        with self._lock:
            return dict(self._counts)

    def refusing_the_secret(self) -> dict[str, int]:
        """The providers that refuse the secret, and how many sign-ins in a row they refused."""
        with self._lock:
            refused = self._secret_refused.items()
            return {name: count for name, count in refused if count >= WRONG_SECRET_AFTER}


def failure_counts(registry: Registry) -> FailureCounts:
    """The counts of this application."""
    counts: FailureCounts = registry.setdefault(_KEY, FailureCounts())
    return counts
