"""What one application knows about its health; kept on Pyramid's registry, never in a module."""

from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any

from pyramid.exceptions import ConfigurationError
from zope.interface import Interface, implementer

from .check import Check
from .redact import Redactor
from .runner import Clock, Runner
from .settings import HealthEnvironmentError, HealthSettings, in_variable
from .verdict import Circumstances, Saturation

if TYPE_CHECKING:
    from .snapshot import Held


class IHealthRegistry(Interface):  # type: ignore[misc]  # zope.interface has no types
    """The utility under which the `HealthRegistry` is found."""


@implementer(IHealthRegistry)
class HealthRegistry:
    """Settings, checks, sections and the runner of one application."""

    def __init__(self, registry: Any, settings: HealthSettings) -> None:
        self.settings = settings
        self.redactor = Redactor()
        self.checks: dict[str, Check] = {}
        self.disabled: dict[str, Check] = {}
        self.sections: dict[str, Callable[[Any], Any]] = {}
        self.clock = Clock()
        self.started = monotonic()
        self._registry = registry
        self._runner: Runner | None = None
        self._building = Lock()
        self.prefix = ""
        """The route prefix of the endpoints, such as ``/internal``."""
        self.read_saturation: Callable[[], Saturation] | None = None
        """Set by a server that knows its worker threads; called often, so it must not block."""
        self.held: Held | None = None
        """The snapshot that was made last."""
        self._draining = False
        self._turns = 0

    def add_check(self, check: Check) -> None:
        """Take ``check``, with what the settings say about it.

        Raises `ConfigurationError` once the runner exists: its checks are fixed.
        """
        if self._runner is not None:
            raise ConfigurationError(
                f"health check {check.name!r}: too late, the application is made already"
            )
        try:
            check = replace(check, **self.settings.overrides_of(check.name))
        except ValueError as error:
            raise HealthEnvironmentError(f"{error} (by combine_health.check.*)") from None
        self.checks.pop(check.name, None)
        self.disabled.pop(check.name, None)
        disabled = check.name in self.settings.disabled
        (self.disabled if disabled else self.checks)[check.name] = check

    @property
    def runner(self) -> Runner:
        """The runner; made when it is first asked for."""
        if self._runner is None:
            with self._building:
                if self._runner is None:
                    self._runner = Runner(
                        self.checks.values(),
                        self._registry,
                        self.redactor,
                        background=self.settings.background,
                        clock=self.clock,
                    )
        return self._runner

    @property
    def draining(self) -> bool:
        """Whether the server is about to end: not ready, and alive. The server sets it."""
        return self._draining

    @draining.setter
    def draining(self, draining: bool) -> None:
        self._draining = draining
        self._turns += 1

    @property
    def version(self) -> tuple[int, int]:
        """Differs whenever a status may have changed by anything but the passing of time."""
        return self.runner.moved, self._turns

    def circumstances(self) -> Circumstances:
        """What decides besides the checks, as it is now. Takes no lock and does no I/O."""
        return Circumstances(
            self.clock.monotonic(),
            self._draining,
            None,
            self.read_saturation() if self.read_saturation else None,
            self.settings.saturated_after,
            self.settings.stuck_after,
        )

    def verify(self) -> None:
        """Raise `HealthEnvironmentError` where a setting names a check that does not exist."""
        known = {*self.checks, *self.disabled}
        strange = [
            f"combine_health.disabled names {n!r}" for n in self.settings.disabled if n not in known
        ]
        strange += [
            f"combine_health.check.{name.lower()}.{setting} is set"
            for name, setting in self.settings.overrides
            if name not in set(map(in_variable, known))
        ]
        if strange:
            raise HealthEnvironmentError(
                f"{'; '.join(strange)}: there is no such health check. Known: "
                + (", ".join(sorted(known)) or "none")
            )


def health_of(registry: Any) -> HealthRegistry:
    """The application's `HealthRegistry`; `ComponentLookupError` where the add-on is missing."""
    found: HealthRegistry = registry.getUtility(IHealthRegistry)
    return found
