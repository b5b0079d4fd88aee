"""Caches a provider's metadata or keys.

Only one thread fetches a document at a time. The others use the cached document, or wait for the new
one. An expired document stays in use while the provider is unavailable.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, Generic, TypeVar

from combine_auth.failures import SignInFailure, provider_unavailable

log = logging.getLogger(__name__)

TTL_S: Final = 3600.0
# Minimum time between two refreshes for an unknown key, and after a failed fetch.
COOL_DOWN_S: Final = 30.0
# After a failed fetch without a cached document. People are waiting, so the retry comes sooner.
COLD_COOL_DOWN_S: Final = 5.0
_BUSY_RETRY_AFTER_S: Final = 5

T = TypeVar("T")


@dataclass(frozen=True)
class CachedDocument(Generic[T]):
    """A document and the time of its fetch, in seconds of the cache's clock."""

    value: T
    fetched_at: float


@dataclass
class _Fetch:
    """A fetch in progress."""

    done: threading.Event = field(default_factory=threading.Event)
    failure: SignInFailure | None = None


class DocumentCache(Generic[T]):
    """A cache of one document.

    :param name: the description of the document, for the log
    :param fetch: fetches the document; takes a deadline of the monotonic clock, raises only SignInFailure
    :param stale_s: seconds for which an expired document is used when no newer one can be fetched;
        ``None`` for no limit
    :param clock: returns monotonic seconds
    """

    def __init__(
        self,
        name: str,
        fetch: Callable[[float], T],
        *,
        stale_s: float | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._name = name
        self._fetch = fetch
        self._stale_s = stale_s
        self._clock = clock
        self._lock = threading.Lock()
        self._cached: CachedDocument[T] | None = None
        self._failure: SignInFailure | None = None
        self._failed_at = 0.0
        self._refreshed_at: float | None = None
        self._under_way: _Fetch | None = None

    @property
    def cached(self) -> T | None:
        """The cached document, however old. Reading it does no I/O."""
        cached = self._cached
        return cached.value if cached else None

    @property
    def failure(self) -> SignInFailure | None:
        """The failure of the last fetch; ``None`` if it succeeded."""
        return self._failure

    def get(self, deadline: float, max_age_s: float = TTL_S) -> CachedDocument[T]:
        """Return the document, and fetch it if it is older than `max_age_s`. Raises SignInFailure."""
        with self._lock:
            cached, now = self._cached, self._clock()
            if cached and now - cached.fetched_at < max_age_s:
                return cached
            usable = self._usable(now)
            cool_down = COOL_DOWN_S if usable else COLD_COOL_DOWN_S
            if self._failure and now - self._failed_at < cool_down:
                if usable:
                    return usable
                raise _copy(self._failure)
            if self._under_way and usable:
                return usable
            fetch, is_mine = self._join()
        return self._wait_for(fetch, deadline, is_mine=is_mine)

    def refresh(self, outdated: CachedDocument[T], deadline: float) -> CachedDocument[T]:
        """Return a newer document than `outdated`, or `outdated` itself soon after the last refresh."""
        with self._lock:
            cached, now = self._cached, self._clock()
            if cached is None or cached is not outdated:
                return cached or outdated
            last = self._refreshed_at
            if self._under_way is None and last is not None and now - last < COOL_DOWN_S:
                return outdated
            fetch, is_mine = self._join()
            if is_mine:
                self._refreshed_at = now
        return self._wait_for(fetch, deadline, is_mine=is_mine)

    def _usable(self, now: float) -> CachedDocument[T] | None:
        cached = self._cached
        if cached and (self._stale_s is None or now - cached.fetched_at < TTL_S + self._stale_s):
            return cached
        return None

    def _join(self) -> tuple[_Fetch, bool]:
        if self._under_way:
            return self._under_way, False
        self._under_way = _Fetch()
        return self._under_way, True

    def _wait_for(self, fetch: _Fetch, deadline: float, *, is_mine: bool) -> CachedDocument[T]:
        if is_mine:
            self._run(fetch, deadline)
        elif not fetch.done.wait(max(0.0, deadline - monotonic())):
            raise provider_unavailable(f"waited too long for {self._name}", _BUSY_RETRY_AFTER_S)
        with self._lock:
            usable = self._usable(self._clock())
        if usable:
            return usable
        if fetch.failure is None:
            raise provider_unavailable("the fetch ended unexpectedly", _BUSY_RETRY_AFTER_S)
        raise _copy(fetch.failure)

    def _run(self, fetch: _Fetch, deadline: float) -> None:
        try:
            value = self._fetch(deadline)
        except SignInFailure as failure:
            fetch.failure = failure
            with self._lock:
                self._failure, self._failed_at = failure, self._clock()
            log.warning("sign-in: %s: %s", self._name, failure.detail)
        else:
            with self._lock:
                self._cached, self._failure = CachedDocument(value, self._clock()), None
        finally:
            # Also after an unexpected exception, so that the next thread fetches again.
            with self._lock:
                self._under_way = None
            fetch.done.set()


def _copy(failure: SignInFailure) -> SignInFailure:
    """Copy the failure for another thread: each must raise an exception of its own."""
    return SignInFailure(failure.code, failure.detail, failure.retry_after)
