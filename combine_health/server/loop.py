"""The server's I/O loop: it looks at the connections that something happened to, not at all.

waitress' own loop asks every open connection before every turn what it waits for: with 1,000 of
them that is half a millisecond a probe. What a connection waits for changes when bytes were read or
written, or when a worker thread worked on it, so only those are asked.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from time import monotonic
from typing import Any

SWEEP = 5.0  # seconds after which all are asked: waitress marks the abandoned ones to be closed
PROMPT = 0.001  # seconds
MOST_ACCEPTED = 64  # in one turn, so that a crowd cannot keep the others waiting


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
        self._watched: dict[int, int] = {}  # descriptor -> the events that are waited for
        self._touched: list[Any] = []
        self._sweep_at = 0.0

    def touch(self, one: Any) -> None:
        """Ask ``one`` before the next turn. On the loop's thread."""
        self._touched.append(one)

    def forget(self, descriptor: int | None) -> None:
        """Stop to watch; to be called before the descriptor is closed."""
        if descriptor is not None and self._watched.pop(descriptor, 0):
            with suppress(KeyError):  # two threads may close at once
                self._selector.unregister(descriptor)

    def turn(self, timeout: float, touched: Iterable[Any]) -> None:
        """Wait for events, at most ``timeout`` seconds, and let them be handled.

        ``touched`` are the connections that worker threads work on, or have since the last turn.
        """
        if monotonic() >= self._sweep_at:
            self._sweep_at = monotonic() + SWEEP
            self._touched = list(self._sockets.values())
        for changed in (*self._touched, *touched):
            self._watch(changed)
        self._touched = []
        for key, events in self._selector.select(timeout):
            one: Any = key.data
            if key.fd not in self._sockets or self._sockets[key.fd] is not one:
                continue  # closed by an event before this one
            if events & EVENT_READ:
                self.accept(one) if one.accepting else self._read(one)
            if events & EVENT_WRITE and self._sockets.get(key.fd) is one:
                self._write(one)
            self._touched.append(one)

    def accept(self, listener: Any, most: int = MOST_ACCEPTED) -> None:
        """Let in who waits in the backlog."""
        for _ in range(most):
            before = len(self._sockets)
            self._read(listener)
            if len(self._sockets) == before:
                break

    def close(self) -> None:
        """Give the system's resources back; sockets stay open."""
        self._selector.close()

    def _watch(self, one: Any) -> None:
        handle = one.socket
        descriptor = -1 if handle is None else handle.fileno()
        found: Any = self._sockets.get(descriptor)
        if found is not one:
            return  # closed
        wanted = (EVENT_READ if one.readable() else 0) | (
            EVENT_WRITE if one.writable() and not one.accepting else 0
        )
        watched = self._watched.get(descriptor, 0)
        if wanted == watched:
            return
        self._watched[descriptor] = wanted
        if not wanted:
            # Not even for its end: it would be told of that again and again.
            self._selector.unregister(descriptor)
        elif watched:
            self._selector.modify(descriptor, wanted, one)
        else:
            self._selector.register(descriptor, wanted, one)


@contextmanager
def prompt() -> Iterator[None]:
    """Let threads that compute give way to this one, and each other, sooner than Python's 5 ms.

    An answer needs the interpreter several times: with four such threads a probe took 24 ms.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, PROMPT))
    try:
        yield
    finally:
        sys.setswitchinterval(before)
