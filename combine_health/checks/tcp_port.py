"""A TCP port that accepts connections."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar

from combine_health.checks.connection import REMEDIES, Deadline, connect, explain
from combine_health.checks.options import option, port, require, text
from combine_health.engine.result import HealthResult
from combine_health.setting_values import wait


@dataclass(frozen=True, slots=True)
class TcpPort:
    """Failing unless a connection is accepted in time; nothing is sent.

    Causes: ``unknown_host``, ``refused``, ``unreachable``, ``timeout``, ``closed``,
    ``no_sockets``, ``failed``.
    """

    host: str = option("host", text, "Name or address.")
    port: int = option("port", port, "The port.")
    timeout: float = option("seconds", wait, "Longest time for all of it.", 1.0)

    remedies: ClassVar[Mapping[str, str]] = REMEDIES
    defaults: ClassVar[Mapping[str, Any]] = {"interval": 5.0}

    def __post_init__(self) -> None:
        require(problems_of(self.host, self.port, self.timeout))

    def __call__(self, _registry: Any) -> HealthResult:
        """Connect once."""
        began = perf_counter()
        try:
            connect(self.host, self.port, Deadline(self.timeout)).close()
        except OSError as error:
            return HealthResult.failing(explain(error), f"{self.host}:{self.port}: {error}")
        return HealthResult.healthy(latency_ms=round(1000 * (perf_counter() - began), 3))


def problems_of(host: str, number: int, timeout: float) -> Iterator[str]:
    """What is wrong with a place to connect to."""
    if not host or any(sign.isspace() or sign in "/@\0" for sign in host):
        yield "host must be a name or an address"
    if not 1 <= number <= 65535:
        yield "port must be from 1 to 65535"
    if not timeout > 0:
        yield "timeout must be above 0 seconds"
