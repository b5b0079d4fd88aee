"""The server's I/O loop: it polls only connections with pending events instead of scanning all.

waitress' own loop asks every open connection before every turn which events it waits for; with
1,000 connections that takes half a millisecond per probe. The answer changes only after an event on
the connection or work on it by a worker thread, so this loop asks only those.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from time import monotonic
from typing import Any

SWEEP = 5.0  # seconds between two looks at all: waitress marks abandoned connections for closing
SWITCH_INTERVAL = 0.001  # seconds
MOST_ACCEPTED = 64  # per turn, so that a burst of clients cannot keep the others waiting


class Loop:
    """Watches the sockets of waitress' map, descriptor -> dispatcher.

    ``read`` and ``write`` are waitress' functions that let a dispatcher handle an event.
    """

    def __init__(
        self,
        sockets: dict[int, Any],
        read: Callable[[Any], None],
        write: Callable[[Any], None],
    ) -> None:
        self._sockets = sockets
        self._read = read
        self._write = write
        self._selector = DefaultSelector()
        self._watched: dict[int, int] = {}  # descriptor -> the events that it waits for
        self._changed: list[Any] = []
        self._sweep_at = 0.0

    def recheck(self, dispatcher: Any) -> None:
        """Ask ``dispatcher`` before the next turn which events it waits for. Loop thread only."""
        self._changed.append(dispatcher)

    def forget(self, descriptor: int | None) -> None:
        """Stop watching a descriptor; to be called before it is closed."""
        if descriptor is not None and self._watched.pop(descriptor, 0):
            with suppress(KeyError):  # two threads may close it at once
                self._selector.unregister(descriptor)

    def turn(self, timeout: float, worked_on: Iterable[Any]) -> None:
        """Wait for events, at most ``timeout`` seconds, and have them handled.

        ``worked_on`` are the connections on which worker threads work or have worked since the last
        turn.
        """
        if monotonic() >= self._sweep_at:
            self._sweep_at = monotonic() + SWEEP
            self._changed = list(self._sockets.values())
        for changed in (*self._changed, *worked_on):
            self._watch(changed)
        self._changed = []
        for key, events in self._selector.select(timeout):
            dispatcher: Any = key.data
            if not self._is_open(key.fd, dispatcher):
                continue  # closed by an earlier event
            if events & EVENT_READ:
                self.accept(dispatcher) if dispatcher.accepting else self._read(dispatcher)
            if events & EVENT_WRITE and self._is_open(key.fd, dispatcher):
                self._write(dispatcher)
            self._changed.append(dispatcher)

    def accept(self, listener: Any, most: int = MOST_ACCEPTED) -> None:
        """Accept the clients in the backlog of ``listener``, at most ``most`` of them."""
        for _ in range(most):
            before = len(self._sockets)
            self._read(listener)
            if len(self._sockets) == before:
                break

    def close(self) -> None:
        self._selector.close()

    def _is_open(self, descriptor: int, dispatcher: Any) -> bool:
        return self._sockets.get(descriptor) is dispatcher  # else closed, or already reused

    def _watch(self, dispatcher: Any) -> None:
        handle = dispatcher.socket
        descriptor = -1 if handle is None else handle.fileno()
        if not self._is_open(descriptor, dispatcher):
            return
        wanted = (EVENT_READ if dispatcher.readable() else 0) | (
            EVENT_WRITE if dispatcher.writable() and not dispatcher.accepting else 0
        )
        watched = self._watched.get(descriptor, 0)
        if wanted == watched:
            return
        self._watched[descriptor] = wanted
        if not wanted:
            # A registered descriptor would report its end again and again.
            self._selector.unregister(descriptor)
        elif watched:
            self._selector.modify(descriptor, wanted, dispatcher)
        else:
            self._selector.register(descriptor, wanted, dispatcher)


@contextmanager
def short_switch_interval() -> Iterator[None]:
    """Make busy threads yield after 1 ms instead of Python's 5 ms.

    An answer needs the interpreter several times: with four busy threads a probe took 24 ms.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, SWITCH_INTERVAL))
    try:
        yield
    finally:
        sys.setswitchinterval(before)
