"""Requests at a steady rate, as from many clients, and their outcomes."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

CLIENTS = 48  # so that a request of 10 s delays no other
LATEST = 60.0  # seconds that a client waits for a response


@dataclass(frozen=True)
class Call:
    """A request, and its expected status."""

    method: str
    path: str
    body: Any = None
    expected: int = 200


@dataclass
class Outcomes:
    """The outcomes of the calls. ``failed`` has the error of the client and its time, by number."""

    answered: Counter[int] = field(default_factory=Counter)
    failed: dict[int, str] = field(default_factory=dict)
    slowest: float = 0.0  # seconds
    latest: float = 0.0  # seconds that a call was sent late
    seconds: float = 0.0

    @property
    def total(self) -> int:
        """Return the number of all calls."""
        return self.answered.total() + len(self.failed)

    @property
    def per_second(self) -> float:
        """Return the actual rate."""
        return self.total / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        return (
            f"{len(self.failed)} failed of {self.total}, at {self.per_second:.0f}/s;"
            f" slowest {self.slowest:.1f} s, latest start {self.latest:.1f} s late;"
            f" answered {dict(self.answered)}"
        )


class Load:
    """Sends the calls that ``call(number)`` makes, ``per_second`` of them, on a fixed schedule.

    A call is sent on time, whatever happened to earlier ones. A client reuses its connection and
    never repeats a call. A call fails unless it gets the expected response completely.
    """

    def __init__(
        self, port: int, token: str, call: Callable[[int], Call], *, per_second: float
    ) -> None:
        self._port, self._call, self._per_second = port, call, per_second
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
        }
        self._numbers = count()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._started = 0.0
        self.outcomes = Outcomes()

    @contextmanager
    def steady(self) -> Iterator[Outcomes]:
        """Send calls during the block. Yield the outcomes so far."""
        threads = [threading.Thread(target=self._client) for _ in range(CLIENTS)]
        self._started = time.monotonic()
        for thread in threads:
            thread.start()
        try:
            yield self.outcomes
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join()
            self.outcomes.seconds = time.monotonic() - self._started

    def _client(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LATEST)
        while True:
            number = next(self._numbers)
            due = self._started + number / self._per_second
            if self._stopping.wait(max(0.0, due - time.monotonic())):
                break
            self._send(connection, number, due)
        connection.close()

    def _send(self, connection: http.client.HTTPConnection, number: int, due: float) -> None:
        call = self._call(number)
        body = None if call.body is None else json.dumps(call.body)
        began = time.monotonic()
        status, failure = 0, ""
        try:
            connection.request(call.method, call.path, body, self._headers)
            answer = connection.getresponse()
            status, content = answer.status, answer.read()
            if status != call.expected:
                failure = f"{status} {content[:200]!r}"
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            failure = repr(error)
        ended = time.monotonic()
        with self._lock:
            found = self.outcomes
            found.slowest = max(found.slowest, ended - began)
            found.latest = max(found.latest, began - due)
            if failure:
                at = began - self._started
                found.failed[number] = (
                    f"{call.method} {call.path} at {at:.1f} s,"
                    f" after {ended - began:.2f} s: {failure}"
                )
            else:
                found.answered[status] += 1
