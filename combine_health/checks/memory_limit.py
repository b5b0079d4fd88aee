"""Memory in use, against the limit of the container or else of the machine."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from combine_health.checks.cgroup import tightest
from combine_health.checks.options import option, percent, require
from combine_health.engine.result import HealthResult


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """Degraded and failing above shares of the limit, as the kernel counts towards an OOM kill.

    The limit is that of the control group nearest to its own (version 1 or 2); where there is none,
    the memory of the machine. Causes: ``memory_high``, ``memory_full``, ``not_measurable``.
    """

    warn_percent: float = option("percent", percent, "Degraded from so much in use.", 85.0)
    max_percent: float = option("percent", percent, "Failing from so much in use.", 95.0)
    root: Path = Path("/")

    remedies: ClassVar[Mapping[str, str]] = {
        "memory_high": "Look for growth (docker stats; docker-compose logs app | grep -i memory),"
        " or increase the memory limit.",
        "memory_full": "An OOM kill is near. Increase the memory limit in docker-compose, check for"
        " connection leaks, review recent code changes.",
        "not_measurable": "This system shows no memory limits; disable the check.",
    }
    defaults: ClassVar[Mapping[str, Any]] = {"interval": 10.0}

    def __post_init__(self) -> None:
        require(self._problems())

    def _problems(self) -> Iterator[str]:
        for name in ("warn_percent", "max_percent"):
            if not 0 < getattr(self, name) <= 100:
                yield f"{name} must be above 0, at most 100"

    def __call__(self, _registry: Any) -> HealthResult:
        """Read what the kernel counts."""
        memory = tightest(self.root)
        if memory is None:
            return HealthResult.degraded("not_measurable", "no memory limit can be read here")
        share = round(memory.percent, 1)
        data = {
            "used_bytes": memory.used,
            "limit_bytes": memory.limit,
            "used_percent": share,
            "limit_of": memory.of,
            "oom_kills": memory.oom_kills,
        }
        mib = 2**20
        said = f"{share:g} % of {memory.limit / mib:.0f} MiB in use (limit of the {memory.of})"
        if share >= self.max_percent:
            return HealthResult.failing("memory_full", said, **data)
        if share >= self.warn_percent:
            return HealthResult.degraded("memory_high", said, **data)
        return HealthResult.healthy(said, **data)
