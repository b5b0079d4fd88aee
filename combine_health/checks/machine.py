"""Checks the machine and this process: disk space, open files and the wall clock.

`ClockJumps` cannot detect that the wall clock is wrong, because it has no other clock to compare with.
It detects that the wall clock moved by a different amount than the monotonic clock, which cannot be set.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any, ClassVar

from combine_health.engine.check import HealthResult
from combine_health.options import BuiltIn, option, percent, size, text, wait


@dataclass(frozen=True, slots=True)
class DiskSpace(BuiltIn):
    """Failing below the minimum of free bytes, percent or inodes; degraded below the warning.

    Free space is the space that an unprivileged user can write, as in ``df``. Causes: ``disk_full``,
    ``disk_low``, ``inodes_full``, ``path_missing``, ``unreadable``.
    """

    path: str = option("path", text, "A file or folder on the file system.", "/")
    min_free_bytes: int = option("bytes", size, "Failing with fewer free bytes.", 0)
    min_free_percent: float = option("percent", percent, "Failing with less free space.", 5.0)
    warn_free_percent: float = option("percent", percent, "Degraded with less free space.", 10.0)
    min_free_inodes_percent: float = option(
        "percent", percent, "Failing with fewer free inodes.", 2.0
    )

    remedies: ClassVar[Mapping[str, str]] = {
        "disk_full": "Free space or enlarge the volume: df -h, then du -xh --max-depth=2 on it.",
        "disk_low": "Free space soon, or enlarge the volume: df -h.",
        "inodes_full": "Too many small files: df -i, then remove old ones.",
        "path_missing": "Create the folder, mount its volume, or correct the check's path.",
        "unreadable": "Give the service's user execute permission on the folders above the path.",
    }
    defaults: ClassVar[Mapping[str, Any]] = {"interval": 30.0, "timeout": 2.0}

    def problems(self) -> Iterator[str]:
        if "\0" in self.path or not self.path:
            yield "path must be a path"
        if self.min_free_bytes < 0:
            yield "min_free_bytes must not be negative"
        yield from self.percent_problems(
            "min_free_percent", "warn_free_percent", "min_free_inodes_percent", zero=True
        )

    def __call__(self, _registry: Any) -> HealthResult:
        try:
            found = os.statvfs(Path(self.path))
        except (FileNotFoundError, NotADirectoryError):
            return HealthResult.failing("path_missing", f"{self.path} does not exist")
        except OSError as error:
            return HealthResult.failing("unreadable", f"{self.path}: {error.strerror}")
        free = found.f_bavail * found.f_frsize
        # The total for an unprivileged user: it excludes the blocks reserved for root.
        usable = (found.f_blocks - found.f_bfree + found.f_bavail) * found.f_frsize
        space = _share(free, usable)
        inodes = _share(found.f_favail, found.f_files)
        data = {
            "path": self.path,
            "free_bytes": free,
            "total_bytes": usable,
            "free_percent": space,
            "free_inodes_percent": inodes,
        }
        detail = f"{self.path} has {space:g} % free ({free / 2**20:.0f} MiB)"
        if free < self.min_free_bytes or space < self.min_free_percent:
            return HealthResult.failing("disk_full", detail, **data)
        if inodes < self.min_free_inodes_percent:
            return HealthResult.failing(
                "inodes_full", f"{self.path} has {inodes:g} % of its inodes free", **data
            )
        if space < self.warn_free_percent:
            return HealthResult.degraded("disk_low", detail, **data)
        return HealthResult.healthy(detail, **data)


def _share(part: int, whole: int) -> float:
    """Return a percentage. File systems that do not count inodes, such as btrfs, report 0 of 0."""
    return round(100 * part / whole, 1) if whole > 0 else 100.0


def read_open_files() -> tuple[int, float] | None:
    """Return the number of open files and its limit, or ``None`` if the system reports neither."""
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            count = len(os.listdir(folder)) - 1  # noqa: PTH208 - count only; one of them is the listing
        except OSError:
            continue
        soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        return count, inf if soft == resource.RLIM_INFINITY else soft
    return None


@dataclass(frozen=True, slots=True)
class OpenFiles(BuiltIn):
    """Degraded or failing when the open files exceed a share of the soft limit (``ulimit -n``).

    Causes: ``files_high``, ``files_exhausted``, ``not_measurable``.
    """

    warn_percent: float = option("percent", percent, "Degraded from this share of the limit.", 80.0)
    max_percent: float = option("percent", percent, "Failing from this share of the limit.", 95.0)
    read: Callable[[], tuple[int, float] | None] = read_open_files

    remedies: ClassVar[Mapping[str, str]] = {
        "files_high": "Look for connections that are never closed: ls -l /proc/PID/fd.",
        "files_exhausted": "Restart the process, raise ulimit -n, and look for connections that are"
        " never closed: ls -l /proc/PID/fd.",
        "not_measurable": "This system does not report the number of open files; disable the check.",
    }
    defaults: ClassVar[Mapping[str, Any]] = {"interval": 10.0}

    def problems(self) -> Iterator[str]:
        return self.percent_problems("warn_percent", "max_percent")

    def __call__(self, _registry: Any) -> HealthResult:
        found = self.read()
        if found is None:
            return HealthResult.degraded("not_measurable", "the system does not report open files")
        count, limit = found
        share = round(100 * count / limit, 1) if limit else 100.0
        data = {"open": count, "limit": None if limit == inf else int(limit), "percent": share}
        detail = f"{count} files open of {limit:g} ({share:g} %)"
        if share >= self.max_percent:
            return HealthResult.failing("files_exhausted", detail, **data)
        if share >= self.warn_percent:
            return HealthResult.degraded("files_high", detail, **data)
        return HealthResult.healthy(detail, **data)


# This code was written later, so a clock that shows an earlier time was never set.
EARLIEST = datetime(2025, 1, 1, tzinfo=UTC).timestamp()


def steady() -> float:
    """Return the seconds of a monotonic clock, one that runs while the machine sleeps if available."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


@dataclass(slots=True)
class ClockJumps(BuiltIn):
    """Degraded for a while after a jump of the wall clock, and while the clock has never been set.

    Sign-in, certificates and schedules depend on the wall clock. Causes: ``clock_jumped``,
    ``clock_not_set``.
    """

    max_jump: float = option("seconds", wait, "A larger deviation counts as a jump.", 1.0)
    remember: float = option("seconds", wait, "Degraded for this time after a jump.", 600.0)
    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = steady
    _last: tuple[float, float] | None = field(default=None, init=False, repr=False)
    _jump: tuple[float, float] | None = field(default=None, init=False, repr=False)

    remedies: ClassVar[Mapping[str, str]] = {
        "clock_jumped": "Check the time service of the machine: timedatectl, chronyc tracking.",
        "clock_not_set": "Set the clock of the machine: timedatectl set-ntp true.",
    }
    defaults: ClassVar[Mapping[str, Any]] = {"interval": 10.0}

    def problems(self) -> Iterator[str]:
        for name in ("max_jump", "remember"):
            if not getattr(self, name) > 0:
                yield f"{name} must be above 0 seconds"

    def __call__(self, _registry: Any) -> HealthResult:
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
