"""The wall clock: has it been set, and has somebody moved it.

Whether it shows the right time only another clock could say. What this process can prove is that
the wall clock moved by another amount than the clock that nobody can set.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from combine_health.checks.options import option, require
from combine_health.engine.result import HealthResult
from combine_health.setting_values import wait

# Younger than this file: a clock that shows less was never set.
EARLIEST = datetime(2025, 1, 1, tzinfo=UTC).timestamp()


def steady() -> float:
    """Seconds of the clock that nobody can set; it goes on while the machine sleeps."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


@dataclass(slots=True)
class ClockJumps:
    """Degraded for a while after the wall clock jumped, and while it shows a time long past.

    Sign-in, certificates and schedules go by the wall clock. Causes: ``clock_jumped``,
    ``clock_not_set``.
    """

    max_jump: float = option("seconds", wait, "A jump is more than so many seconds.", 1.0)
    remember: float = option("seconds", wait, "Degraded for so long after a jump.", 600.0)
    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = steady
    _last: tuple[float, float] | None = field(default=None, init=False, repr=False)
    _jump: tuple[float, float] | None = field(default=None, init=False, repr=False)

    remedies: ClassVar[Mapping[str, str]] = {
        "clock_jumped": "Look at the time service of the machine: timedatectl, chronyc tracking.",
        "clock_not_set": "Set the clock of the machine: timedatectl set-ntp true.",
    }
    defaults: ClassVar[Mapping[str, Any]] = {"interval": 10.0}

    def __post_init__(self) -> None:
        require(self._problems())

    def _problems(self) -> Iterator[str]:
        for name in ("max_jump", "remember"):
            if not getattr(self, name) > 0:
                yield f"{name} must be above 0 seconds"

    def __call__(self, _registry: Any) -> HealthResult:
        """Compare with the run before."""
        wall, now = self.wall(), self.steady()
        if self._last is not None:
            jump = (wall - self._last[0]) - (now - self._last[1])
            if abs(jump) > self.max_jump:
                self._jump = (now, jump)
        self._last = wall, now
        if wall < EARLIEST:
            shown = datetime.fromtimestamp(wall, UTC).date().isoformat()
            return HealthResult.degraded("clock_not_set", f"the clock shows {shown}", shows=shown)
        if self._jump is not None and now - self._jump[0] < self.remember:
            at, jump = self._jump
            ago = now - at
            return HealthResult.degraded(
                "clock_jumped",
                f"the clock was moved by {jump:+.1f} s, {ago:.0f} s ago",
                jump_seconds=round(jump, 3),
                ago_seconds=round(ago, 1),
            )
        return HealthResult.healthy()
