"""Checks within a deadline that a TCP port accepts connections and that a host name resolves."""

import errno
import io
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from socket import EAI_AGAIN, gaierror
from time import monotonic, perf_counter
from typing import Any, ClassVar

from combine_health.engine.check import HealthResult, Status
from combine_health.engine.execute import RUN
from combine_health.options import BuiltIn, names, option, port, text

REMEDIES: Mapping[str, str] = {
    "unknown_host": "Check the name and the DNS server: getent hosts NAME.",
    "refused": "No process listens on this port. Start the service, or check host and port.",
    "unreachable": "Check the network, the routes and the firewall between this machine and the host.",
    "timeout": "It does not answer in time. Check its load, and whether a firewall drops packets.",
    "closed": "The server closed the connection. Read its log.",
    "no_sockets": "This process has no file descriptors or ports left: ls /proc/PID/fd, ss -s.",
}

_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM}


# The check ends shortly before the deadline of the run. The check can report the operation that it
# waited for; the runner could only report a timeout.
OWN_SHARE = 0.9
WITHOUT_RUN = 5.0  # seconds


class Deadline:
    """The point in time at which a check must have finished."""

    def __init__(self, seconds: float) -> None:
        self._end = monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left. Raises `TimeoutError` when there are none."""
        left = self._end - monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


def deadline_of_run(timeout: float | None) -> Deadline:
    """Return the deadline of this run, at most ``timeout`` seconds from now."""
    run = RUN.get(None)
    limit = WITHOUT_RUN if run is None else OWN_SHARE * run.check.timeout
    return Deadline(limit if timeout is None else min(limit, timeout))


def resolve(host: str, port: int) -> list[tuple[Any, ...]]:
    """Return the TCP addresses of ``host`` in the form of `socket.getaddrinfo`.

    The system's resolver has its own timeout, so only the deadline of the whole run limits it.
    """
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is empty or longer than DNS allows
        raise socket.gaierror(socket.EAI_NONAME, "no such name") from error


def connect(host: str, port: int, deadline: Deadline) -> socket.socket:
    """Connect to the first address that accepts. Raises the `OSError` of the last address tried."""
    failure: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    for family, kind, protocol, _, address in resolve(host, port):
        try:
            connection = socket.socket(family, kind, protocol)
        except OSError as error:  # this family is switched off here
            failure = error
            continue
        try:
            connection.settimeout(deadline.left)
            connection.connect(address)
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure


def explain(error: Exception, otherwise: str = "failed") -> str:
    """Return the cause code for a connection error, or ``otherwise`` if no other code fits."""
    if isinstance(error, socket.gaierror):
        return "unknown_host"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, ConnectionError | ssl.SSLEOFError | ssl.SSLZeroReturnError | EOFError):
        return "closed"
    number = getattr(error, "errno", None)
    if number in _UNREACHABLE:
        return "unreachable"
    return "no_sockets" if number in _EXHAUSTED else otherwise


class Stream:
    """A connected socket for `http.client` whose reads share one deadline.

    The timeout of a socket restarts with each byte, so a server that sends single bytes slowly could
    block a reader forever.
    """

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def sendall(self, data: Any) -> None:
        self._connection.settimeout(self._deadline.left)
        self._connection.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_RawReader(self._connection, self._deadline))

    def close(self) -> None:
        """Do nothing: the caller that opened the socket closes it."""


class _RawReader(io.RawIOBase):
    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(self._deadline.left)
        return self._connection.recv_into(buffer)


@dataclass(frozen=True, slots=True)
class TcpPort(BuiltIn):
    """Failing unless the port accepts a connection in time. The check sends no data.

    Causes: ``unknown_host``, ``refused``, ``unreachable``, ``timeout``, ``closed``,
    ``no_sockets``, ``failed``.
    """

    host: str = option("host", text, "Name or address.")
    port: int = option("port", port, "The port.")
    timeout: float | None = None
    """The time limit of the whole check, if it is shorter than that of a run."""

    remedies: ClassVar[Mapping[str, str]] = REMEDIES
    defaults: ClassVar[Mapping[str, Any]] = {"interval": 5.0}

    def problems(self) -> Iterator[str]:
        return address_problems(self.host, self.port, self.timeout)

    def __call__(self, _registry: Any) -> HealthResult:
        began = perf_counter()
        try:
            connect(self.host, self.port, deadline_of_run(self.timeout)).close()
        except OSError as error:
            return HealthResult.failing(explain(error), f"{self.host}:{self.port}: {error}")
        return HealthResult.healthy(latency_ms=round(1000 * (perf_counter() - began), 3))


def address_problems(host: str, number: int, timeout: float | None) -> Iterator[str]:
    if not host or any(char.isspace() or char in "/@\0" for char in host):
        yield "host must be a name or an address"
    if not 1 <= number <= 65535:
        yield "port must be from 1 to 65535"
    if timeout is not None and not timeout > 0:
        yield "timeout must be above 0 seconds"


@dataclass(frozen=True, slots=True)
class DnsName(BuiltIn):
    """Failing unless the system's resolver (hosts file, DNS) resolves the name.

    Client libraries use the same resolver. Causes: ``unknown_name``, ``dns_unavailable`` (no DNS
    server answers), ``unexpected_address``, ``failed``.
    """

    name: str = option("host", text, "The name to resolve.")
    expect: tuple[str, ...] = option(
        "names", names, "Addresses, one of which the name must resolve to.", ()
    )

    remedies: ClassVar[Mapping[str, str]] = {
        "unknown_name": "Check the spelling and the zone: getent hosts NAME.",
        "dns_unavailable": "No DNS server answers: check /etc/resolv.conf and the network.",
        "unexpected_address": "The name resolves to another address: check the zone, or correct the check.",
    }
    defaults: ClassVar[Mapping[str, Any]] = {"interval": 30.0, "timeout": 5.0}

    def problems(self) -> Iterator[str]:
        if not self.name or any(char.isspace() or char in "/@:\0" for char in self.name):
            yield "name must be a host name"
        expect: object = self.expect  # set by code that may not be type-checked
        if not isinstance(expect, tuple):
            yield "expect must be a tuple of addresses"

    def __call__(self, _registry: Any) -> HealthResult:
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
