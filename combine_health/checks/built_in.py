"""Defines the base class of the built-in checks."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from combine_health.engine.check import HealthResult


class BuiltIn:
    """A dataclass whose fields are the options of a check. Raises `ValueError` with all errors."""

    __slots__ = ()

    remedies: ClassVar[Mapping[str, str]] = {}
    """The action to take for each cause."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Default arguments of ``config.add_health_check`` for this check."""

    def __post_init__(self) -> None:
        if found := list(self.problems()):
            raise ValueError("; ".join(found))

    def problems(self) -> Iterator[str]:
        yield from ()

    def __call__(self, registry: Any) -> HealthResult:
        raise NotImplementedError

    def percent_problems(self, *names: str, zero: bool = False) -> Iterator[str]:
        for name in names:
            percent = getattr(self, name)
            if not 0 <= percent <= 100 or (percent == 0 and not zero):
                yield f"{name} must be {'at least' if zero else 'above'} 0, at most 100"
