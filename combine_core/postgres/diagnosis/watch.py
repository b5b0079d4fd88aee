"""What the health check uses: it queries the database each time, and diagnoses a failure in a thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any, Generic, TypeVar

import psycopg2
from sqlalchemy import URL

from combine_core.database.inspection import ProbeConnection
from combine_core.postgres.diagnosis.causes import Cause, Diagnosis
from combine_core.postgres.diagnosis.errors import explain_error
from combine_core.postgres.diagnosis.probe import diagnose

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# Together shorter than the second that the health check has.
QUERY_TIMEOUT_S = 0.5
DIAGNOSIS_WAIT_S = 0.3
DIAGNOSIS_BUDGET_S = 2.0
# A lasting failure is diagnosed again after this time, because its cause may have changed; sooner if the
# last diagnosis was not conclusive.
SETTLED_S = 60.0
UNSETTLED_S = 3.0
_UNSETTLED = (Cause.TIMEOUT, Cause.REACHABLE, Cause.UNKNOWN, Cause.UNKNOWN_HOST)

_STATE = "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')"

Diagnose = Callable[[URL, float], Diagnosis]


class Watch:
    """Queries the database over its own connection. Never blocks for long, whatever the network does.

    :param url: the URL of the database
    :param diagnose: finds the cause of a failure; runs in its own thread
    """

    def __init__(self, url: URL, *, diagnose: Diagnose = diagnose) -> None:
        self._connection = ProbeConnection(url)
        self._querying = _OneAtATime(self._query, "database check")
        self._diagnosing = _OneAtATime(
            lambda: diagnose(url, DIAGNOSIS_BUDGET_S), "database diagnosis"
        )
        self._has_answered = False
        self._failure = ""
        self._known: Diagnosis | None = None
        self._known_at = 0.0
        self._reported: Cause | None = None

    def look(self) -> Diagnosis | None:
        """The known cause of the failure; ``None`` if the database takes reads and writes.

        The first answers after a fault may be less exact than later ones. A later answer with another cause
        is logged here, because the health check logs only changes of status.
        """
        found = self._look()
        if found is None:
            self._failure, self._known, self._reported = "", None, None
            return None
        if self._reported not in {None, found.cause}:
            logger.error("database: %s", found.line)
        self._reported = found.cause
        return found

    def _look(self) -> Diagnosis | None:
        try:
            ((standby, read_only),) = self._querying.result(QUERY_TIMEOUT_S)
        except NotYet:
            return self._refined(
                Diagnosis(Cause.TIMEOUT, f"No answer within {QUERY_TIMEOUT_S:g} s.")
            )
        except psycopg2.Error as error:
            seen = explain_error(error) or Diagnosis(Cause.UNKNOWN, "The driver gave up.")
            return self._refined(seen)
        if standby:
            return Diagnosis(Cause.READ_ONLY, "It is a standby (pg_is_in_recovery).")
        if read_only == "on":
            return Diagnosis(Cause.READ_ONLY, "default_transaction_read_only is on.")
        return None

    def _refined(self, seen: Diagnosis) -> Diagnosis:
        """The diagnosis if it is ready, else what was ``seen`` of the fault."""
        # An error of the driver has one cause, in whatever language. Silence may have several.
        failure = seen.cause if seen.cause is Cause.TIMEOUT else seen.detail
        now = time.monotonic()
        if failure != self._failure:
            self._failure = failure
            self._diagnosing.begin()
        elif self._known is not None and now - self._known_at >= _seconds_valid(self._known):
            self._known_at = now
            self._diagnosing.begin()
        found = self._diagnosing.take(DIAGNOSIS_WAIT_S)
        if found is not None:
            self._known, self._known_at = found, now
        if self._known is None or self._known.cause is Cause.REACHABLE:
            # Not known yet; or new connections work, and only the kept one is broken.
            return seen
        return self._known

    def _query(self) -> list[tuple[Any, ...]]:
        kept, self._has_answered = self._has_answered, False
        try:
            rows = self._connection.rows(_STATE)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            if not kept:
                raise
            # A kept connection may break although the server is back already.
            rows = self._connection.rows(_STATE)
        self._has_answered = True
        return rows


def _seconds_valid(known: Diagnosis) -> float:
    return UNSETTLED_S if known.cause in _UNSETTLED else SETTLED_S


class _OneAtATime(Generic[Answer]):
    """Runs ``work`` in a daemon thread, one run at a time. The next caller waits for a run that hangs."""

    def __init__(self, work: Callable[[], Answer], name: str) -> None:
        self._work = work
        self._name = name
        self._lock = threading.Lock()
        self._future: Future[Answer] | None = None
        self._stale = False

    def begin(self) -> None:
        """Start a run. If one is under way, discard its answer and start another after it."""
        with self._lock:
            self._stale = self._future is not None and not self._future.done()
            if not self._stale:
                self._future = self._start()

    def take(self, seconds: float) -> Answer | None:
        """The answer of the run, once; ``None`` if it is not there within ``seconds``."""
        future = self._future
        if future is None:
            return None
        try:
            answer = future.result(seconds)
        except NotYet:
            return None
        with self._lock:
            stale, self._stale = self._stale, False
            self._future = self._start() if stale else None
        return None if stale else answer

    def result(self, seconds: float) -> Answer:
        """The answer of the run under way, or of a new one. Raises what ``work`` raises.

        :raises concurrent.futures.TimeoutError: no answer within ``seconds``
        """
        with self._lock:
            future = self._future = self._future or self._start()
        try:
            answer = future.result(seconds)
        finally:
            if future.done():
                with self._lock:
                    self._future = None
        return answer

    def _start(self) -> Future[Answer]:
        future: Future[Answer] = Future()

        def run() -> None:
            try:
                future.set_result(self._work())
            except BaseException as error:  # noqa: BLE001 - raised again where the result is taken
                future.set_exception(error)

        threading.Thread(target=run, name=self._name, daemon=True).start()
        return future
