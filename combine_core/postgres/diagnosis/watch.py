"""The database as the health check sees it: asked again and again, and diagnosed when it fails."""

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
ASK_PATIENCE_S = 0.5
DIAGNOSIS_PATIENCE_S = 0.3
DIAGNOSIS_BUDGET_S = 2.0
# A failure that goes on is looked into again after this, in case that something else lies behind it
# now; sooner where the last look has not settled the matter.
SETTLED_S = 60.0
UNSETTLED_S = 3.0
_UNSETTLED = (Cause.TIMEOUT, Cause.REACHABLE, Cause.UNKNOWN, Cause.UNKNOWN_HOST)

_STATE = "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')"

Diagnose = Callable[[URL, float], Diagnosis]


class Watch:
    """Asks over a connection of its own. Never blocks for long, whatever the network does.

    :param url: of the database
    :param diagnose: finds out why, in its own thread
    """

    def __init__(self, url: URL, *, diagnose: Diagnose = diagnose) -> None:
        self._connection = ProbeConnection(url)
        self._asking = _OneAtATime(self._ask, "database check")
        self._diagnosing = _OneAtATime(
            lambda: diagnose(url, DIAGNOSIS_BUDGET_S), "database diagnosis"
        )
        self._answered = False
        self._failure = ""
        self._known: Diagnosis | None = None
        self._known_at = 0.0
        self._told: Cause | None = None

    def look(self) -> Diagnosis | None:
        """``None`` if the database takes our reads and writes, else what is known of the cause.

        The first answers after a fault may be less exact than later ones. If a later one names another
        cause, that is logged: who only logs changes of status would not.
        """
        found = self._look()
        if found is None:
            self._failure, self._known, self._told = "", None, None
            return None
        if self._told not in {None, found.cause}:
            logger.error("database: %s", found.line)
        self._told = found.cause
        return found

    def _look(self) -> Diagnosis | None:
        try:
            ((standby, read_only),) = self._asking.result(ASK_PATIENCE_S)
        except NotYet:
            return self._refined(
                Diagnosis(Cause.TIMEOUT, f"No answer within {ASK_PATIENCE_S:g} s.")
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
        """The diagnosis once it is there; until then what was ``seen`` of the fault."""
        # A text of the driver names one cause, in whatever language. Silence may have many.
        failure = seen.cause if seen.cause is Cause.TIMEOUT else seen.detail
        now = time.monotonic()
        if failure != self._failure:
            self._failure = failure
            self._diagnosing.begin()
        elif self._known is not None and now - self._known_at >= _lasts(self._known):
            self._known_at = now
            self._diagnosing.begin()
        found = self._diagnosing.take(DIAGNOSIS_PATIENCE_S)
        if found is not None:
            self._known, self._known_at = found, now
        if self._known is None or self._known.cause is Cause.REACHABLE:
            # Not found out yet; or new connections are fine, and the one at hand is not.
            return seen
        return self._known

    def _ask(self) -> list[tuple[Any, ...]]:
        kept, self._answered = self._answered, False
        try:
            rows = self._connection.rows(_STATE)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            if not kept:
                raise
            # That a kept connection broke says nothing about the server: it may be back already.
            rows = self._connection.rows(_STATE)
        self._answered = True
        return rows


def _lasts(known: Diagnosis) -> float:
    return UNSETTLED_S if known.cause in _UNSETTLED else SETTLED_S


class _OneAtATime(Generic[Answer]):
    """Runs ``work`` in a daemon thread, never twice at once: one that hangs is waited for again."""

    def __init__(self, work: Callable[[], Answer], name: str) -> None:
        self._work = work
        self._name = name
        self._lock = threading.Lock()
        self._future: Future[Answer] | None = None
        self._stale = False

    def begin(self) -> None:
        """Start a run; an answer of one under way will not count, and another run follows it."""
        with self._lock:
            self._stale = self._future is not None and not self._future.done()
            if not self._stale:
                self._future = self._start()

    def take(self, seconds: float) -> Answer | None:
        """The answer of the run that was begun, once; ``None`` while there is none."""
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
        """The answer of a run, begun now unless one is under way.

        :raises concurrent.futures.TimeoutError: not within ``seconds``; and what ``work`` raises
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
            except BaseException as error:  # noqa: BLE001 - raised again in who asks for the result
                future.set_exception(error)

        threading.Thread(target=run, name=self._name, daemon=True).start()
        return future
