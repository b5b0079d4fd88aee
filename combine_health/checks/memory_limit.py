"""Compares the memory in use with the limit of the container or of the machine (Linux).

Sources: the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst, proc(5).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from combine_health.engine.check import HealthResult
from combine_health.options import BuiltIn, option, percent

# Without a limit, version 1 shows the largest number of whole pages in 63 bits.
_NO_LIMIT = 2**62


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory use and limit in bytes. ``of`` is the source of the limit: ``cgroup`` or ``machine``."""

    used: int
    limit: int
    of: str
    oom_kills: int | None = None

    @property
    def percent(self) -> float:
        return 100 * self.used / self.limit if self.limit else 100.0


@dataclass(frozen=True, slots=True)
class _Files:
    """The names of the files and fields of one version of cgroups."""

    limit: str
    used: str
    reclaimable: str
    events: str


_V1 = _Files(
    "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "memory.oom_control"
)
_V2 = _Files("memory.max", "memory.current", "inactive_file", "memory.events")


def tightest(root: Path = Path("/")) -> Memory | None:
    """Return the control group of this process that is nearest to its limit.

    A limit applies to a group and to all groups below it, so the group of a pod can be full while
    the group of the container is not. Without any limit, return the machine's memory, or ``None`` if
    the system reports neither. ``root`` is the folder that contains ``/proc`` and ``/sys``.
    """
    limited = list(_groups(root))
    if limited:
        return max(limited, key=lambda memory: memory.percent)
    return _machine(root)


def _groups(root: Path) -> Iterator[Memory]:
    for folder, top, files in _places(root):
        for group in (folder, *folder.parents):
            memory = _read_group(group, files)
            if memory is not None:
                yield memory
            if group == top:
                break


def _places(root: Path) -> Iterator[tuple[Path, Path, _Files]]:
    """Yield this process's group and the topmost visible group, for each version in use."""
    paths = dict(_own_paths(root))
    for mount in _mounts(root):
        path = paths.get(mount.files is _V2)
        if path is None:
            continue
        top = root / mount.point.relative_to("/")
        # In a container the path can be the host's, and only a part of it is mounted.
        below = path.relative_to(mount.root) if path.is_relative_to(mount.root) else None
        folder = top / below if below else top
        # A path must not leave the mount. If the group is gone, use the topmost one.
        yield (folder if ".." not in folder.parts and folder.is_dir() else top), top, mount.files


def _own_paths(root: Path) -> Iterator[tuple[bool, PurePosixPath]]:
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield True, PurePosixPath(path)
        elif "memory" in controllers.split(","):
            yield False, PurePosixPath(path)


@dataclass(frozen=True, slots=True)
class _Mount:
    root: PurePosixPath
    point: PurePosixPath
    files: _Files


def _mounts(root: Path) -> Iterator[_Mount]:
    for line in _lines(root / "proc/self/mountinfo"):
        before, separator, after = line.partition(" - ")
        place, kind = before.split(), after.split()
        if not separator or len(place) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            files = _V2
        elif kind[0] == "cgroup" and "memory" in kind[2].split(","):
            files = _V1
        else:
            continue
        yield _Mount(_unescaped(place[3]), _unescaped(place[4]), files)


def _unescaped(path: str) -> PurePosixPath:
    for octal, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(octal, char)
    return PurePosixPath(path)


def _read_group(folder: Path, files: _Files) -> Memory | None:
    limit = _number(folder / files.limit)  # "max" means no limit
    used = _number(folder / files.used)
    if limit is None or used is None or limit >= _NO_LIMIT:
        return None
    # The kernel can drop these cached files at any time, so they are not counted as used.
    reclaimable = _pairs(folder / "memory.stat").get(files.reclaimable, 0)
    kills = _pairs(folder / files.events).get("oom_kill")
    return Memory(max(0, used - reclaimable), limit, "cgroup", kills)


def _machine(root: Path) -> Memory | None:
    found = {}
    for line in _lines(root / "proc/meminfo"):
        name, _, value = line.partition(":")
        number = value.split()
        if number and number[0].isdigit():
            found[name] = int(number[0]) * 1024
    total, available = found.get("MemTotal"), found.get("MemAvailable")
    if total is None or available is None:
        return None
    return Memory(max(0, total - available), total, "machine")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:  # not Linux, or this version is not in use
        return []


def _number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _pairs(path: Path) -> dict[str, int]:
    words = (line.split() for line in _lines(path))
    return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2 and pair[1].isdigit()}


@dataclass(frozen=True, slots=True)
class MemoryLimit(BuiltIn):
    """Degraded or failing when memory use exceeds a share of the limit that the OOM killer enforces.

    Of the control groups (version 1 or 2) of this process, the one nearest to its limit counts. If no
    group has a limit, the memory of the machine counts. Causes: ``memory_high``, ``memory_full``,
    ``not_measurable``.
    """

    warn_percent: float = option("percent", percent, "Degraded from this share in use.", 85.0)
    max_percent: float = option("percent", percent, "Failing from this share in use.", 95.0)
    root: Path = Path("/")

    remedies: ClassVar[Mapping[str, str]] = {
        "memory_high": "Look for growth (docker stats; docker-compose logs app | grep -i memory),"
        " or increase the memory limit.",
        "memory_full": "An OOM kill is near. Increase the memory limit in docker-compose, check for"
        " connection leaks, review recent code changes.",
        "not_measurable": "This system does not report memory limits; disable the check.",
    }
    defaults: ClassVar[Mapping[str, Any]] = {"interval": 10.0}

    def problems(self) -> Iterator[str]:
        return self.percent_problems("warn_percent", "max_percent")

    def __call__(self, _registry: Any) -> HealthResult:
        memory = tightest(self.root)
        if memory is None:
            return HealthResult.degraded("not_measurable", "the system reports no memory limit")
        share = round(memory.percent, 1)
        data = {
            "used_bytes": memory.used,
            "limit_bytes": memory.limit,
            "used_percent": share,
            "limit_of": memory.of,
            "oom_kills": memory.oom_kills,
        }
        mib = 2**20
        detail = f"{share:g} % of {memory.limit / mib:.0f} MiB in use (limit of the {memory.of})"
        if share >= self.max_percent:
            return HealthResult.failing("memory_full", detail, **data)
        if share >= self.warn_percent:
            return HealthResult.degraded("memory_high", detail, **data)
        return HealthResult.healthy(detail, **data)
