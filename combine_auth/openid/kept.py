"""Something of the provider's that is fetched when needed and kept: its metadata, its keys.

One thread fetches at a time; the others use what is there, or wait for it. What was good once stays in
use while the provider cannot give anything newer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, Generic, TypeVar

from combine_auth.failure import FailureCode, SignInFailure

log = logging.getLogger(__name__)

TTL_S: Final = 3600.0
# From one fetch that a token has called for to the next; and after a failed one.
COOL_DOWN_S: Final = 30.0
# After a failed fetch with nothing to fall back upon: people wait, so it is tried again sooner.
COLD_PAUSE_S: Final = 5.0

T = TypeVar("T")


@dataclass(frozen=True)
class Fetched(Generic[T]):
    """A value, and when it was fetched, in seconds of the clock."""

    value: T
    at: float


@dataclass
class _Flight:
    """A fetch that is under way."""

    landed: threading.Event = field(default_factory=threading.Event)
    failure: SignInFailure | None = None


class Kept(Generic[T]):
    """See the module.

    :param what: for the log
    :param fetch: gets the value; takes a deadline of the monotonic clock, raises SignInFailure alone
    :param stale_s: how long a value is used when no newer can be fetched; ``None``: for good
    :param clock: seconds; monotonic
    """

    def __init__(
        self,
        what: str,
        fetch: Callable[[float], T],
        *,
        stale_s: float | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._what = what
        self._fetch = fetch
        self._stale_s = stale_s
        self._clock = clock
        self._lock = threading.Lock()
        self._held: Fetched[T] | None = None
        self._failure: SignInFailure | None = None
        self._failed_at = 0.0
        self._called_for_at: float | None = None
        self._flight: _Flight | None = None

    @property
    def known(self) -> T | None:
        """The value that is there, however old."""
        held = self._held
        return held.value if held else None

    @property
    def failure(self) -> SignInFailure | None:
        """Why the last fetch failed; ``None`` if it did not."""
        return self._failure

    def get(self, deadline: float, max_age_s: float = TTL_S) -> Fetched[T]:
        """The value, fetched anew where it is older than `max_age_s`.

        Raises SignInFailure where there is none, and none to be had.
        """
        with self._lock:
            held, now = self._held, self._clock()
            if held and now - held.at < max_age_s:
                return held
            usable = self._usable(now)
            if self._failure and now - self._failed_at < (COOL_DOWN_S if usable else COLD_PAUSE_S):
                if usable:
                    return usable
                raise _again(self._failure)
            if self._flight and usable:
                return usable
            flight, mine = self._join()
        return self._land(flight, deadline, mine=mine)

    def renewed(self, seen: Fetched[T], deadline: float) -> Fetched[T]:
        """A newer value than `seen`, which turned out too old; `seen` if that was asked too often."""
        with self._lock:
            held, now = self._held, self._clock()
            if held is None or held is not seen:
                return held or seen
            last = self._called_for_at
            if self._flight is None and last is not None and now - last < COOL_DOWN_S:
                return seen
            flight, mine = self._join()
            if mine:
                self._called_for_at = now
        return self._land(flight, deadline, mine=mine)

    def _usable(self, now: float) -> Fetched[T] | None:
        held = self._held
        fresh = held and (self._stale_s is None or now - held.at < TTL_S + self._stale_s)
        return held if fresh else None

    def _join(self) -> tuple[_Flight, bool]:
        if self._flight:
            return self._flight, False
        self._flight = _Flight()
        return self._flight, True

    def _land(self, flight: _Flight, deadline: float, *, mine: bool) -> Fetched[T]:
        if mine:
            self._fly(flight, deadline)
        elif not flight.landed.wait(max(0.0, deadline - monotonic())):
            detail = f"waited too long for {self._what}"
            raise SignInFailure(FailureCode.PROVIDER_UNAVAILABLE, detail, 5)
        with self._lock:
            usable = self._usable(self._clock())
        if usable:
            return usable
        raise _again(flight.failure)

    def _fly(self, flight: _Flight, deadline: float) -> None:
        try:
            value = self._fetch(deadline)
        except SignInFailure as failure:
            flight.failure = failure
            with self._lock:
                self._failure, self._failed_at = failure, self._clock()
            log.warning("sign-in: %s: %s", self._what, failure.detail)
        else:
            with self._lock:
                self._held, self._failure = Fetched(value, self._clock()), None
        finally:
            # Also after an exception that nobody foresaw: the next one who asks tries again.
            with self._lock:
                self._flight = None
            flight.landed.set()


def _again(failure: SignInFailure | None) -> SignInFailure:
    """The failure for another thread: an exception is raised once."""
    if failure is None:
        return SignInFailure(FailureCode.PROVIDER_UNAVAILABLE, "the fetch ended oddly", 5)
    return SignInFailure(failure.code, failure.detail, failure.retry_after)
