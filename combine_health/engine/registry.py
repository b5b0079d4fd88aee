"""Holds the health of one application, in Pyramid's registry instead of a module global."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from threading import Lock
from typing import Any, NamedTuple

from zope.interface import Interface, implementer

from combine_health.engine.check import Check
from combine_health.engine.execute import reset_after_fork
from combine_health.engine.listeners import Outboxes
from combine_health.engine.maintenance import INTERVAL, TIMEOUT, MaintenanceWatch
from combine_health.engine.redaction import Redactor
from combine_health.engine.runner import Clock, Runner
from combine_health.engine.state import KEPT, Change, Event, Reading, remember
from combine_health.engine.verdict import Circumstances, Saturation, ServiceStatus, judge
from combine_health.settings import HealthSettings

log = logging.getLogger("combine_health")

OBSERVED_EVERY = 1.0  # seconds
LONGEST = 1.0  # seconds that a snapshot is valid if the server reports its worker threads


class IHealthRegistry(Interface):  # type: ignore[misc]  # zope.interface has no types
    """The interface under which the `HealthRegistry` is registered."""


class Snapshot(NamedTuple):
    """The state of the service at one moment, sufficient to answer every probe."""

    readings: Sequence[Reading]
    circumstances: Circumstances
    version: tuple[int, int]
    until: float  # the monotonic time at which it expires, unless `version` changes before


@implementer(IHealthRegistry)
class HealthRegistry:
    """Settings, checks, sections, the runner and the state of one application."""

    def __init__(self, registry: Any, settings: HealthSettings, *, scheduled: bool = True) -> None:
        self.settings = settings
        self.redactor = Redactor()
        self.checks: dict[str, Check] = {}
        self.disabled: dict[str, Check] = {}
        self.sections: dict[str, Callable[[Any], Any]] = {}
        # Name, help, labels, and the function that returns the counts.
        self.counters: list[tuple[str, str, tuple[str, ...], Callable[[Any], Any]]] = []
        self.clock = Clock()
        self.prefix = ""
        """The route prefix of the endpoints, such as ``/internal``."""
        self.read_saturation: Callable[[], Saturation] | None = None
        """Set by a server that reports its worker threads. It is called often and must not block."""
        self.read_draining: Callable[[], bool] = lambda: False
        """Set by a server whose master process decides when to drain. It must not block."""
        self.outboxes = Outboxes(self.redactor)
        self.recent: tuple[Change, ...] = ()
        """The latest transitions of the service, the newest last."""
        self.transitions = 0
        self._snapshot: Snapshot | None = None
        self._warned: set[str] = set()
        self._registry = registry
        self._scheduled = scheduled
        self._runner: Runner | None = None
        self.started = self.clock.monotonic()
        self._draining = False
        self._changes = 0
        self.reset()
        reset_after_fork(self)

    def reset(self) -> None:
        self._building = Lock()
        self._observing = Lock()
        self._status = ServiceStatus.STARTING

    def require_open(self, declaration: str) -> None:
        """Raise `ConfigurationError` about ``declaration`` if the application has been created."""
        if self._runner is not None:
            from pyramid.exceptions import ConfigurationError

            raise ConfigurationError(f"{declaration}: too late; declare it before make_wsgi_app()")

    def add_check(self, check: Check) -> None:
        """Add ``check`` with the operator's settings applied.

        Raises `ConfigurationError` if the application has been created.
        """
        self.require_open(f"health check {check.name!r}")
        try:
            check = replace(check, **self.settings.overrides_of(check.name))
        except ValueError as error:
            from combine_health.environment_error import HealthEnvironmentError

            raise HealthEnvironmentError(f"{error} (set in combine_health.check.*)") from None
        self.checks.pop(check.name, None)
        self.disabled.pop(check.name, None)
        disabled = check.name in self.settings.disabled
        (self.disabled if disabled else self.checks)[check.name] = check

    @property
    def runner(self) -> Runner:
        """The runner. The first access creates it; after that, no check can be added."""
        if self._runner is None:
            with self._building:
                if self._runner is None:
                    self._runner = self._make_runner()
        return self._runner

    def _make_runner(self) -> Runner:
        self.maintenance = MaintenanceWatch(
            self.settings.maintenance_path, self.clock, self.redactor, self._count_change
        )
        # Read now: a process that starts during maintenance must not report ready first.
        self.maintenance.update()
        background = self.settings.background
        chores = [Check("maintenance", self.maintenance.update, interval=INTERVAL, timeout=TIMEOUT)]
        if background:
            # Detects changes that only the passing of time causes.
            chores.append(Check("observe", lambda _: self.observe(), interval=OBSERVED_EVERY))
        # The redactor knows all secrets only now.
        for checks in (self.checks, self.disabled):
            checks.update({name: self._clean(check) for name, check in checks.items()})
        return Runner(
            self.checks.values(),
            self._registry,
            self.redactor,
            background=background,
            scheduled=self._scheduled,
            clock=self.clock,
            chores=chores,
            notify=partial(self._send_events, judging=background),
        )

    def _clean(self, check: Check) -> Check:
        prose = self.redactor.prose
        return replace(
            check,
            remedy=prose(check.remedy),
            remedies={cause: prose(text) or "" for cause, text in check.remedies.items()},
            runbook=prose(check.runbook),
        )

    def groups(self) -> dict[str, frozenset[str]]:
        """Map each group to the names of its checks. Settings override what checks declare."""
        declared: dict[str, frozenset[str]] = {}
        for check in (*self.checks.values(), *self.disabled.values()):
            for group in check.groups:
                declared[group] = declared.get(group, frozenset()) | {check.name}
        declared.update({name: frozenset(names) for name, names in self.settings.groups.items()})
        return {name: names & self.checks.keys() for name, names in declared.items()}

    def start(self, wait: float = 0.0) -> None:
        """Start the checks, and wait at most ``wait`` seconds for the first results of critical checks."""
        self.runner.start()
        if wait and self.settings.background:
            self.runner.wait_until(lambda: not self._is_starting(), wait)

    def _is_starting(self) -> bool:
        verdict = judge(self.runner.readings(), self.circumstances())
        return verdict.status is ServiceStatus.STARTING

    @property
    def draining(self) -> bool:
        """True while the server is shutting down: alive but not ready. The server sets it."""
        return self._draining or self.read_draining()

    @draining.setter
    def draining(self, draining: bool) -> None:
        self._draining = draining
        self._count_change()
        self.observe()

    def _count_change(self) -> None:
        self._changes += 1

    @property
    def version(self) -> tuple[int, int]:
        """A value that changes whenever a status may have changed, except by the passing of time."""
        return self.runner.changes, self._changes

    def circumstances(self) -> Circumstances:
        """Return the facts that decide besides the checks. Takes no lock and does no I/O."""
        _ = self.runner  # creates the maintenance watch too
        now = self.clock.monotonic()
        return Circumstances(
            now,
            self.draining,
            self.maintenance.order(now),
            self.maintenance.ends,
            self.read_saturation() if self.read_saturation else None,
            self.settings.saturated_after,
            self.settings.stuck_after,
        )

    def snapshot(self) -> Snapshot | None:
        """Return the current state, as the same object until the state changes.

        A server may call this on its I/O thread: it takes no lock and does no I/O. Returns ``None`` if
        checks run during requests (``combine_health.background = false``): then only the views can
        respond.
        """
        held = self._snapshot
        now = self.clock.monotonic()
        if held is not None and now < held.until and held.version == self.version:
            return held
        if not self.settings.background:
            return None
        version = self.version  # read first: a change from here on invalidates the snapshot
        readings = self.runner.readings()
        circumstances = self.circumstances()
        until = min((reading.good_until for reading in readings), default=inf)
        if circumstances.maintenance:
            until = min(until, self.maintenance.ends)
        if self.read_saturation is not None:
            until = min(until, now + LONGEST)
        # Replaced as a whole, so that a reader on another thread never combines old and new state.
        self._snapshot = held = Snapshot(readings, circumstances, version, until)
        return held

    def warn_once(self, key: str, warning: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            log.warning("%s", warning)

    def observe(self) -> None:
        """Report events and a change of the service's status to the log and the listeners.

        If checks run during requests, call this only after all of them have run: older results could be
        too old to judge the service.
        """
        self._send_events(judging=True)

    def _send_events(self, *, judging: bool) -> None:
        # Serialised, or a status could be reported before the change of the check that caused it.
        with self._observing:
            events: list[Event]
            events, readings = self.runner.take()
            if judging and (change := self._update_status(readings)):
                events.append(change)
            self.outboxes.send(events)

    def _update_status(self, readings: Sequence[Reading]) -> Change | None:
        verdict = judge(readings, self.circumstances())
        if verdict.status is self._status:
            return None
        change = Change(
            None,
            self._status,
            verdict.status,
            verdict.cause,
            verdict.detail,
            verdict.remedy,
            self.clock.wall(),
        )
        self._status = verdict.status
        self.recent = remember(self.recent, change, KEPT)
        self.transitions += 1
        return change


def health_of(registry: Any) -> HealthRegistry:
    """Return the application's `HealthRegistry`.

    Raises `ComponentLookupError` if the add-on is not included.
    """
    found: HealthRegistry = registry.getUtility(IHealthRegistry)
    return found
