"""Runs the server's I/O loop, which queries only connections whose wanted events may have changed.

The loop of waitress queries every open connection in every turn for the events that it waits for. With
1,000 connections, that takes half a millisecond per probe. The result changes only after an event on
the connection or work on it by a worker thread, so this loop queries only those connections.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from time import monotonic
from typing import Any

SWEEP = 5.0  # seconds between two queries of all: waitress marks abandoned connections for closing
SWITCH_INTERVAL = 0.001  # seconds
PAUSE = 0.5  # seconds without new clients after the process ran out of descriptors
MOST_ACCEPTED = 64  # per turn, so that a burst of new clients does not delay the others


class Loop:
    """An I/O loop over the sockets of waitress' map, descriptor -> dispatcher.

    ``read`` and ``write`` are the functions of waitress that make a dispatcher handle an event.
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
        self._accept_at = 0.0

    def recheck(self, dispatcher: Any) -> None:
        """Query the events of ``dispatcher`` before the next turn. Call it only on the loop thread."""
        self._changed.append(dispatcher)

    def forget(self, descriptor: int | None) -> None:
        """Stop watching a descriptor. Call it before the descriptor is closed."""
        if descriptor is not None and self._watched.pop(descriptor, 0):
            with suppress(KeyError):  # two threads may close it at once
                self._selector.unregister(descriptor)

    def turn(self, timeout: float, worked_on: Iterable[Any]) -> None:
        """Wait at most ``timeout`` seconds for events, and handle them.

        ``worked_on`` are the connections that worker threads use or have used since the last turn.
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

    def pause(self) -> None:
        """Accept no clients for a moment. A listener with a waiting client would be ready in every turn."""
        self._accept_at = monotonic() + PAUSE
        self._sweep_at = min(self._sweep_at, self._accept_at)

    def close(self) -> None:
        self._selector.close()

    def _is_open(self, descriptor: int, dispatcher: Any) -> bool:
        return self._sockets.get(descriptor) is dispatcher  # else closed, or already reused

    def _watch(self, dispatcher: Any) -> None:
        handle = dispatcher.socket
        descriptor = -1 if handle is None else handle.fileno()
        if not self._is_open(descriptor, dispatcher):
            return
        paused = dispatcher.accepting and monotonic() < self._accept_at
        wanted = (EVENT_READ if dispatcher.readable() and not paused else 0) | (
            EVENT_WRITE if dispatcher.writable() and not dispatcher.accepting else 0
        )
        watched = self._watched.get(descriptor, 0)
        if wanted == watched:
            return
        self._watched[descriptor] = wanted
        if not wanted:
            # A registered descriptor would report the end of its connection in every turn.
            self._selector.unregister(descriptor)
        elif watched:
            self._selector.modify(descriptor, wanted, dispatcher)
        else:
            self._selector.register(descriptor, wanted, dispatcher)


@contextmanager
def short_switch_interval() -> Iterator[None]:
    """Make busy threads yield after 1 ms instead of Python's default of 5 ms.

    A response acquires the GIL several times. With four busy threads and the default, a probe took 24 ms.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, SWITCH_INTERVAL))
    try:
        yield
    finally:
        sys.setswitchinterval(before)
