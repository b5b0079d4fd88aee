"""Runs a check function on a daemon thread and converts its outcome into a result."""

import inspect
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from combine_health.engine.check import Check, HealthResult, Status
from combine_health.engine.redaction import Redactor
from combine_health.engine.state import TIMEOUT

Result = TypeVar("Result")
Job: TypeAlias = tuple[Callable[[], Result], Callable[[Result], None]]

IDLE_SECONDS = 60.0


def report(error: BaseException) -> None:
    """Print ``error`` like an uncaught exception of a thread, because logging itself may have failed."""
    args = (type(error), error, error.__traceback__, threading.current_thread())
    threading.excepthook(threading.ExceptHookArgs(args))


class DaemonPool(Generic[Result]):
    """A pool with one thread per concurrent job. Idle threads end after a minute.

    ``concurrent.futures`` is unsuitable: it joins its threads at exit, so a hung job would keep the
    process from exiting.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._idle: list[SimpleQueue[Job[Result]]] = []

    def submit(self, work: Callable[[], Result], done: Callable[[Result], None]) -> None:
        """Run ``work`` on a thread and pass its result to ``done``. Neither may raise.

        Raises `RuntimeError` when the system cannot start another thread.
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
                continue  # `submit` has just taken this inbox and is about to add a job
            result = work()
            # List it as idle before `done`, or the next job of the same check would start a new thread.
            with self._lock:
                self._idle.append(inbox)
            try:
                done(result)
            except Exception as error:  # noqa: BLE001 - reported; this thread must serve the next job
                report(error)
            del work, done, result


class Resettable(Protocol):
    """An object with threads or locks, which are unusable in the child of a fork."""

    def reset(self) -> None:
        """Replace the threads and locks without using those of the parent."""


_RESETTABLES: "weakref.WeakSet[Resettable]" = weakref.WeakSet()


def reset_after_fork(resettable: Resettable) -> None:
    """Call ``resettable.reset()`` in every forked child for as long as the object lives."""
    _RESETTABLES.add(resettable)


def _reset_all() -> None:
    for resettable in list(_RESETTABLES):
        resettable.reset()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_reset_all)


@dataclass(frozen=True, slots=True)
class CheckContext:
    """The context of one run of a check."""

    check: Check
    registry: Any
    threads: list[Thread] = field(default_factory=list)
    """The threads that the check started with ``asyncio.to_thread``."""


RUN: ContextVar[CheckContext] = ContextVar("combine_health run")


def current_check() -> Check:
    """Return the declaration of the running check, with the operator's settings applied.

    A check uses it to read its own timeout: ``current_check().timeout``. Raises `LookupError` outside
    of a check.
    """
    return RUN.get().check


@contextmanager
def application_registry(registry: Any) -> Iterator[None]:
    """Make ``pyramid.threadlocal.get_current_registry`` return ``registry`` on this thread."""
    # Imported late because commands that only read settings load this module and do not need Pyramid.
    from pyramid.threadlocal import manager

    manager.push({"registry": registry, "request": None})
    try:
        yield
    finally:
        manager.pop()


Await: TypeAlias = Callable[[Awaitable[Any]], Any]


def run(check: Check, registry: Any, redactor: Redactor, wait_for: Await) -> HealthResult:
    """Run the check on this thread and redact its result. Never raises.

    ``wait_for`` returns the result of an awaitable.
    """
    process = os.getpid()
    token = RUN.set(CheckContext(check, registry))
    try:
        with application_registry(registry):
            result = execute(check, registry, wait_for)
    finally:
        RUN.reset(token)
    if os.getpid() != process:
        # The check forked, and this is the child: a second copy of the service with the same sockets.
        # Only the parent may continue.
        os._exit(1)
    try:
        return redactor.result(result)
    except Exception as error:  # noqa: BLE001 - reported: the texts or data raise when read
        detail = f"reading the result raised {type(error).__name__}"
        return HealthResult(Status.FAILING, "bad_result", detail)


def execute(check: Check, registry: Any, wait_for: Await) -> HealthResult:
    """Call the check on this thread. Never raises: an exception becomes a failing result.

    ``None`` and ``True`` are healthy, and ``False`` is failing. An awaitable is awaited. Any other
    value is a failing result with the cause ``bad_result``.
    """
    try:
        answer = check.function(registry)
        if inspect.isawaitable(answer):
            answer = wait_for(answer)
        return _interpret(answer)
    except BaseException as error:  # noqa: BLE001 - reported: not even SystemExit may end the runner
        cause = TIMEOUT if isinstance(error, TimeoutError) else "exception"
        return HealthResult(Status.FAILING, cause, describe(error))


def _interpret(answer: object) -> HealthResult:
    if isinstance(answer, HealthResult):
        return answer
    if answer is None or answer is True:
        return HealthResult(Status.HEALTHY)
    if answer is False:
        return HealthResult(Status.FAILING, "failed", "the check returned False")
    return HealthResult(
        Status.FAILING,
        "bad_result",
        f"the check returned {type(answer).__name__}; it must return HealthResult, bool or None",
    )


def describe(error: BaseException) -> str:
    """Describe the error in one line with file and line number, without redaction."""
    try:
        text = f"{type(error).__name__}: {error}".removesuffix(": ")
    except Exception as broken:  # noqa: BLE001 - reported in the text
        text = f"{type(error).__name__} (its message raises {type(broken).__name__})"
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return text
    return f"{text} (at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"
