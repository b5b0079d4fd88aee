"""Reusable daemon threads that are never joined, and what to reset in the child of a fork."""

import os
import threading
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Generic, Protocol, TypeAlias, TypeVar

Result = TypeVar("Result")
Job: TypeAlias = tuple[Callable[[], Result], Callable[[Result], None]]

IDLE_SECONDS = 60.0


def report(error: BaseException) -> None:
    """Say ``error`` as Python says what ends a thread: logging may be the very thing that broke."""
    args = (type(error), error, error.__traceback__, threading.current_thread())
    threading.excepthook(threading.ExceptHookArgs(args))


class DaemonPool(Generic[Result]):
    """As many threads as there are jobs at once, no more; an idle one ends after a minute.

    ``concurrent.futures`` will not do: its threads are joined at exit, so a hung job would hold the
    process.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._idle: list[SimpleQueue[Job[Result]]] = []

    def submit(self, work: Callable[[], Result], done: Callable[[Result], None]) -> None:
        """Run ``work`` on a thread and hand what it returns to ``done``. Neither may raise.

        Raises `RuntimeError` when the system gives no further thread.
        """
        with self._lock:
            inbox = self._idle.pop() if self._idle else None
        if inbox is None:
            inbox = SimpleQueue()
            Thread(target=self._serve, args=(inbox,), name="health check", daemon=True).start()
        inbox.put((work, done))

    def _serve(self, inbox: "SimpleQueue[Job[Result]]") -> None:
        while True:
            try:
                work, done = inbox.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if inbox in self._idle:
                        self._idle.remove(inbox)
                        return
                continue  # chosen in this very moment: the job is on its way
            result = work()
            # Idle before it says so, or the next job of the same check would start a second thread.
            with self._lock:
                self._idle.append(inbox)
            try:
                done(result)
            except Exception as error:  # noqa: BLE001 - reported; the thread is promised already
                report(error)
            del work, done, result


class Resettable(Protocol):
    """An object with threads or locks of its own, which are void in the child of a fork."""

    def reset(self) -> None:
        """Start again without touching the locks of the parent."""


_RESETTABLES: "weakref.WeakSet[Resettable]" = weakref.WeakSet()


def reset_after_fork(resettable: Resettable) -> None:
    """Call ``resettable.reset()`` in every forked child for as long as the object lives."""
    _RESETTABLES.add(resettable)


def _reset_all() -> None:
    for resettable in list(_RESETTABLES):
        resettable.reset()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_reset_all)
