"""Finds the cause step by step: the URL, the host name, then a connection through libpq for each address.

libpq does not pass on the SQLSTATE of a connection that fails. It gives the message alone, which may be
in the server's language. Its trace (PQtrace, from libpq 18 on, on Linux) holds all fields of the error.
The trace stays in memory and only errors are read from it, because it also holds the password's exchange.
Without a trace the text of libpq, which is English, decides.

psycopg never closes the stream that it opens for a trace, so each attempt costs about 5 kB for good. The
watch therefore repeats a settled diagnosis once a minute at most.
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

# The part of the budget that each step may use, so that a slow one leaves time for the next.
_RESOLVE, _TRY_TLS = 0.3, 0.4
_LEAST_S = 0.05
# With these an address answers nothing, and another address of the same host may.
_OF_THE_NETWORK = (Cause.TIMEOUT, Cause.REFUSED, Cause.NO_ROUTE)

_FIRST_THAT_TRACES = 180000
_ERROR = re.compile(
    r'^\S+ \S+\tB\t\d+\tErrorResponse\t.* C "(\w{5})" M "(.*?)"(?: [A-Z] "|\s*\\x00)', re.MULTILINE
)
_ROUTINE = re.compile(r' R "(\w+)" \\x00$', re.MULTILINE)


def diagnose(url: URL, budget_seconds: float) -> Diagnosis:
    """The cause why a new connection to ``url`` fails, found in at most ``budget_seconds``.

    It opens one or two connections and closes them at once, so call it only after a failure. Never raises
    for a fault of the database.
    """
    try:
        servers = each_host(url)
    except ValueError:
        return Diagnosis(Cause.BAD_URL, "Its hosts and ports do not match.")
    if len(servers) == 1:
        return _diagnose_host(url, budget_seconds)
    found = [_diagnose_host(server, budget_seconds / len(servers)) for server in servers]
    details = zip(hosts_of(url), found, strict=True)
    detail = " ".join(f"{host}: {seen.detail}" for (host, _), seen in details)
    return Diagnosis(min((seen.cause for seen in found), key=_how_telling), detail)


def _how_telling(cause: Cause) -> int:
    """The rank of what one of several hosts answers: one that works, a fault, a standby, no answer."""
    if cause is Cause.REACHABLE:
        return 0
    is_away = cause in _OF_THE_NETWORK or cause is Cause.UNKNOWN_HOST
    return 3 if is_away else 2 if cause is Cause.READ_ONLY else 1


def _diagnose_host(url: URL, budget_seconds: float) -> Diagnosis:
    deadline = time.monotonic() + budget_seconds
    try:
        target = _Target.of(url)
        addresses = target.resolve(budget_seconds * _RESOLVE)
        found: dict[Cause, Diagnosis] = {}
        for position, address in enumerate(addresses):
            left = (deadline - time.monotonic()) / (len(addresses) - position)
            seen = _try_address(url, target, address, left)
            if seen.cause not in _OF_THE_NETWORK:
                return seen
            found.setdefault(seen.cause, seen)
        return next(found[cause] for cause in _OF_THE_NETWORK if cause in found)
    except _FoundError as error:
        return error.diagnosis
    except OSError as error:
        # A fault of this machine: no file descriptor left, no permission for the socket.
        detail = f"Looking for the cause failed: {error.strerror or type(error).__name__}."
        return Diagnosis(Cause.UNKNOWN, detail)


class _FoundError(Exception):
    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(detail)
        self.diagnosis = Diagnosis(cause, detail)


@dataclass(frozen=True, slots=True)
class _Target:
    """What the URL names. ``host`` may be a folder of sockets, as in libpq."""

    host: str
    port: int
    tls: str

    @classmethod
    def of(cls, url: URL) -> _Target:
        """Read ``url``; raises _FoundError(BAD_URL) that names what is missing."""
        host = url.host or _single(url, "host")
        named = {"host": host, "user": url.username, "database": url.database}
        missing = [name for name, value in named.items() if not value]
        if missing:
            raise _FoundError(Cause.BAD_URL, f"It names no {' and no '.join(missing)}.")
        if url.get_backend_name() not in {"postgresql", "postgres"}:
            raise _FoundError(Cause.BAD_URL, f"Its scheme is {url.drivername}, not postgresql.")
        tls = _single(url, "sslmode") or os.environ.get("PGSSLMODE", "prefer")
        if tls not in _TLS_MODES:
            raise _FoundError(Cause.BAD_URL, f"Its sslmode is not one of {', '.join(_TLS_MODES)}.")
        return cls(str(host), url.port or DEFAULT_PORT, tls)

    def resolve(self, seconds: float) -> list[str | None]:
        """The IP addresses of the host; ``None`` stands for a folder of sockets.

        :raises _FoundError: UNKNOWN_HOST
        """
        if self.host.startswith(("/", "@")):
            return [None]
        found = _look_up(self.host, self.port, seconds)
        if found is None:
            detail = f"Looking up {self.host} brought no answer within {seconds:.1f} s."
            raise _FoundError(Cause.UNKNOWN_HOST, detail)
        if isinstance(found, OSError):
            detail = f"Looking up {self.host} failed: {found.strerror}."
            raise _FoundError(Cause.UNKNOWN_HOST, detail)
        return found

    def shown(self, address: str | None) -> str:
        """The address for people."""
        if address is None:
            return str(Path(self.host) / f".s.PGSQL.{self.port}")
        return f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"


def _single(url: URL, name: str) -> str | None:
    value = url.query.get(name)
    return value if isinstance(value, str) or value is None else value[0]


def _look_up(host: str, port: int, seconds: float) -> list[str | None] | OSError | None:
    # getaddrinfo takes no time limit, so it runs in a thread that can be left behind.
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
    # psycopg takes long to import, and a diagnosis that ends before never needs it.
    from psycopg import ProgrammingError

    seconds = max(_LEAST_S, seconds)
    without_tls = target.tls == "disable" and address is not None
    place = target.shown(address)
    try:
        attempt = sign_in(url, address, seconds * (1 - _TRY_TLS) if without_tls else seconds)
        if without_tls and attempt.lacks_rule:
            with_tls = url.update_query_dict({"sslmode": "require"})
            encrypted = sign_in(with_tls, address, seconds * _TRY_TLS)
            if encrypted.was_let_further:
                detail = f"{place} has no rule for us without TLS, and has one with it."
                return Diagnosis(Cause.TLS_REQUIRED, detail)
    except (ProgrammingError, psycopg2.ProgrammingError):
        # Its text quotes parts of the URL.
        return Diagnosis(Cause.BAD_URL, "The driver cannot read it.")
    return attempt.diagnosis(place)


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt to connect and sign in ended.

    :ivar seconds: the time that it had
    :ivar connected: a server took the connection
    :ivar timed_out: no end came in time
    :ivar signed_in: the session began
    :ivar read_only: the session began, and the server takes no writes: the reason
    :ivar errors: the errors of the server, in order, where libpq can trace them
    :ivar text: the message of libpq
    :ivar used_password: the server asked for the password and got it
    :ivar lacks_password: the server asked for a password, and there is none
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
        """Whether no line of pg_hba.conf matched, in any of the tries."""
        return bool(self.errors) and all(error.is_missing_rule for error in self.errors)

    @property
    def was_let_further(self) -> bool:
        """Whether a line of pg_hba.conf matched."""
        return self.signed_in or self.used_password or self.lacks_password

    def diagnosis(self, place: str) -> Diagnosis:
        """The cause, by SQLSTATE, else by libpq's text, else by elimination.

        :param place: the address, for people
        """
        if self.timed_out:
            return Diagnosis(Cause.TIMEOUT, self._silence(place))
        if self.read_only:
            return Diagnosis(Cause.READ_ONLY, self.read_only)
        if self.signed_in:
            return Diagnosis(Cause.REACHABLE, f"{place} lets us in.")
        if self.lacks_password:
            detail = "The server asks for a password, and DATABASE_URL has none."
            return Diagnosis(Cause.AUTH_FAILED, detail)
        if self.errors:
            # With sslmode=prefer or allow libpq tries twice, and one try may only lack a rule.
            telling = (error for error in self.errors if not error.is_missing_rule)
            return next(telling, self.errors[-1]).diagnosis()
        known = cause_of_text(self.text)
        if known is not None:
            return Diagnosis(known, f"{place}: {quote_driver(self.text)}")
        if self.used_password:
            return Diagnosis(Cause.AUTH_FAILED, "The server asked for the password, then refused.")
        return Diagnosis(Cause.REJECTED, quote_driver(self.text))

    def _silence(self, place: str) -> str:
        if not self.connected:
            return f"No answer from {place} within {self.seconds:.1f} s of connecting."
        if self.used_password:
            return (
                f"{place} does not finish signing in within {self.seconds:.1f} s. If it is a pooler, it waits"
                " for the database behind it; its log says why."
            )
        return f"{place} takes the connection and says nothing for {self.seconds:.1f} s."


def sign_in(url: URL, address: str | None, seconds: float) -> Attempt:
    """Connect and sign in as the driver does, then hang up.

    :param address: the IP address to try; ``None`` where the URL names a folder of sockets
    :raises psycopg.ProgrammingError, psycopg2.ProgrammingError: libpq does not understand the URL
    """
    from psycopg import pq
    from psycopg.conninfo import make_conninfo

    parameters = make_conninfo(conninfo(url), **({"hostaddr": address} if address else {}))
    can_trace = sys.platform == "linux" and pq.version() >= _FIRST_THAT_TRACES
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
                text=_after_address(connection.get_error_message()),
                used_password=connection.used_password,
                lacks_password=connection.needs_password,
            )
        finally:
            connection.finish()
    finally:
        if trace is not None:
            os.close(trace)


def _finish(connection: PGconn, deadline: float) -> bool:
    """Drive the attempt to its end; ``False`` if the deadline came first."""
    from psycopg import pq

    wanted = pq.PollingStatus.WRITING
    while wanted in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
        if connection.status == pq.ConnStatus.BAD:
            return True
        reading = wanted == pq.PollingStatus.READING
        poller = select.poll()
        poller.register(connection.socket, select.POLLIN if reading else select.POLLOUT)
        left = deadline - time.monotonic()
        if left <= 0 or not poller.poll(left * 1000):
            return False
        wanted = pq.PollingStatus(connection.connect_poll())
    return True


def _read_only(connection: PGconn) -> str | None:
    # Servers from 14 on report both when a session begins.
    if connection.parameter_status(b"in_hot_standby") == b"on":
        return "It is a standby (in_hot_standby is on)."
    if connection.parameter_status(b"default_transaction_read_only") == b"on":
        return "default_transaction_read_only is on."
    return None


def _after_address(text: str) -> str:
    """libpq's message without the address in front, which the diagnosis names itself."""
    return text.partition(" failed: ")[2] if text.startswith("connection to server ") else text


def _errors_in(trace: int) -> tuple[ServerError, ...]:
    written = os.pread(trace, os.fstat(trace).st_size, 0).decode(errors="replace")
    errors = []
    for line in written.splitlines():
        found = _ERROR.search(line)
        if found is not None:
            routine = _ROUTINE.search(line)
            errors.append(ServerError(found[1], found[2], routine[1] if routine else ""))
    return tuple(errors)
