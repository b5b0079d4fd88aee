"""For authors of checks: run one once, as the runner would, and look at the result.

::

    def test_redis_is_away():
        seen = run_check(my_check, registry=DummyRegistry(), timeout=0.5, secrets=["s3cr3t"])
        assert (seen.status, seen.cause) == ("failing", "refused")
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from .check import Check, CheckFunction, Kind
from .redact import Redactor
from .runner import Clock, Runner
from .state import Reading


def run_check(
    check: CheckFunction,
    registry: Any = None,
    *,
    timeout: float = 1.0,
    secrets: Iterable[str] = (),
    **declared: Any,
) -> Reading:
    """Run ``check`` once with a hard deadline of ``timeout`` seconds and return what a reader sees.

    Detail and data are shortened and redacted as they will be in the service. ``declared`` takes
    what ``config.add_health_check`` takes. A check that ignores its deadline goes on on a daemon
    thread; the result is then ``failing`` with the cause ``timeout``.
    """
    redactor = Redactor()
    for secret in secrets:
        redactor.add(secret)
    name = declared.pop("name", "check")
    runner = Runner(
        [Check(name, check, timeout=timeout, **declared)], registry, redactor, background=False
    )
    runner.refresh(tuple(Kind))
    reading = runner.reading(name)
    assert reading is not None
    return reading


@dataclass
class FakeClock:
    """Stands still until it is told to `advance`; ``clock()`` is what a runner takes."""

    now: float = 1000.0
    began: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def clock(self) -> Clock:
        """The `Clock` to hand to a runner."""
        return Clock(lambda: self.now, lambda: self.began + timedelta(seconds=self.now - 1000.0))
