"""What the health check uses: it asks the database at each look, and diagnoses a failure in a thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Generic

import psycopg2
from sqlalchemy import URL

from combine_core.database.inspection import (
    HEALTH,
    ProbeConnection,
    Result,
    Row,
    in_daemon_thread,
)
from combine_core.postgres.diagnosis.causes import Cause, Diagnosis
from combine_core.postgres.diagnosis.errors import explain_error
from combine_core.postgres.diagnosis.probe import diagnose

logger = logging.getLogger(__name__)

# A write has at least this time.
_LEAST_S = 0.2
# The time of a look, unless the caller says otherwise, and the parts that questions and diagnosis may take.
LIMIT_S = 3.0
_QUESTIONS, _DIAGNOSIS = 0.5, 0.3
DIAGNOSIS_BUDGET_S = 2.0
# A kept connection works on after a password was changed, a firewall closed, or the address moved to another
# server. So a new one is opened every few seconds.
NEW_CONNECTION_S = 5.0
# A server whose disk is full answers every query. So a row is written now and then.
WRITE_S = 60.0
# A lasting failure is diagnosed again after this time, because its cause may have changed; sooner if the
# last diagnosis was not conclusive.
SETTLED_S = 60.0
UNSETTLED_S = 3.0
_UNSETTLED = (Cause.TIMEOUT, Cause.REACHABLE, Cause.UNKNOWN, Cause.UNKNOWN_HOST)

NEW = f"{HEALTH} check"
_MOST_HANGING = 3

_STATE = "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')"
# An emptied table begins a new file, so the row needs space on the disk. An update could reuse old space.
# The size is that of a short text of a user. A backup may hold the table; then this write is left out.
# Where commits hang, for example because a synchronous standby is away, each try leaves a connection that
# hangs. So only a few tries are made.
_WRITE = f"""
    DO $$ BEGIN
      IF to_regclass('health_writes') IS NULL THEN
        RETURN;  -- not migrated yet
      END IF;
      IF (
        SELECT count(*) >= {_MOST_HANGING} FROM pg_stat_activity
        WHERE application_name = '{NEW}' AND datname = current_database() AND state = 'active'
          AND query_start < clock_timestamp() - interval '5 seconds'
      ) THEN
        RAISE 'earlier writes of the health check still hang' USING ERRCODE = 'query_canceled';
      END IF;
      SET LOCAL lock_timeout = '500ms';
      IF has_table_privilege('health_writes', 'TRUNCATE') THEN
        TRUNCATE health_writes;
      ELSE
        DELETE FROM health_writes;
      END IF;
      INSERT INTO health_writes (filling) VALUES (repeat('x', 65536));
    EXCEPTION WHEN lock_not_available THEN
      NULL;
    END $$
"""  # noqa: S608 - both are constants

Diagnose = Callable[[URL, float], Diagnosis]


class Watch:
    """Asks the database what a request would ask: over a kept connection, a new connection, and a write.

    :param url: the URL of the database
    :param diagnose: finds the cause of a failure; runs in its own thread
    :ivar seconds: the time that the kept connection took to answer at the last look; ``None``: no answer
    """

    def __init__(self, url: URL, *, diagnose: Diagnose = diagnose) -> None:
        self._kept = ProbeConnection(url)
        self._new = ProbeConnection(url, name=NEW)
        self._diagnosing = _OneAtATime(
            lambda: diagnose(url, DIAGNOSIS_BUDGET_S), "database diagnosis"
        )
        self.seconds: float | None = None
        self._suspected = threading.Event()
        self._new_due = self._write_due = 0.0
        self._new_fault: Diagnosis | None = None
        self._failure = ""
        self._known: Diagnosis | None = None
        self._known_at = 0.0
        self._reported: Cause | None = None

    def suspect(self) -> None:
        """Try a new connection and a write at the next look, because a request has met a fault."""
        self._suspected.set()

    def look(self, limit: float = LIMIT_S) -> Diagnosis | None:
        """The known cause of the failure; ``None`` if the database takes connections, reads and writes.

        The first answers after a fault may be less exact than later ones. A later answer with another cause
        is logged here, because the health check logs only changes of status.

        :param limit: the seconds that this look may take
        """
        found = self._look(limit)
        if found is None:
            self._failure, self._known, self._reported = "", None, None
            return None
        if self._reported not in {None, found.cause}:
            logger.error("database: %s", found.line)
        self._reported = found.cause
        return found

    def _look(self, limit: float) -> Diagnosis | None:
        deadline = time.monotonic() + limit * _QUESTIONS
        self.seconds = None
        try:
            state = self._kept.rows(_STATE, seconds=deadline - time.monotonic())
        except psycopg2.Error as error:
            return self._refined(_seen(error), limit)
        self.seconds = self._kept.seconds
        fault = _read_only(state)
        if fault is not None:
            # The name may lead to another server at the next look.
            self._kept.close()
            return fault
        return self._try_new(deadline, limit)

    def _try_new(self, deadline: float, limit: float) -> Diagnosis | None:
        """Open a new connection, if it is time for one, and perhaps write a row over it."""
        now = time.monotonic()
        if not (self._suspected.is_set() or self._new_fault or now >= self._new_due):
            return None
        try:
            if not self._new.open(deadline - now):
                return self._new_fault  # not known yet: connecting has a limit of its own
        except psycopg2.Error as error:
            self._new_fault = self._refined(_seen(error), limit)
            return self._new_fault
        writes = self._suspected.is_set() or self._new_fault is not None or now >= self._write_due
        self._suspected.clear()
        self._new_fault = self._try_out(writes, max(_LEAST_S, deadline - time.monotonic()))
        if self._new_fault is None:
            self._new_due = now + NEW_CONNECTION_S
            self._write_due = now + WRITE_S if writes else self._write_due
        return self._new_fault

    def _try_out(self, writes: bool, seconds: float) -> Diagnosis | None:
        try:
            return _read_only(self._new.rows(_WRITE if writes else _STATE, seconds=seconds))
        except psycopg2.Error as error:
            return _seen(error)
        finally:
            self._new.close()

    def _refined(self, seen: Diagnosis, limit: float) -> Diagnosis:
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
        found = self._diagnosing.take(limit * _DIAGNOSIS)
        if found is not None:
            self._known, self._known_at = found, now
        if self._known is None or self._known.cause is Cause.REACHABLE:
            # Not known yet; or new connections work, and only the kept one is broken.
            return seen
        return self._known


def _seen(error: psycopg2.Error) -> Diagnosis:
    return explain_error(error) or Diagnosis(Cause.UNKNOWN, "The driver gave up.")


def _read_only(state: list[Row]) -> Diagnosis | None:
    """The diagnosis of a server that says in a row of `_STATE` that it takes no writes."""
    for is_standby, read_only in state:
        if is_standby:
            return Diagnosis(Cause.READ_ONLY, "It is a standby (pg_is_in_recovery).")
        if read_only == "on":
            return Diagnosis(Cause.READ_ONLY, "default_transaction_read_only is on.")
    return None


def _seconds_valid(known: Diagnosis) -> float:
    return UNSETTLED_S if known.cause in _UNSETTLED else SETTLED_S


class _OneAtATime(Generic[Result]):
    """Runs ``work`` in a daemon thread, one run at a time. The next caller waits for a run that hangs."""

    def __init__(self, work: Callable[[], Result], name: str) -> None:
        self._work = work
        self._name = name
        self._lock = threading.Lock()
        self._future: Future[Result] | None = None
        self._stale = False

    def begin(self) -> None:
        """Start a run. If one is under way, discard its answer and start another after it."""
        with self._lock:
            self._stale = self._future is not None and not self._future.done()
            if not self._stale:
                self._future = self._start()

    def take(self, seconds: float) -> Result | None:
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

    def _start(self) -> Future[Result]:
        return in_daemon_thread(self._work, self._name)
