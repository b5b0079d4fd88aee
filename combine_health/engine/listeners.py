"""Delivers events to the log and the plugins, with one thread per listener.

The sender never blocks. A listener that hangs or a log handler that blocks delays only its own events,
and an exception affects only the call that raised it.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Lock, Thread
from time import monotonic

from combine_health.engine.execute import IDLE_SECONDS, describe, report, reset_after_fork
from combine_health.engine.redaction import Redactor
from combine_health.engine.state import Change, CheckRun, Event

log = logging.getLogger("combine_health")

LIMIT = 1000  # events queued for one listener; further events are dropped and counted


@dataclass(frozen=True, slots=True)
class Listener:
    """A listener: its name, the type of event it receives, and the function to call."""

    name: str
    event: type[Change] | type[CheckRun]
    call: Callable[[Event], object]


class Outbox:
    """Delivers events to one listener in order. Its thread ends after a minute without events."""

    def __init__(self, listener: Listener, redactor: Redactor) -> None:
        self.listener = listener
        self.dropped = 0
        self.errors = 0
        self._redactor = redactor
        self.reset()
        reset_after_fork(self)

    def reset(self) -> None:
        self._lock = Lock()
        self._waiting: Queue[Event] = Queue()
        self._alive = False

    def put(self, event: Event) -> None:
        """Queue ``event`` for delivery. Never blocks and never raises."""
        if not isinstance(event, self.listener.event):
            return
        if self._waiting.qsize() >= LIMIT:
            self.dropped += 1
            return
        self._waiting.put(event)
        with self._lock:
            if self._alive:
                return
            self._alive = True
        try:
            name = f"health: {self.listener.name}"
            Thread(target=self._deliver, name=name, daemon=True).start()
        except RuntimeError as error:  # no thread could be started; the next event tries again
            self._alive = False
            report(error)

    def _deliver(self) -> None:
        while True:
            try:
                event = self._waiting.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if self._waiting.empty():
                        self._alive = False
                        return
                continue
            try:
                self.listener.call(event)
            except BaseException as error:  # noqa: BLE001 - logged; the next event is delivered
                self.errors += 1
                self._log(error)
            finally:
                self._waiting.task_done()

    def wait_until_delivered(self, timeout: float) -> None:
        """Wait until all events are delivered, at most ``timeout`` seconds."""
        with self._waiting.all_tasks_done:
            self._waiting.all_tasks_done.wait_for(
                lambda: not self._waiting.unfinished_tasks, timeout
            )

    def _log(self, error: BaseException) -> None:
        text = self._redactor.text(describe(error))
        try:
            log.error("health listener %s: %s", self.listener.name, text)
        except Exception as broken:  # noqa: BLE001 - the log may be the listener that failed
            report(broken)


class Outboxes:
    """All listeners of one application; the log is the first."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._all = [Outbox(Listener("log", Change, log_change), redactor)]

    def add(self, listener: Listener) -> None:
        self._all.append(Outbox(listener, self._redactor))

    def send(self, events: Sequence[Event]) -> None:
        """Queue ``events`` for all listeners. Never blocks."""
        for outbox in self._all:
            for event in events:
                outbox.put(event)

    def wait_until_delivered(self, timeout: float) -> None:
        """Wait until all events are delivered, at most ``timeout`` seconds."""
        ends = monotonic() + timeout
        for outbox in self._all:
            outbox.wait_until_delivered(max(0.0, ends - monotonic()))

    @property
    def dropped(self) -> int:
        return sum(outbox.dropped for outbox in self._all)

    @property
    def errors(self) -> int:
        return sum(outbox.errors for outbox in self._all)

    def names(self) -> Iterable[str]:
        return [outbox.listener.name for outbox in self._all]


def log_change(change: Event) -> None:
    """Log one line per transition, with its cause and remedy."""
    assert isinstance(change, Change)
    subject = "service" if change.check is None else f"check {change.check}"
    if change.after == "healthy":
        log.info("health %s: %s -> %s", subject, change.before, change.after)
        return
    log.log(
        _level(change),
        "health %s: %s -> %s, cause %s: %s.%s",
        subject,
        change.before,
        change.after,
        change.cause or "not named",
        (change.detail or "no detail").rstrip("."),
        f" Remedy: {change.remedy}" if change.remedy else "",
    )


def _level(change: Change) -> int:
    if change.after == "draining":  # an operator or the platform ordered it
        return logging.INFO
    # An unavailable service gets no requests. A failing check may leave the service ready.
    down = change.check is None and change.after == "unavailable"
    return logging.ERROR if down else logging.WARNING
