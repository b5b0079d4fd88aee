"""Run one check function once, and make a result of whatever it does."""

import asyncio
import inspect
import os
from collections.abc import Awaitable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import Any

from combine_health.engine.check import Check
from combine_health.engine.redaction import Redactor
from combine_health.engine.result import HealthResult, Status
from combine_health.engine.state import TIMEOUT


def run(check: Check, registry: Any, redactor: Redactor) -> HealthResult:
    """Run the check and clean what it says, all in this thread. Never raises."""
    process = os.getpid()
    result = execute(check, registry)
    if os.getpid() != process:
        # The check forked, and this is the child come back from it: a second copy of the service
        # with its sockets. Only the parent goes on.
        os._exit(1)
    try:
        return redactor.result(result)
    except Exception as error:  # noqa: BLE001 - reported: texts or data that cannot be read
        detail = f"the result cannot be read: {type(error).__name__}"
        return HealthResult(Status.FAILING, "bad_result", detail)


def execute(check: Check, registry: Any) -> HealthResult:
    """Call the check in this thread. Never raises: raising is failing.

    ``None`` and ``True`` are healthy, ``False`` is failing, an awaitable is awaited (and cancelled
    at the deadline), anything else is a fault of the check itself.
    """
    try:
        answer = check.function(registry)
        if inspect.isawaitable(answer):
            answer = _await(answer, check.timeout)
        return _interpret(answer)
    except BaseException as error:  # noqa: BLE001 - reported: not even SystemExit may end the runner
        return _from_exception(error)


def _interpret(answer: object) -> HealthResult:
    if isinstance(answer, HealthResult):
        return answer
    if answer is None or answer is True:
        return HealthResult(Status.HEALTHY)
    if answer is False:
        return HealthResult(Status.FAILING, "failed", "the check answered False")
    return HealthResult(
        Status.FAILING,
        "bad_result",
        f"the check returned {type(answer).__name__}; it must return HealthResult, bool or None",
    )


def describe(error: BaseException) -> str:
    """The error in one line, with the file and line it comes from; not redacted yet."""
    try:
        text = f"{type(error).__name__}: {error}".removesuffix(": ")
    except Exception as broken:  # noqa: BLE001 - said in the text
        text = f"{type(error).__name__} (its text cannot be read: {type(broken).__name__})"
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return text
    return f"{text} (at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"


def _from_exception(error: BaseException) -> HealthResult:
    cause = TIMEOUT if isinstance(error, TimeoutError) else "exception"
    return HealthResult(Status.FAILING, cause, describe(error))


def _await(answer: Awaitable[Any], timeout: float) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(timeout):
            return await answer

    executor = _DaemonExecutor()
    try:
        with asyncio.Runner() as runner:
            runner.get_loop().set_default_executor(executor)
            return runner.run(bounded())
    finally:
        # The run ends when its threads have ended, or a check that hangs in to_thread would leave
        # one more behind at each interval.
        executor.shutdown(wait=True)


class _DaemonExecutor(ThreadPoolExecutor):
    """asyncio's default executor, on daemon threads: the stock one is joined at process exit."""

    def __init__(self) -> None:
        super().__init__(max_workers=1)
        self._started: list[Thread] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - handed to who waits for the future
                future.set_exception(error)

        thread = Thread(target=work, name="health check (to_thread)", daemon=True)
        self._started.append(thread)
        thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        if wait:
            for thread in self._started:
                thread.join()
