"""Where a database URL leads: host, port, TLS; and the way there, up to an open connection."""

from __future__ import annotations

import errno
import os
import queue
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from combine_core.postgres.diagnosis.causes import Cause, Diagnosis

TLS_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_NO_ROUTE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL)
_DEFAULT_PORT = 5432


class FoundError(Exception):
    """The cause was found on the way; there is no way further."""

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(detail)
        self.diagnosis = Diagnosis(cause, detail)


@dataclass(frozen=True, slots=True)
class Address:
    """One address of the host, as ``socket`` takes it."""

    family: int
    where: Any

    @property
    def ip(self) -> str | None:
        """The IP address, if it is one."""
        return None if self.family == socket.AF_UNIX else str(self.where[0])

    def __str__(self) -> str:
        if self.ip is None:
            return str(self.where)
        shown = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"{shown}:{self.where[1]}"


@dataclass(frozen=True, slots=True)
class Target:
    """What the URL names. ``host`` may be a folder of sockets, as libpq has it."""

    host: str
    port: int
    user: str
    database: str
    tls: str

    @classmethod
    def of(cls, url: URL) -> Target:
        """Read ``url``; raises FoundError(BAD_URL) naming what is missing."""
        host = url.host or _single(url, "host")
        named = {"host": host, "user": url.username, "database": url.database}
        missing = [name for name, value in named.items() if not value]
        if missing:
            raise FoundError(Cause.BAD_URL, f"It names no {' and no '.join(missing)}.")
        if url.get_backend_name() not in {"postgresql", "postgres"}:
            raise FoundError(Cause.BAD_URL, f"Its scheme is {url.drivername}, not postgresql.")
        tls = _single(url, "sslmode") or os.environ.get("PGSSLMODE", "prefer")
        if tls not in TLS_MODES:
            raise FoundError(Cause.BAD_URL, f"Its sslmode is none of {', '.join(TLS_MODES)}.")
        port = url.port or _DEFAULT_PORT
        return cls(str(host), port, str(url.username), str(url.database), tls)

    def resolve(self, seconds: float) -> list[Address]:
        """The addresses of the host; raises FoundError(UNKNOWN_HOST)."""
        if self.host.startswith("/"):
            path = str(Path(self.host) / f".s.PGSQL.{self.port}")
            return [Address(socket.AF_UNIX, path)]
        found = _look_up(self.host, self.port, seconds)
        if isinstance(found, OSError):
            raise FoundError(
                Cause.UNKNOWN_HOST, f"Looking up {self.host} failed: {found.strerror}."
            )
        if found is None:
            detail = f"Looking up {self.host} brought no answer within {seconds:.1f} s."
            raise FoundError(Cause.UNKNOWN_HOST, detail)
        return found


def connect(addresses: list[Address], seconds: float) -> tuple[socket.socket, Address]:
    """An open connection to the first address that takes one, and which that is.

    :raises FoundError: REFUSED, TIMEOUT or NO_ROUTE, of the address that says most
    """
    deadline = time.monotonic() + seconds
    failures: dict[Cause, str] = {}
    for position, address in enumerate(addresses):
        left = (deadline - time.monotonic()) / (len(addresses) - position)
        connection = socket.socket(address.family, socket.SOCK_STREAM)
        connection.settimeout(max(0.01, left))
        try:
            connection.connect(address.where)
        except OSError as error:
            connection.close()
            cause, detail = _judge(error, address, max(0.01, left))
            failures.setdefault(cause, detail)
        else:
            return connection, address
    for cause in (Cause.TIMEOUT, Cause.REFUSED, Cause.NO_ROUTE):
        if cause in failures:
            raise FoundError(cause, failures[cause])
    cause, detail = next(iter(failures.items()))
    raise FoundError(cause, detail)


def _judge(error: OSError, address: Address, seconds: float) -> tuple[Cause, str]:
    if isinstance(error, TimeoutError):
        return Cause.TIMEOUT, f"No answer from {address} within {seconds:.1f} s of connecting."
    if isinstance(error, ConnectionRefusedError):
        return Cause.REFUSED, f"{address} refuses the connection."
    if isinstance(error, FileNotFoundError):
        return Cause.REFUSED, f"There is no socket {address}."
    if error.errno in _NO_ROUTE:
        return Cause.NO_ROUTE, f"{address} cannot be reached: {error.strerror}."
    return Cause.UNKNOWN, f"Connecting to {address} failed: {error.strerror or error}."


def _look_up(host: str, port: int, seconds: float) -> list[Address] | OSError | None:
    # getaddrinfo knows no time limit: it gets a thread that nobody has to wait for.
    answer: queue.SimpleQueue[list[Address] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.put([Address(info[0], info[4]) for info in infos])
        except OSError as error:
            answer.put(error)
        except UnicodeError:
            answer.put(OSError(errno.EINVAL, "it cannot be a host name"))

    threading.Thread(target=ask, name="database look-up", daemon=True).start()
    try:
        return answer.get(timeout=seconds)
    except queue.Empty:
        return None


def _single(url: URL, name: str) -> str | None:
    value = url.query.get(name)
    return value if isinstance(value, str) or value is None else value[0]
