"""Logs a warning before memory runs out, with figures that help an operator to find the cause.

The limit is that of the control group (the container) that is closest to its limit. The memory in use is
the amount that the kernel counts for all processes of the group before it kills one. If no group has a limit,
the limit is the memory of the machine, and only this process counts, because its log cannot explain the
memory of other programs.

References: the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst, proc(5).
"""

from __future__ import annotations

import ctypes
import logging
import os
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import psutil

from combine_core.heartbeat import UnsafeFolder, default_folder, make_private
from combine_core.observe.background import repeat

log = logging.getLogger(__name__)

INTERVAL_S = 1.0
# Percent of the limit. A stage is logged again after memory use has fallen REARM_BELOW percent below it.
STAGES = (70, 85, 95)
REARM_BELOW = 5

_HOUR_S = 3600.0
_SAMPLE_S = 60.0
# Measured over a shorter time, the start of a process looks like a leak.
_FIRST_GROWTH_S = 300.0
_MIB = 2**20
# From malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE_BLOCK = 128 * 1024
# Version 1 writes "no limit" as the largest number of whole pages in 63 bits.
_NO_LIMIT = 2**62


@dataclass(frozen=True, slots=True)
class Reading:
    """A measurement of memory in bytes.

    :ivar used: the memory that counts against the limit
    :ivar of: the owner of the limit: container or machine
    :ivar rss: the memory of this process
    :ivar threads: the number of threads of this process
    :ivar group: the control group with the limit
    :ivar kills: the number of its processes that the kernel has killed for lack of memory
    """

    used: int
    limit: int
    of: str
    rss: int
    threads: int
    group: str = ""
    kills: int = 0

    @property
    def percent(self) -> float:
        return 100 * self.used / max(1, self.limit)

    @property
    def relief(self) -> str:
        if self.of == "container":
            return "Increase the limit in docker-compose"
        return "Free memory of the machine"


def read_memory(root: Path = Path("/")) -> Reading:
    """Measure the memory in use.

    :param root: the folder with the ``/proc`` and ``/sys`` of the control groups
    """
    process = psutil.Process()
    rss, threads = process.memory_info().rss, process.num_threads()
    group = tightest_group(root)
    if group is not None:
        return Reading(group.used, group.limit, "container", rss, threads, group.name, group.kills)
    return Reading(rss, psutil.virtual_memory().total, "machine", rss, threads)


class LoggedKills:
    """The number of killed processes of each control group that has been logged.

    :param folder: the folder of the files that keep the numbers for the next start
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._counts: dict[str, int] = {}

    def add(self, group: str, kills: int) -> int:
        """Store the current number; return the number of new kills. A new container counts from zero."""
        path = self._folder and self._folder / f"oom-kills-{zlib.crc32(group.encode()):08x}"
        if group not in self._counts:
            self._counts[group] = 0
            with suppress(OSError, ValueError):
                if path is not None:
                    self._counts[group] = int(path.read_text())
        before = self._counts[group]
        if kills != before:
            self._counts[group] = kills
            with suppress(OSError):
                if path is not None:
                    path.write_text(str(kills))
        return kills - before if kills >= before else kills


class MemoryWatch:
    """A watch that logs when memory use crosses a stage, and again only after it has fallen below.

    :param connections: returns the number of open database connections of this process
    :param read: measures the memory
    :param clock: returns monotonic seconds
    :param logged_kills: the kills that an earlier process has logged
    """

    def __init__(
        self,
        connections: Callable[[], int],
        read: Callable[[], Reading] = read_memory,
        clock: Callable[[], float] = time.monotonic,
        logged_kills: LoggedKills | None = None,
    ) -> None:
        self._connections = connections
        self._read = read
        self._clock = clock
        self._logged_kills = logged_kills or LoggedKills()
        self._crossed: set[int] = set()
        self._samples: deque[tuple[float, int]] = deque()

    def check(self) -> None:
        reading = self._read()
        if not self._samples:
            log.info(
                "memory: limit %d MiB (%s), %d MiB in use",
                reading.limit // _MIB,
                reading.of,
                reading.used // _MIB,
            )
        if new := self._logged_kills.add(reading.group, reading.kills):
            log.error(
                "memory ran out: the kernel has killed processes of this container (%d), most likely this"
                " one before its last start. Increase the limit in docker-compose, check for connection"
                " leaks, review recent code changes",
                new,
                extra={"oom_kills": new},
            )
        growth = self._growth(reading.rss)
        percent = reading.percent
        self._crossed = {each for each in self._crossed if percent >= each - REARM_BELOW}
        reached = {each for each in STAGES if percent >= each}
        if reached - self._crossed:
            self._warn(reading, growth)
        self._crossed |= reached

    def _growth(self, rss: int) -> float | None:
        """Return the growth in bytes per hour, over the last hour at most; ``None`` in the first minutes."""
        now = self._clock()
        if not self._samples or now - self._samples[-1][0] >= _SAMPLE_S:
            self._samples.append((now, rss))
        while now - self._samples[0][0] > _HOUR_S:
            self._samples.popleft()
        since, before = self._samples[0]
        return (rss - before) / (now - since) * _HOUR_S if now - since >= _FIRST_GROWTH_S else None

    def _warn(self, reading: Reading, growth: float | None) -> None:
        connections = self._connections()
        log.log(
            logging.ERROR if reading.percent >= STAGES[-1] else logging.WARNING,
            "memory at %.0f %%: %d of %d MiB in use (limit of the %s); this process: rss %d MiB,"
            " growth %s, %d database connections, %d threads. %s, check for connection leaks, review"
            " recent code changes",
            reading.percent,
            reading.used // _MIB,
            reading.limit // _MIB,
            reading.of,
            reading.rss // _MIB,
            "not known yet" if growth is None else f"{growth / _MIB:+.0f} MiB/h",
            connections,
            reading.threads,
            reading.relief,
            extra={
                "memory_percent": round(reading.percent, 1),
                "memory_used": reading.used,
                "memory_limit": reading.limit,
                "rss": reading.rss,
                "rss_growth_per_hour": None if growth is None else round(growth),
                "database_connections": connections,
                "threads": reading.threads,
            },
        )


def start_memory_watch(connections: Callable[[], int]) -> None:
    """Measure the memory every second in a daemon thread. Further calls in this process do nothing.

    Services and workers need this. A command that ends soon does not.

    :param connections: returns the number of open database connections of this process
        (``combine_core.database.pool.open_connections``)
    """
    _tune_malloc()
    try:
        logged_kills = LoggedKills(make_private(default_folder()))
    except (UnsafeFolder, OSError) as error:
        log.warning(
            "The number of processes that were killed for lack of memory cannot be stored, so the next start"
            " may log them again: %s",
            error,
        )
        logged_kills = LoggedKills()
    watch = MemoryWatch(connections, logged_kills=logged_kills)
    repeat("combine-memory-watch", watch.check, INTERVAL_S)


def _tune_malloc() -> None:
    """Make the C library return the memory of large texts as soon as they are freed, and use one heap.

    By default, glibc treats large blocks like small ones after the first one is freed, and each thread has a
    heap of its own, which does not help threads that wait for Python's lock anyway. Settings of the operator
    (``MALLOC_...``) take precedence.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, _LARGE_BLOCK)
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)
        mallopt(_M_ARENA_MAX, 1)


@dataclass(frozen=True, slots=True)
class Group:
    """The memory of a control group, in bytes, without the cache that the kernel can drop."""

    used: int
    limit: int
    kills: int = 0
    name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class _Names:
    limit: str
    used: str
    droppable: str
    events: str


_V1 = _Names(
    "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "memory.oom_control"
)
_V2 = _Names("memory.max", "memory.current", "inactive_file", "memory.events")


def tightest_group(root: Path = Path("/")) -> Group | None:
    """Return the control group of this process that is closest to its limit, or ``None`` without limits.

    A limit applies to all groups below it, so a parent can be full before the process's own group is.

    :param root: the folder with ``/proc`` and ``/sys``
    """
    groups = [
        group
        for folder, top, names in _group_folders(root)
        for each in _up_to(folder, top)
        if (group := _read(each, names)) is not None
    ]
    return max(groups, key=lambda group: group.used / max(1, group.limit), default=None)


def _up_to(folder: Path, top: Path) -> Iterator[Path]:
    yield folder
    while folder != top:
        folder = folder.parent
        yield folder


def _group_folders(root: Path) -> Iterator[tuple[Path, Path, _Names]]:
    """Yield the folders of the process's own group and of the topmost visible group, for each version."""
    own = dict(_own_groups(root))
    for names, mounted, point in _mounts(root):
        path = own.get(names)
        if path is None:
            continue
        top = root / point.relative_to("/")
        # In a container, the path can be that of the host, where only the part below `mounted` is visible.
        below = path.relative_to(mounted) if path.is_relative_to(mounted) else PurePosixPath()
        folder = top / below
        yield (folder if ".." not in below.parts and folder.is_dir() else top), top, names


def _own_groups(root: Path) -> Iterator[tuple[_Names, PurePosixPath]]:
    for line in _lines(root / "proc/self/cgroup"):
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy == "0" and not controllers:
            yield _V2, PurePosixPath(path)
        elif "memory" in controllers.split(","):
            yield _V1, PurePosixPath(path)


def _mounts(root: Path) -> Iterator[tuple[_Names, PurePosixPath, PurePosixPath]]:
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        mount, type_ = before.split(), after.split()
        if len(mount) < 5 or len(type_) < 3:
            continue
        if type_[0] == "cgroup2":
            yield _V2, PurePosixPath(mount[3]), PurePosixPath(mount[4])
        elif type_[0] == "cgroup" and "memory" in type_[2].split(","):
            yield _V1, PurePosixPath(mount[3]), PurePosixPath(mount[4])


def _read(folder: Path, names: _Names) -> Group | None:
    limit = _number(folder / names.limit)  # "max" means no limit
    used = _number(folder / names.used)
    if limit is None or used is None or limit >= _NO_LIMIT:
        return None
    used -= _value(folder / "memory.stat", names.droppable)
    kills = _value(folder / names.events, "oom_kill")
    return Group(max(0, used), limit, kills, str(folder))


def _value(path: Path, name: str) -> int:
    """Return the number in the line of this name, or 0 if there is none."""
    values = dict(line.partition(" ")[::2] for line in _lines(path))
    value = values.get(name, "")
    return int(value) if value.isdigit() else 0


def _number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:  # the system is not Linux, or this version is not in use
        return []
