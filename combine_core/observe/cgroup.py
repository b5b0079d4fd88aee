"""The memory limit of the control group of this process (Linux), and how near it is.

Sources: the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst, proc(5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Version 1 writes "no limit" as the largest number of whole pages in 63 bits.
_NO_LIMIT = 2**62


@dataclass(frozen=True, slots=True)
class Group:
    """What a control group uses of what it may, in bytes; the cache that can be dropped not counted."""

    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class _Names:
    limit: str
    used: str
    droppable: str


_V1 = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = _Names("memory.max", "memory.current", "inactive_file")


def tightest_group(root: Path = Path("/")) -> Group | None:
    """Of the groups around this process that have a limit, the one nearest to it; or ``None``.

    A limit holds for all that is below it, so the group above can be full before our own is.

    :param root: where ``/proc`` and ``/sys`` are
    """
    groups = [
        group
        for folder, top, names in _places(root)
        for each in _up_to(folder, top)
        if (group := _read(each, names)) is not None
    ]
    return max(groups, key=lambda group: group.used / max(1, group.limit), default=None)


def _up_to(folder: Path, top: Path) -> Iterator[Path]:
    yield folder
    while folder != top:
        folder = folder.parent
        yield folder


def _places(root: Path) -> Iterator[tuple[Path, Path, _Names]]:
    """The folder of our own group and that of the topmost visible one, for each version in use."""
    own = dict(_own_groups(root))
    for names, mounted, point in _mounts(root):
        path = own.get(names)
        if path is None:
            continue
        top = root / point.relative_to("/")
        # In a container the path can be the host's, of which only what is below `mounted` is seen.
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
        place, kind = before.split(), after.split()
        if len(place) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            yield _V2, PurePosixPath(place[3]), PurePosixPath(place[4])
        elif kind[0] == "cgroup" and "memory" in kind[2].split(","):
            yield _V1, PurePosixPath(place[3]), PurePosixPath(place[4])


def _read(folder: Path, names: _Names) -> Group | None:
    limit = _number(folder / names.limit)  # "max" is no number: no limit
    used = _number(folder / names.used)
    if limit is None or used is None or limit >= _NO_LIMIT:
        return None
    for line in _lines(folder / "memory.stat"):
        name, _, value = line.partition(" ")
        if name == names.droppable and value.isdigit():
            used -= int(value)
    return Group(max(0, used), limit)


def _number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:  # not Linux, or this version is not in use
        return []
