"""Decides the status of the service from the readings of the checks and the circumstances."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from combine_health.engine.check import Check, CheckKind, Status
from combine_health.engine.maintenance import Maintenance
from combine_health.engine.state import Reading

SATURATED = "worker_saturation"
SATURATED_REMEDY = (
    "All worker threads are busy and requests wait. Look for slow requests (docker-compose logs app"
    ' | grep -i "slow\\|timeout"), then add threads or instances.'
)


class ServiceStatus(StrEnum):
    """The status of the service. The first two are ready."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    STARTING = "starting"
    UNAVAILABLE = "unavailable"
    MAINTENANCE = "maintenance"
    DRAINING = "draining"

    @property
    def ready(self) -> bool:
        return self in {ServiceStatus.HEALTHY, ServiceStatus.DEGRADED}


@dataclass(frozen=True, slots=True)
class Saturation:
    """The server's worker threads at one moment. Times come from ``health.clock.monotonic``."""

    threads: int
    busy: int
    queue: int  # requests that wait for a thread
    since: float | None = None
    """The time since which all threads have been busy with requests waiting, or ``None``."""
    stuck_since: float | None = None
    """The time since which requests have waited and none has finished, or ``None`` if none waits."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """The facts that decide besides the checks. ``now`` is monotonic, and limits are in seconds."""

    now: float = 0.0
    draining: bool = False
    maintenance: Maintenance | None = None
    maintenance_ends: float = inf
    saturation: Saturation | None = None
    saturated_after: float = inf
    stuck_after: float = inf

    @property
    def saturated(self) -> bool:
        """True if the worker threads have been saturated for too long to be ready."""
        since = self.saturation.since if self.saturation else None
        return since is not None and self.now - since >= self.saturated_after

    @property
    def stuck(self) -> bool:
        """True if the worker threads have finished no request for too long to be alive."""
        since = self.saturation.stuck_since if self.saturation else None
        return since is not None and self.now - since >= self.stuck_after


@dataclass(frozen=True, slots=True)
class Verdict:
    """The status of the service, and the reason for it."""

    status: ServiceStatus
    cause: str | None = None
    detail: str | None = None
    remedy: str | None = None
    checks: tuple[Check, ...] = ()
    """The checks that decided, if any did."""


def judge(readings: Iterable[Reading], circumstances: Circumstances) -> Verdict:
    """Decide the status of the service: first by draining and maintenance, then by the checks."""
    if circumstances.draining:
        return Verdict(
            ServiceStatus.DRAINING, "draining", "the server finishes its requests and shuts down"
        )
    order = circumstances.maintenance
    if order is not None:
        until = order.until.isoformat(timespec="seconds")
        return Verdict(
            ServiceStatus.MAINTENANCE,
            "maintenance",
            f"{order.reason} ({order.owner}, until {until})",
            "It ends automatically; to end it now: python -m combine_health maintenance off",
        )
    deciding = [reading for reading in readings if reading.check.kind is not CheckKind.INFO]
    down = [reading for reading in deciding if reading.check.critical and reading.status in _DOWN]
    if down:
        return _verdict_of(ServiceStatus.UNAVAILABLE, down)
    if circumstances.saturated:
        return Verdict(ServiceStatus.UNAVAILABLE, SATURATED, None, SATURATED_REMEDY)
    starting = [
        reading
        for reading in deciding
        if reading.check.critical and reading.status is Status.STARTING
    ]
    if starting:
        return _verdict_of(ServiceStatus.STARTING, starting)
    impaired = [reading for reading in deciding if reading.status not in _FINE]
    if impaired:
        return _verdict_of(ServiceStatus.DEGRADED, impaired)
    return Verdict(ServiceStatus.HEALTHY)


_DOWN = frozenset({Status.FAILING, Status.UNKNOWN})
_FINE = frozenset({Status.HEALTHY, Status.STARTING})


def _verdict_of(status: ServiceStatus, readings: list[Reading]) -> Verdict:
    first = readings[0]
    return Verdict(
        status,
        f"{first.check.name}.{first.cause}" if first.cause else first.check.name,
        first.detail,
        first.remedy,
        tuple(reading.check for reading in readings),
    )
