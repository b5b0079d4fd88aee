"""Finds the cause of a failed connection step by step: URL, host name, a libpq connection for each address.

libpq does not pass on the SQLSTATE of a failed connection. It reports only the message, which may be in the
server's language. Its trace (PQtrace, since libpq 18, on Linux) contains all fields of the error. The trace
stays in memory and only errors are read from it, because it also contains the exchange of the password.
Without a trace, libpq's English text decides.

psycopg never closes the stream that it opens for a trace, so each attempt leaks about 5 kB. The watch
therefore repeats a conclusive diagnosis at most once a minute.
"""

from __future__ import annotations

import errno
import os
import re
import select
import socket
import sys
import time
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
from sqlalchemy import URL

from combine_core.database.connecting import conninfo
from combine_core.database.inspection import in_daemon_thread
from combine_core.postgres.diagnosis.causes import Cause, Diagnosis
from combine_core.postgres.diagnosis.errors import ServerError, cause_of_text, quote_driver
from combine_core.settings.database_url import DEFAULT_PORT, each_host, hosts_of

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

_TLS_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

# The part of the budget that each step may use, so that a slow step leaves time for the next.
_RESOLVE_SHARE, _TLS_SHARE = 0.3, 0.4
_MIN_TIMEOUT_S = 0.05
# With these causes the address does not respond, but another address of the same host may.
_NETWORK_CAUSES = (Cause.TIMEOUT, Cause.REFUSED, Cause.NO_ROUTE)

_FIRST_LIBPQ_WITH_TRACE = 180000
_ERROR = re.compile(
    r'^\S+ \S+\tB\t\d+\tErrorResponse\t.* C "(\w{5})" M "(.*?)"(?: [A-Z] "|\s*\\x00)', re.MULTILINE
)
_ROUTINE = re.compile(r' R "(\w+)" \\x00$', re.MULTILINE)


def diagnose(url: URL, budget_seconds: float) -> Diagnosis:
    """Find the cause of failing connections to ``url``, in at most ``budget_seconds``.

    This opens one or two connections and closes them at once, so call it only after a failure. It never
    raises an exception for a fault of the database.
    """
    try:
        servers = each_host(url)
    except ValueError:
        return Diagnosis(Cause.BAD_URL, "Its hosts and ports do not match.")
    if len(servers) == 1:
        return _diagnose_host(url, budget_seconds)
    diagnoses = [_diagnose_host(server, budget_seconds / len(servers)) for server in servers]
    details = zip(hosts_of(url), diagnoses, strict=True)
    detail = " ".join(f"{host}: {diagnosis.detail}" for (host, _), diagnosis in details)
    return Diagnosis(min((diagnosis.cause for diagnosis in diagnoses), key=_rank), detail)


def _rank(cause: Cause) -> int:
    """Rank the causes of several hosts: a host that works, a fault, a standby, no response."""
    if cause is Cause.REACHABLE:
        return 0
    is_silent = cause in _NETWORK_CAUSES or cause is Cause.UNKNOWN_HOST
    return 3 if is_silent else 2 if cause is Cause.READ_ONLY else 1


def _diagnose_host(url: URL, budget_seconds: float) -> Diagnosis:
    deadline = time.monotonic() + budget_seconds
    try:
        target = _Target.of(url)
        addresses = target.resolve(budget_seconds * _RESOLVE_SHARE)
        diagnoses: dict[Cause, Diagnosis] = {}
        for position, address in enumerate(addresses):
            left = (deadline - time.monotonic()) / (len(addresses) - position)
            diagnosis = _try_address(url, target, address, left)
            if diagnosis.cause not in _NETWORK_CAUSES:
                return diagnosis
            diagnoses.setdefault(diagnosis.cause, diagnosis)
        return next(diagnoses[cause] for cause in _NETWORK_CAUSES if cause in diagnoses)
    except _DiagnosedError as error:
        return error.diagnosis
    except OSError as error:
        # A fault of this machine, such as no free file descriptor or no permission for the socket.
        detail = f"The diagnosis itself failed: {error.strerror or type(error).__name__}."
        return Diagnosis(Cause.UNKNOWN, detail)


class _DiagnosedError(Exception):
    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(detail)
        self.diagnosis = Diagnosis(cause, detail)


@dataclass(frozen=True, slots=True)
class _Target:
    """The server that a URL names. ``host`` may be a folder of sockets, as in libpq."""

    host: str
    port: int
    tls: str

    @classmethod
    def of(cls, url: URL) -> _Target:
        """Read the target from a URL.

        :raises _DiagnosedError: BAD_URL
        """
        host = url.host or _single(url, "host")
        required = {"host": host, "user": url.username, "database": url.database}
        missing = [name for name, value in required.items() if not value]
        if missing:
            raise _DiagnosedError(Cause.BAD_URL, f"It names no {' and no '.join(missing)}.")
        if url.get_backend_name() not in {"postgresql", "postgres"}:
            detail = f"Its scheme is {url.drivername}, not postgresql."
            raise _DiagnosedError(Cause.BAD_URL, detail)
        tls = _single(url, "sslmode") or os.environ.get("PGSSLMODE", "prefer")
        if tls not in _TLS_MODES:
            detail = f"Its sslmode is not one of {', '.join(_TLS_MODES)}."
            raise _DiagnosedError(Cause.BAD_URL, detail)
        return cls(str(host), url.port or DEFAULT_PORT, tls)

    def resolve(self, seconds: float) -> list[str | None]:
        """Look up the IP addresses of the host. ``None`` represents a folder of sockets.

        :raises _DiagnosedError: UNKNOWN_HOST
        """
        if self.host.startswith(("/", "@")):
            return [None]
        addresses = _look_up(self.host, self.port, seconds)
        if addresses is None:
            detail = f"Looking up {self.host} took longer than {seconds:.1f} s."
            raise _DiagnosedError(Cause.UNKNOWN_HOST, detail)
        if isinstance(addresses, OSError):
            detail = f"Looking up {self.host} failed: {addresses.strerror}."
            raise _DiagnosedError(Cause.UNKNOWN_HOST, detail)
        return addresses

    def format(self, address: str | None) -> str:
        if address is None:
            return str(Path(self.host) / f".s.PGSQL.{self.port}")
        return f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"


def _single(url: URL, name: str) -> str | None:
    value = url.query.get(name)
    return value if isinstance(value, str) or value is None else value[0]


def _look_up(host: str, port: int, seconds: float) -> list[str | None] | OSError | None:
    # getaddrinfo has no timeout, so it runs in a thread that can be abandoned.
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        infos = in_daemon_thread(look_up, "database look-up").result(seconds)
    except NotYet:
        return None
    except OSError as error:
        return error
    except UnicodeError:
        return OSError(errno.EINVAL, "it cannot be a host name")
    return [str(info[4][0]) for info in infos]


def _try_address(url: URL, target: _Target, address: str | None, seconds: float) -> Diagnosis:
    # Imported here because psycopg takes long to import, and a diagnosis may end before it is needed.
    from psycopg import ProgrammingError

    seconds = max(_MIN_TIMEOUT_S, seconds)
    without_tls = target.tls == "disable" and address is not None
    place = target.format(address)
    try:
        attempt = sign_in(url, address, seconds * (1 - _TLS_SHARE) if without_tls else seconds)
        if without_tls and attempt.lacks_rule:
            with_tls = url.update_query_dict({"sslmode": "require"})
            encrypted = sign_in(with_tls, address, seconds * _TLS_SHARE)
            if encrypted.matched_rule:
                detail = f"{place} has a rule for this user with TLS, but none without."
                return Diagnosis(Cause.TLS_REQUIRED, detail)
    except (ProgrammingError, psycopg2.ProgrammingError):
        # The message quotes parts of the URL.
        return Diagnosis(Cause.BAD_URL, "The driver cannot parse it.")
    return attempt.diagnosis(place)


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome of one attempt to connect and authenticate.

    :ivar seconds: the timeout of the attempt
    :ivar connected: whether a server accepted the connection
    :ivar timed_out: whether the attempt timed out
    :ivar signed_in: whether the session began
    :ivar read_only: why the server rejects writes, if it does
    :ivar errors: the errors of the server, in order, where libpq can trace them
    :ivar text: the message of libpq
    :ivar used_password: whether the server requested the password and received it
    :ivar lacks_password: whether the server requested a password and the URL has none
    """

    seconds: float
    connected: bool
    timed_out: bool
    signed_in: bool
    read_only: str | None
    errors: tuple[ServerError, ...]
    text: str
    used_password: bool
    lacks_password: bool

    @property
    def lacks_rule(self) -> bool:
        """True if no line of pg_hba.conf matched in any try of libpq."""
        return bool(self.errors) and all(error.is_missing_rule for error in self.errors)

    @property
    def matched_rule(self) -> bool:
        """True if a line of pg_hba.conf matched."""
        return self.signed_in or self.used_password or self.lacks_password

    def diagnosis(self, place: str) -> Diagnosis:
        """Diagnose the outcome by SQLSTATE, else by libpq's text, else by elimination.

        :param place: the address, as shown to people
        """
        if self.timed_out:
            return Diagnosis(Cause.TIMEOUT, self._describe_timeout(place))
        if self.read_only:
            return Diagnosis(Cause.READ_ONLY, self.read_only)
        if self.signed_in:
            return Diagnosis(Cause.REACHABLE, f"{place} accepts connections.")
        if self.lacks_password:
            detail = "The server requests a password, and DATABASE_URL has none."
            return Diagnosis(Cause.AUTH_FAILED, detail)
        if self.errors:
            # With sslmode=prefer or allow, libpq tries twice, and one try may merely lack a rule.
            others = (error for error in self.errors if not error.is_missing_rule)
            return next(others, self.errors[-1]).diagnosis()
        known = cause_of_text(self.text)
        if known is not None:
            return Diagnosis(known, f"{place}: {quote_driver(self.text)}")
        if self.used_password:
            detail = "The server requested the password, then refused the connection."
            return Diagnosis(Cause.AUTH_FAILED, detail)
        return Diagnosis(Cause.REJECTED, quote_driver(self.text))

    def _describe_timeout(self, place: str) -> str:
        if not self.connected:
            return f"{place} did not accept the connection within {self.seconds:.1f} s."
        if self.used_password:
            return (
                f"{place} does not finish signing in within {self.seconds:.1f} s. If it is a pooler, it waits"
                " for the database; its log contains the reason."
            )
        return f"{place} accepted the connection and did not respond for {self.seconds:.1f} s."


def sign_in(url: URL, address: str | None, seconds: float) -> Attempt:
    """Connect and authenticate as the driver does, then disconnect.

    :param address: the IP address to try; ``None`` if the URL names a folder of sockets
    :raises psycopg.ProgrammingError, psycopg2.ProgrammingError: libpq cannot parse the URL
    """
    from psycopg import pq
    from psycopg.conninfo import make_conninfo

    parameters = make_conninfo(conninfo(url), **({"hostaddr": address} if address else {}))
    can_trace = sys.platform == "linux" and pq.version() >= _FIRST_LIBPQ_WITH_TRACE
    trace = os.memfd_create("trace") if can_trace else None
    try:
        connection = pq.PGconn.connect_start(parameters.encode())
        try:
            if trace is not None:
                connection.trace(trace)
            timed_out = not _finish(connection, time.monotonic() + seconds)
            if trace is not None:
                connection.untrace()
            return Attempt(
                seconds=seconds,
                connected=connection.status != pq.ConnStatus.STARTED,
                timed_out=timed_out,
                signed_in=connection.status == pq.ConnStatus.OK,
                read_only=_read_only(connection),
                errors=() if trace is None else _errors_in(trace),
                text=_without_address(connection.get_error_message()),
                used_password=connection.used_password,
                lacks_password=connection.needs_password,
            )
        finally:
            connection.finish()
    finally:
        if trace is not None:
            os.close(trace)


def _finish(connection: PGconn, deadline: float) -> bool:
    """Poll the connection until the attempt ends; return ``False`` if the deadline passes first."""
    from psycopg import pq

    status = pq.PollingStatus.WRITING
    while status in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
        if connection.status == pq.ConnStatus.BAD:
            return True
        reading = status == pq.PollingStatus.READING
        poller = select.poll()
        poller.register(connection.socket, select.POLLIN if reading else select.POLLOUT)
        left = deadline - time.monotonic()
        if left <= 0 or not poller.poll(left * 1000):
            return False
        status = pq.PollingStatus(connection.connect_poll())
    return True


def _read_only(connection: PGconn) -> str | None:
    # PostgreSQL 14 and later report both parameters when a session begins.
    if connection.parameter_status(b"in_hot_standby") == b"on":
        return "It is a standby (in_hot_standby is on)."
    if connection.parameter_status(b"default_transaction_read_only") == b"on":
        return "default_transaction_read_only is on."
    return None


def _without_address(text: str) -> str:
    """Remove the address from a message of libpq, because the diagnosis names it already."""
    return text.partition(" failed: ")[2] if text.startswith("connection to server ") else text


def _errors_in(trace: int) -> tuple[ServerError, ...]:
    content = os.pread(trace, os.fstat(trace).st_size, 0).decode(errors="replace")
    errors = []
    for line in content.splitlines():
        error = _ERROR.search(line)
        if error is not None:
            routine = _ROUTINE.search(line)
            errors.append(ServerError(error[1], error[2], routine[1] if routine else ""))
    return tuple(errors)
