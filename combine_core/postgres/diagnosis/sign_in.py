"""Signing in as the driver does, to hear what the server says after the password.

libpq keeps the SQLSTATE of a connection that fails to itself; it only gives the message, in the
server's language. What it traces (PQtrace, from libpq 18 on, on Linux) has all fields. The trace goes
to memory and is searched for the error alone: it also holds what was said about the password.

psycopg never closes the stream that it opens for a trace: each attempt costs about 5 kB for good. So the
watch repeats a settled diagnosis once a minute at most.
"""

from __future__ import annotations

import os
import re
import select
import sys
import time
from dataclasses import dataclass

from psycopg import pq
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn
from sqlalchemy import URL

from combine_core.postgres.diagnosis.answers import ServerError
from combine_core.postgres.diagnosis.target import Address

_FIRST_THAT_TRACES = 180000
_ERROR = re.compile(
    r'^\S+ \S+\tB\t\d+\tErrorResponse\t.* C "(\w{5})" M "(.*?)"(?: [A-Z] "|\s*\\x00)', re.MULTILINE
)
_ROUTINE = re.compile(r' R "(\w+)" \\x00$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of it.

    :ivar read_only: signed in, to a server that takes no writes: why; else ``None``
    :ivar error: what the server said, with all fields
    :ivar text: what libpq said, where the fields are not known
    :ivar used_password: the server asked for the password and got it
    """

    signed_in: bool
    read_only: str | None = None
    error: ServerError | None = None
    text: str = ""
    used_password: bool = False
    lacks_password: bool = False


def sign_in(url: URL, address: Address, seconds: float) -> Attempt:
    """Try it, and hang up.

    :raises TimeoutError: no end within ``seconds``
    :raises psycopg.ProgrammingError: libpq does not understand the URL
    """
    text = url.set(drivername="postgresql").render_as_string(hide_password=False)
    conninfo = make_conninfo(text, **({"hostaddr": address.ip} if address.ip else {}))
    trace = os.memfd_create("trace") if _can_trace() else None
    try:
        connection = pq.PGconn.connect_start(conninfo.encode())
        try:
            if trace is not None:
                connection.trace(trace)
            _finish(connection, time.monotonic() + seconds)
            if trace is not None:
                connection.untrace()
            return _read(connection, trace)
        finally:
            connection.finish()
    finally:
        if trace is not None:
            os.close(trace)


def _can_trace() -> bool:
    return sys.platform == "linux" and pq.version() >= _FIRST_THAT_TRACES


def _finish(connection: PGconn, deadline: float) -> None:
    wanted = pq.PollingStatus.WRITING
    while wanted in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
        if connection.status == pq.ConnStatus.BAD:
            return
        reading = wanted == pq.PollingStatus.READING
        poller = select.poll()
        poller.register(connection.socket, select.POLLIN if reading else select.POLLOUT)
        left = deadline - time.monotonic()
        if left <= 0 or not poller.poll(left * 1000):
            raise TimeoutError
        wanted = pq.PollingStatus(connection.connect_poll())


def _read(connection: PGconn, trace: int | None) -> Attempt:
    if connection.status == pq.ConnStatus.OK:
        return Attempt(True, read_only=_read_only(connection))
    return Attempt(
        False,
        error=None if trace is None else _last_error(trace),
        text=connection.get_error_message(),
        used_password=connection.used_password,
        lacks_password=connection.needs_password,
    )


def _read_only(connection: PGconn) -> str | None:
    # Servers from 14 on report both when a session begins.
    if connection.parameter_status(b"in_hot_standby") == b"on":
        return "It is a standby (in_hot_standby is on)."
    if connection.parameter_status(b"default_transaction_read_only") == b"on":
        return "default_transaction_read_only is on."
    return None


def _last_error(trace: int) -> ServerError | None:
    written = os.pread(trace, os.fstat(trace).st_size, 0).decode(errors="replace")
    errors = [line for line in written.splitlines() if "\tErrorResponse\t" in line]
    found = _ERROR.search(errors[-1]) if errors else None
    if found is None:
        return None
    routine = _ROUTINE.search(errors[-1])
    return ServerError(found[1], found[2], routine[1] if routine else "")
