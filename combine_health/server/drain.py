"""How a server ends: it says so, serves on while balancers look away, finishes what it began.

A signal begins it; a second one ends the server at once.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from math import inf
from time import monotonic
from typing import Any, NoReturn

INTERRUPTED = 5.0  # seconds for requests in flight after Ctrl-C: somebody sits there and waits


class Phase(Enum):
    """Where in its life the server is."""

    SERVING = 0
    DRAINING = 1  # not ready, and still serving
    FINISHING = 2  # nothing new; what was begun is finished
    OVER = 3


class Drain:
    """Tells the phase by the clock. ``wait`` is the length of draining, ``stop`` of finishing, in
    seconds.
    """

    def __init__(self, *, wait: float, stop: float, clock: Callable[[], float] = monotonic) -> None:
        self._wait = wait
        self._stop = stop
        self._clock = clock
        self._finishing_at = inf
        self._over_at = inf
        self._asked = False

    def terminate(self) -> None:
        """SIGTERM: drain, finish, end."""
        self._end(self._wait, self._stop)

    def interrupt(self) -> None:
        """SIGINT, Ctrl-C: finish quickly and end."""
        self._end(0.0, min(self._stop, INTERRUPTED))

    def _end(self, wait: float, stop: float) -> None:
        now = self._clock()
        if self._asked:
            wait = stop = 0.0
        self._asked = True
        self._finishing_at = now + wait
        self._over_at = self._finishing_at + stop

    @property
    def phase(self) -> Phase:
        """The phase now."""
        now = self._clock()
        if now >= self._over_at:
            return Phase.OVER
        if now >= self._finishing_at:
            return Phase.FINISHING
        return Phase.DRAINING if self._asked else Phase.SERVING

    @property
    def left(self) -> float:
        """Seconds until the next phase; endless where nobody has asked for it."""
        now = self._clock()
        return min((at - now for at in (self._finishing_at, self._over_at) if at > now), default=0)


@contextmanager
def on_signals(terminate: Callable[[], None], interrupt: Callable[[], None]) -> Iterator[None]:
    """Call ``terminate`` on SIGTERM and ``interrupt`` on SIGINT.

    Only the main thread may; on another, the signals belong to somebody else and stay as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, lambda *_: terminate())
    if before[signal.SIGINT] is not signal.SIG_IGN:  # as a shell's background job has it
        signal.signal(signal.SIGINT, lambda *_: interrupt())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def end_on_sigterm() -> None:
    """Until a server runs, SIGTERM ends the process as SIGINT does."""
    if threading.current_thread() is not threading.main_thread():
        return

    def end(_number: int, _frame: Any) -> NoReturn:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
