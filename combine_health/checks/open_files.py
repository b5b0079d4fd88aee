"""Open files of this process, sockets included, against its limit."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar

from combine_health.checks.options import option, percent, require
from combine_health.engine.result import HealthResult


def read_open_files() -> tuple[int, float] | None:
    """How many files are open and how many may be; ``None`` where the system does not tell."""
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            count = len(os.listdir(folder)) - 1  # noqa: PTH208 - counting; and one is the listing
        except OSError:
            continue
        soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        return count, inf if soft == resource.RLIM_INFINITY else soft
    return None


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """Degraded and failing above shares of the soft limit (``ulimit -n``).

    Causes: ``files_high``, ``files_exhausted``, ``not_measurable``.
    """

    warn_percent: float = option("percent", percent, "Degraded from so much of the limit.", 80.0)
    max_percent: float = option("percent", percent, "Failing from so much of the limit.", 95.0)
    read: Callable[[], tuple[int, float] | None] = read_open_files

    remedies: ClassVar[Mapping[str, str]] = {
        "files_high": "Look for connections that are never closed: ls -l /proc/PID/fd.",
        "files_exhausted": "Restart the process, raise ulimit -n, and look for connections that are"
        " never closed: ls -l /proc/PID/fd.",
        "not_measurable": "This system does not count open files; disable the check.",
    }
    defaults: ClassVar[Mapping[str, Any]] = {"interval": 10.0}

    def __post_init__(self) -> None:
        require(self._problems())

    def _problems(self) -> Iterator[str]:
        for name in ("warn_percent", "max_percent"):
            if not 0 < getattr(self, name) <= 100:
                yield f"{name} must be above 0, at most 100"

    def __call__(self, _registry: Any) -> HealthResult:
        """Count."""
        found = self.read()
        if found is None:
            return HealthResult.degraded("not_measurable", "open files cannot be counted here")
        count, limit = found
        share = round(100 * count / limit, 1) if limit else 100.0
        data = {"open": count, "limit": None if limit == inf else int(limit), "percent": share}
        said = f"{count} files open of {limit:g} ({share:g} %)"
        if share >= self.max_percent:
            return HealthResult.failing("files_exhausted", said, **data)
        if share >= self.warn_percent:
            return HealthResult.degraded("files_high", said, **data)
        return HealthResult.healthy(said, **data)
