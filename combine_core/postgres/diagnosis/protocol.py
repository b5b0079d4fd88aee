"""The first words of the PostgreSQL protocol: ask for TLS, name user and database, hear an error.

"Frontend/Backend Protocol" in PostgreSQL's manual: Message Flow (Start-up) and Message Formats. Nothing
secret is ever sent from here: the conversation ends where the server would ask for a password.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from dataclasses import dataclass
from enum import Enum

from combine_core.postgres.diagnosis.answers import ServerError

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_PROTOCOL_3_0 = 196608
# Longer than any start-up error, shorter than what the first letters of another protocol would say.
_LONGEST_MESSAGE = 30_000


class NotPostgresError(Exception):
    """The peer speaks something else; the text shows how it began."""


class ClosedError(Exception):
    """The peer closed the connection without a word."""


class Greeting(Enum):
    """What a server that accepts the start-up says next."""

    ASKS_TO_SIGN_IN = "asks to sign in"


@dataclass
class Conversation:
    """A connection whose steps all end by ``deadline`` (monotonic seconds), with TimeoutError.

    :raises OSError: by all methods: the connection broke
    """

    connection: socket.socket
    deadline: float

    def ask_for_tls(self) -> bool:
        """Whether the server offers TLS. Raises ClosedError, NotPostgresError."""
        self._send(_SSL_REQUEST)
        answer = self._read(1)
        if answer not in (b"S", b"N", b"E"):
            raise NotPostgresError(_shown(answer + self._rest()))
        # E: an error of a server too old for TLS, or too full to fork: it offers none.
        return answer == b"S"

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Encrypt the connection. Raises ssl.SSLError."""
        self._limit()
        self.connection = context.wrap_socket(self.connection, server_hostname=host or None)

    def start_up(self, user: str, database: str) -> ServerError | Greeting:
        """Name user and database. Raises ClosedError, NotPostgresError."""
        fields = {"user": user, "database": database, "application_name": "combine diagnosis"}
        body = b"".join(f"{name}\0{value}\0".encode() for name, value in fields.items()) + b"\0"
        self._send(struct.pack("!ii", 8 + len(body), _PROTOCOL_3_0) + body)
        kind = self._read(1)
        if kind == b"R":
            return Greeting.ASKS_TO_SIGN_IN
        if kind != b"E":
            raise NotPostgresError(_shown(kind + self._rest()))
        raw = self._read(4)
        (length,) = struct.unpack("!i", raw)
        if not 4 < length <= _LONGEST_MESSAGE:
            raise NotPostgresError(_shown(kind + raw + self._rest()))
        return parse_error(self._read(length - 4))

    def _limit(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.connection.settimeout(left)

    def _send(self, data: bytes) -> None:
        self._limit()
        self.connection.sendall(data)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            self._limit()
            part = self.connection.recv(size - len(data))
            if not part:
                if data:
                    raise NotPostgresError(_shown(data))
                raise ClosedError
            data += part
        return data

    def _rest(self) -> bytes:
        """A little of what else has arrived, to show it."""
        self.connection.settimeout(0.05)
        try:
            return self.connection.recv(40)
        except TimeoutError:
            return b""


def parse_error(body: bytes) -> ServerError:
    """The body of an ErrorResponse: fields of one letter and a text that ends with NUL."""
    fields = {
        chr(field[0]): field[1:].decode(errors="replace") for field in body.split(b"\0") if field
    }
    if "C" not in fields:
        raise NotPostgresError(_shown(body))
    return ServerError(fields["C"], fields.get("M", ""), fields.get("R", ""))


def _shown(data: bytes) -> str:
    return repr(data[:40].decode("ascii", errors="replace"))
