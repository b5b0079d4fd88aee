"""Shuts the server down gracefully: it reports not ready, keeps serving for a while, then finishes.

A signal starts the shutdown. A second signal ends the server at once.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from math import inf
from time import monotonic
from typing import Any, NoReturn

INTERRUPTED = 5.0  # seconds for the requests in progress after Ctrl-C, because a person waits


class Phase(Enum):
    """The phases of a server."""

    SERVING = 0
    DRAINING = 1  # not ready, but still serving
    FINISHING = 2  # accepts no new connections, finishes its requests
    OVER = 3


class Drain:
    """The clock of a shutdown: draining for ``wait`` seconds, then finishing for at most ``stop`` seconds."""

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
        """The seconds until the next phase, infinite while the server serves."""
        now = self._clock()
        return min((at - now for at in (self._finishing_at, self._over_at) if at > now), default=0)


def _signals(*names: str) -> list[signal.Signals]:
    return [signal.Signals[name] for name in names if name in signal.Signals.__members__]


# Windows has only the first of these.
TERMINATING = _signals("SIGTERM", "SIGHUP", "SIGQUIT")
IGNORED = _signals("SIGUSR1", "SIGUSR2")  # by default, they end the process


@contextmanager
def on_signals(terminate: Callable[[], None], interrupt: Callable[[], None]) -> Iterator[None]:
    """Call ``terminate`` on SIGTERM, SIGHUP and SIGQUIT, and ``interrupt`` on SIGINT.

    SIGUSR1 and SIGUSR2 are ignored. Only the main thread may handle signals; on another thread, this
    does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = dict.fromkeys(TERMINATING, terminate)
    # A handler instead of SIG_IGN, which child processes would inherit.
    handlers |= dict.fromkeys(IGNORED, lambda: None)
    handlers[signal.SIGINT] = interrupt
    before = {number: signal.getsignal(number) for number in handlers}
    for number, call in handlers.items():
        # A shell ignores SIGINT and SIGQUIT for background jobs, and nohup ignores SIGHUP.
        if before[number] is not signal.SIG_IGN or number is signal.SIGTERM:
            signal.signal(number, lambda *_, call=call: call())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def exit_on_signals() -> None:
    """Make SIGINT and `TERMINATING` signals end the process without a traceback, before a server runs."""
    if threading.current_thread() is not threading.main_thread():
        return

    def end(_number: int, _frame: Any) -> NoReturn:
        raise SystemExit(0)

    for number in (*TERMINATING, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN or number is signal.SIGTERM:
            signal.signal(number, end)
    for number in IGNORED:
        signal.signal(number, lambda *_: None)
