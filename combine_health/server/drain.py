"""How the server ends: it reports not ready, keeps serving for a while, and finishes its requests.

A signal starts this. A second signal ends the server at once.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from math import inf
from time import monotonic
from typing import Any, NoReturn

INTERRUPTED = 5.0  # seconds for the requests in flight after Ctrl-C: a person is waiting


class Phase(Enum):
    """The phases in the life of a server."""

    SERVING = 0
    DRAINING = 1  # not ready, but still serving
    FINISHING = 2  # accepts nothing new, finishes what has begun
    OVER = 3


class Drain:
    """Tells the phase by the clock: it drains for ``wait`` seconds, then finishes for ``stop``."""

    def __init__(self, *, wait: float, stop: float, clock: Callable[[], float] = monotonic) -> None:
        self._wait = wait
        self._stop = stop
        self._clock = clock
        self._finishing_at = inf
        self._over_at = inf
        self._started = False

    def terminate(self) -> None:
        """Drain, finish and end, as on SIGTERM."""
        self._end(self._wait, self._stop)

    def interrupt(self) -> None:
        """Finish quickly and end, as on SIGINT (Ctrl-C)."""
        self._end(0.0, min(self._stop, INTERRUPTED))

    def _end(self, wait: float, stop: float) -> None:
        now = self._clock()
        if self._started:
            wait = stop = 0.0
        self._started = True
        self._finishing_at = now + wait
        self._over_at = self._finishing_at + stop

    @property
    def phase(self) -> Phase:
        now = self._clock()
        if now >= self._over_at:
            return Phase.OVER
        if now >= self._finishing_at:
            return Phase.FINISHING
        return Phase.DRAINING if self._started else Phase.SERVING

    @property
    def left(self) -> float:
        """Seconds until the next phase; infinite while the server serves."""
        now = self._clock()
        return min((at - now for at in (self._finishing_at, self._over_at) if at > now), default=0)


@contextmanager
def on_signals(terminate: Callable[[], None], interrupt: Callable[[], None]) -> Iterator[None]:
    """Call ``terminate`` on SIGTERM and ``interrupt`` on SIGINT.

    Only the main thread may handle signals; on another thread this changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, lambda *_: terminate())
    if before[signal.SIGINT] is not signal.SIG_IGN:  # a shell ignores it for background jobs
        signal.signal(signal.SIGINT, lambda *_: interrupt())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def exit_on_sigterm() -> None:
    """Make SIGTERM end the process as SIGINT does, until a server handles it."""
    if threading.current_thread() is not threading.main_thread():
        return

    def end(_number: int, _frame: Any) -> NoReturn:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
