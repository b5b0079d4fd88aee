"""Connecting within a deadline, and a word for why it did not work."""

import errno
import io
import socket
import ssl
from collections.abc import Mapping
from time import monotonic
from typing import Any

REMEDIES: Mapping[str, str] = {
    "unknown_host": "Check the name and the DNS server: getent hosts NAME.",
    "refused": "Nothing listens there. Start the service, or check host and port.",
    "unreachable": "Check the network, the routes and the firewall between here and there.",
    "timeout": "It does not answer in time. Check its load, and whether a firewall drops packets.",
    "closed": "It closed the connection. Look into its log.",
    "no_sockets": "This process has no file descriptors or ports left: ls /proc/PID/fd, ss -s.",
}

_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM}


class Deadline:
    """The end of all the time that a check may take."""

    def __init__(self, seconds: float) -> None:
        self._end = monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until then. Raises `TimeoutError` when there are none."""
        left = self._end - monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


def resolve(host: str, port: int) -> list[tuple[Any, ...]]:
    """The TCP addresses of ``host``, as `socket.getaddrinfo` has them.

    The system's resolver keeps its own time; only the deadline of the whole check bounds it.
    """
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is empty or longer than DNS allows
        raise socket.gaierror(socket.EAI_NONAME, "no such name") from error


def connect(host: str, port: int, deadline: Deadline) -> socket.socket:
    """A connection to the first address that accepts one. Raises `OSError` of the last."""
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


def explain(error: Exception) -> str:
    """The cause code for an error of a connection; ``failed`` where there is no better one."""
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
    return "no_sockets" if number in _EXHAUSTED else "failed"


class Stream:
    """A connected socket for `http.client` whose every read ends at one deadline.

    A socket's own time-out begins anew with each byte, so a server that drips would hold a reader
    for ever.
    """

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def sendall(self, data: Any) -> None:
        """Send it all."""
        self._connection.settimeout(self._deadline.left)
        self._connection.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What arrives, as a file."""
        return io.BufferedReader(_Arriving(self._connection, self._deadline))

    def close(self) -> None:
        """Close the socket; who opened it does that."""


class _Arriving(io.RawIOBase):
    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(self._deadline.left)
        return self._connection.recv_into(buffer)
