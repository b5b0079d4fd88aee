"""Looks at the maintenance file in the background, so that reading the state needs no I/O."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path

from combine_health.engine.maintenance import Maintenance, MaintenanceFileError, read_file
from combine_health.engine.redaction import Redactor
from combine_health.engine.result import HealthResult
from combine_health.engine.runner import Clock

log = logging.getLogger("combine_health")

INTERVAL = 1.0  # seconds between two looks
TIMEOUT = 1.0

_Signature = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Order:
    maintenance: Maintenance
    ends: float  # monotonic: from here on a wall clock that jumps neither prolongs nor ends it


class MaintenanceWatch:
    """What the file said when it was last looked at."""

    def __init__(
        self, path: Path, clock: Clock, redactor: Redactor, changed: Callable[[], None]
    ) -> None:
        self._path = path
        self._clock = clock
        self._redactor = redactor
        self._changed = changed
        self._seen: _Signature | None = None
        self._order: _Order | None = None
        self.problem: str | None = None
        """Why the file that is there is not obeyed."""

    def order(self, now: float) -> Maintenance | None:
        """The maintenance in force at the monotonic time ``now``."""
        order = self._order
        return order.maintenance if order is not None and now < order.ends else None

    @property
    def ends(self) -> float:
        """The monotonic time at which the maintenance in force ends; infinite if there is none."""
        return self._order.ends if self._order is not None else inf

    def look(self, _registry: object = None) -> HealthResult:
        """Read the file if it is another one than last time."""
        signature = self._signature()
        if signature != self._seen:
            self._read()
            self._seen = signature
        return HealthResult.healthy()

    def _signature(self) -> _Signature | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError:
            return 0, 0, 0  # reading it says why
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _read(self) -> None:
        problem, order = None, None
        try:
            found = read_file(self._path)
        except MaintenanceFileError as error:
            problem = self._redactor.text(str(error))
            log.warning("maintenance: %s", problem)
        else:
            if found is not None:
                clean = Maintenance(
                    self._redactor.text(found.reason), self._redactor.text(found.owner), found.until
                )
                left = (found.until - self._clock.wall()).total_seconds()
                order = _Order(clean, self._clock.monotonic() + left)
        self.problem, self._order = problem, order
        self._changed()
