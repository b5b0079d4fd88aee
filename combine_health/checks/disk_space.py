"""Free space and free inodes of a file system."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from combine_health.checks.options import option, percent, require, size, text
from combine_health.engine.result import HealthResult


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Failing below the minimum of free bytes, percent or inodes; degraded below the warning.

    Free is what an ordinary user may still write, as ``df`` counts it. Causes: ``disk_full``,
    ``disk_low``, ``inodes_full``, ``path_missing``, ``unreadable``.
    """

    path: str = option("path", text, "A file or folder on the file system to look at.", "/")
    min_free_bytes: int = option("bytes", size, "Failing below so many free bytes.", 0)
    min_free_percent: float = option("percent", percent, "Failing below so much free.", 5.0)
    warn_free_percent: float = option("percent", percent, "Degraded below so much free.", 10.0)
    min_free_inodes_percent: float = option(
        "percent", percent, "Failing below so many free inodes.", 2.0
    )

    remedies: ClassVar[Mapping[str, str]] = {
        "disk_full": "Free space or enlarge the volume: df -h, then du -xh --max-depth=2 on it.",
        "disk_low": "Free space soon, or enlarge the volume: df -h.",
        "inodes_full": "Too many small files: df -i, then remove old ones.",
        "path_missing": "Create the folder, mount its volume, or mend the check's path.",
        "unreadable": "Let the service's user enter the folders above the path.",
    }
    defaults: ClassVar[Mapping[str, Any]] = {"interval": 30.0, "timeout": 2.0}

    def __post_init__(self) -> None:
        require(self._problems())

    def _problems(self) -> Iterator[str]:
        if "\0" in self.path or not self.path:
            yield "path must be a path"
        if self.min_free_bytes < 0:
            yield "min_free_bytes must not be negative"
        for name in ("min_free_percent", "warn_free_percent", "min_free_inodes_percent"):
            if not 0 <= getattr(self, name) <= 100:
                yield f"{name} must be from 0 to 100"

    def __call__(self, _registry: Any) -> HealthResult:
        """Look at the file system."""
        try:
            found = os.statvfs(Path(self.path))
        except (FileNotFoundError, NotADirectoryError):
            return HealthResult.failing("path_missing", f"{self.path} is not there")
        except OSError as error:
            return HealthResult.failing("unreadable", f"{self.path}: {error.strerror}")
        free = found.f_bavail * found.f_frsize
        # Of what an ordinary user can use: blocks reserved for root are no part of it.
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
        said = f"{self.path} has {space:g} % free ({free / 2**20:.0f} MiB)"
        if free < self.min_free_bytes or space < self.min_free_percent:
            return HealthResult.failing("disk_full", said, **data)
        if inodes < self.min_free_inodes_percent:
            return HealthResult.failing(
                "inodes_full", f"{self.path} has {inodes:g} % of its inodes free", **data
            )
        if space < self.warn_free_percent:
            return HealthResult.degraded("disk_low", said, **data)
        return HealthResult.healthy(said, **data)


def _share(part: int, whole: int) -> float:
    """Percent; file systems that count no inodes (btrfs, some network ones) say 0 of 0."""
    return round(100 * part / whole, 1) if whole > 0 else 100.0
