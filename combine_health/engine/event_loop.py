"""Runs the ``async`` checks of an application on one event loop in its own thread.

All runs share the loop, because the clients that a check keeps (connection pools, HTTP sessions) work
only on the loop on which they were first used.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from inspect import CORO_CREATED, getcoroutinestate, iscoroutine
from threading import Event, Lock, Thread
from typing import Any

from combine_health.engine.check import Check
from combine_health.engine.execute import (
    RUN,
    CheckContext,
    application_registry,
    report,
    reset_after_fork,
)

log = logging.getLogger("combine_health")

PATIENCE = 5.0  # seconds that a loop may be busy after a deadline before it counts as blocked

# After a fork, parent and child share the selector of a loop. A reference keeps the finalizer of the
# loop from closing the selector in the child.
_INHERITED: list[asyncio.AbstractEventLoop] = []


class CheckLoop:
    """An event loop for the awaitables of checks. A run starts its thread if it does not run."""

    def __init__(self) -> None:
        self._thread: _LoopThread | None = None
        self.reset()
        reset_after_fork(self)

    def reset(self) -> None:
        if self._thread is not None:
            _INHERITED.append(self._thread.loop)
        self._lock = Lock()
        self._thread = None
        self._runs = 0
        self._stopping = False

    def stop(self) -> None:
        """End the thread after the last current run, without waiting for it."""
        with self._lock:
            self._stopping = True
            self._end_if_idle()

    def run(self, answer: Awaitable[Any]) -> Any:
        """Return the result of ``answer``, which is cancelled at the timeout of the check."""
        context = RUN.get()
        with self._lock:
            self._runs += 1
            if self._thread is None:
                self._thread = _LoopThread()
                self._thread.start()
            thread = self._thread
        try:
            return self._result(thread, answer, context)
        finally:
            # Wait for these threads. Otherwise a check that hangs in to_thread would leak one thread
            # per interval.
            for helper in context.threads:
                helper.join()
            with self._lock:
                self._runs -= 1
                self._end_if_idle()

    def _result(self, thread: "_LoopThread", answer: Awaitable[Any], context: CheckContext) -> Any:
        check = context.check
        future = thread.submit(answer, context)
        if not wait([future], check.timeout).done and not thread.answers(PATIENCE):
            blocking = thread.running()
            if blocking is not None and blocking is not check:
                self._replace(thread, blocking)
                future.cancel()
                if iscoroutine(answer) and getcoroutinestate(answer) == CORO_CREATED:
                    answer.close()  # or Python warns that the coroutine was never awaited
                raise TimeoutError(f"the check {blocking.name} blocks the event loop of the checks")
        value, error = future.result()
        if error is not None:
            raise error
        return value

    def _replace(self, thread: "_LoopThread", blocking: Check) -> None:
        with self._lock:
            if self._thread is not thread:
                return
            self._thread = None
        thread.end()
        log.warning(
            "the health check %s blocks the event loop with a blocking call: await the call, or run it in"
            " asyncio.to_thread. The other async checks continue on a new loop and need new clients",
            blocking.name,
        )

    def _end_if_idle(self) -> None:
        if self._stopping and not self._runs and self._thread is not None:
            self._thread.end()
            self._thread = None


_Outcome = tuple[Any, BaseException | None]


class _LoopThread(Thread):
    def __init__(self) -> None:
        super().__init__(name="health check (async)", daemon=True)
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(_DaemonExecutor())
        self._ending = False
        self._checks: dict[asyncio.Task[Any] | None, Check] = {}

    def run(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._ending:
            try:
                self.loop.run_forever()
            except BaseException as error:  # noqa: BLE001 - SystemExit of a task; the loop continues
                report(error)
        try:
            tasks = asyncio.all_tasks(self.loop)
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()

    def end(self) -> None:
        self._ending = True
        self.loop.call_soon_threadsafe(self.loop.stop)

    def submit(self, answer: Awaitable[Any], context: CheckContext) -> "Future[_Outcome]":
        return asyncio.run_coroutine_threadsafe(self._bounded(answer, context), self.loop)

    def answers(self, seconds: float) -> bool:
        """Check whether the loop runs a callback within ``seconds``."""
        called = Event()
        self.loop.call_soon_threadsafe(called.set)
        return called.wait(seconds)

    def running(self) -> Check | None:
        """Return the check whose coroutine runs at this moment, if any."""
        return self._checks.get(asyncio.current_task(self.loop))

    async def _bounded(self, answer: Awaitable[Any], context: CheckContext) -> _Outcome:
        task = asyncio.current_task()
        self._checks[task] = context.check
        process = os.getpid()
        try:
            # Runs on this loop overlap, but all of them push the same registry.
            with application_registry(context.registry):
                async with asyncio.timeout(context.check.timeout):
                    return await answer, None
        except asyncio.CancelledError:
            if self._ending:
                raise
            return None, asyncio.CancelledError("the check was cancelled")
        except BaseException as error:  # noqa: BLE001 - raised again on the thread of the check
            return None, error
        finally:
            if os.getpid() != process:  # the check forked, and this is the child
                os._exit(1)
            del self._checks[task]


class _DaemonExecutor(ThreadPoolExecutor):
    """An executor for asyncio on daemon threads; the default executor is joined at process exit."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        context = RUN.get(None)

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                with application_registry(context and context.registry):
                    future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - set on the future
                future.set_exception(error)

        thread = Thread(target=work, name="health check (to_thread)", daemon=True)
        if context is not None:
            context.threads.append(thread)
        thread.start()
        return future
