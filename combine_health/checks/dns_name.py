"""A name that resolves."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from socket import EAI_AGAIN, gaierror
from time import perf_counter
from typing import Any, ClassVar

from combine_health.checks.connection import resolve
from combine_health.checks.options import option, require, text
from combine_health.engine.result import HealthResult, Status
from combine_health.setting_values import names


@dataclass(frozen=True, slots=True)
class DnsName:
    """Failing unless the system's resolver (hosts file, DNS) knows the name.

    It is what every client library here asks. Causes: ``unknown_name``, ``dns_unavailable`` (no
    server answers: try again), ``unexpected_address``, ``failed``.
    """

    name: str = option("host", text, "The name to resolve.")
    expect: tuple[str, ...] = option(
        "names", names, "Addresses of which at least one must be among the answers.", ()
    )

    remedies: ClassVar[Mapping[str, str]] = {
        "unknown_name": "Check the spelling and the zone: getent hosts NAME.",
        "dns_unavailable": "No DNS server answers: check /etc/resolv.conf and the network.",
        "unexpected_address": "The name points elsewhere: check the zone, or mend the check.",
    }
    defaults: ClassVar[Mapping[str, Any]] = {"interval": 30.0, "timeout": 5.0}

    def __post_init__(self) -> None:
        require(self._problems())

    def _problems(self) -> Iterator[str]:
        if not self.name or any(sign.isspace() or sign in "/@:\0" for sign in self.name):
            yield "name must be a host name"
        expect: object = self.expect  # given in code that no type checker may have seen
        if not isinstance(expect, tuple):
            yield "expect must be a tuple of addresses"

    def __call__(self, _registry: Any) -> HealthResult:
        """Resolve the name once."""
        began = perf_counter()
        try:
            found = resolve(self.name, 0)
        except gaierror as error:
            cause = "dns_unavailable" if error.errno == EAI_AGAIN else "unknown_name"
            return HealthResult.failing(cause, f"{self.name}: {error.strerror}")
        except OSError as error:
            return HealthResult.failing("failed", f"{self.name}: {error}")
        latency = round(1000 * (perf_counter() - began), 3)
        addresses = sorted({str(entry[4][0]) for entry in found})
        data: dict[str, object] = {
            "addresses": addresses[:8],
            "count": len(addresses),
            "latency_ms": latency,
        }
        if self.expect and not set(self.expect) & set(addresses):
            shown = ", ".join(addresses[:8])
            return HealthResult.failing("unexpected_address", f"{self.name} is {shown}", **data)
        return HealthResult(Status.HEALTHY, data=data)
