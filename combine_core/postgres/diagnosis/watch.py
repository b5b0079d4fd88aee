"""Queries the database at each health check, and diagnoses a failure in a background thread."""

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

# The shortest timeout of a write.
_MIN_WRITE_S = 0.2
# The default timeout of a check, and the parts of it that queries and diagnosis may use.
LIMIT_S = 3.0
_QUERIES_SHARE, _DIAGNOSIS_SHARE = 0.5, 0.3
DIAGNOSIS_BUDGET_S = 2.0
# An open connection still works after a password change, a firewall change or a move of the address to
# another server. So a new connection is opened every few seconds.
NEW_CONNECTION_S = 5.0
# A server with a full disk still serves queries. So a row is written from time to time.
WRITE_S = 60.0
# A lasting failure is diagnosed again after this time, because its cause may have changed. The time is
# shorter if the last diagnosis was not conclusive.
CONCLUSIVE_S = 60.0
INCONCLUSIVE_S = 3.0
_INCONCLUSIVE = (Cause.TIMEOUT, Cause.REACHABLE, Cause.UNKNOWN, Cause.UNKNOWN_HOST)

NEW = f"{HEALTH} check"
_MAX_HANGING = 3

_STATE = "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')"
# A truncated table begins a new file, so the row needs space on the disk; an update could reuse old space.
# The row is as large as a short text of a user. If a backup has locked the table, the write is skipped.
# Where commits hang, for example without a synchronous standby, each attempt leaves a hanging connection, so
# their number is limited.
_WRITE = f"""
    DO $$ BEGIN
      IF to_regclass('health_writes') IS NULL THEN
        RETURN;  -- not migrated yet
      END IF;
      IF (
        SELECT count(*) >= {_MAX_HANGING} FROM pg_stat_activity
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
    """A watch that uses the database like a request: over an open connection, a new connection, and a write.

    :param url: the URL of the database
    :param diagnose: finds the cause of a failure; runs in a thread of its own
    :ivar seconds: the response time of the open connection at the last check; ``None`` without a response
    """

    def __init__(self, url: URL, *, diagnose: Diagnose = diagnose) -> None:
        self._open = ProbeConnection(url)
        self._new = ProbeConnection(url, name=NEW)
        self._diagnosing = _OneAtATime(
            lambda: diagnose(url, DIAGNOSIS_BUDGET_S), "database diagnosis"
        )
        self.seconds: float | None = None
        self._suspected = threading.Event()
        self._new_due = self._write_due = 0.0
        self._new_fault: Diagnosis | None = None
        self._failure = ""
        self._diagnosis: Diagnosis | None = None
        self._diagnosed_at = 0.0
        self._reported: Cause | None = None

    def suspect(self) -> None:
        """Try a new connection and a write at the next check, because a request has run into a fault."""
        self._suspected.set()

    def check(self, limit: float = LIMIT_S) -> Diagnosis | None:
        """Check the database. Return ``None`` if it accepts connections, reads and writes, else the cause.

        The first results after a fault may be less exact than later ones. A change of the cause is logged
        here, because the health check logs only changes of status.

        :param limit: the timeout of this check in seconds
        """
        fault = self._check(limit)
        if fault is None:
            self._failure, self._diagnosis, self._reported = "", None, None
            return None
        if self._reported not in {None, fault.cause}:
            logger.error("database: %s", fault.line)
        self._reported = fault.cause
        return fault

    def _check(self, limit: float) -> Diagnosis | None:
        deadline = time.monotonic() + limit * _QUERIES_SHARE
        self.seconds = None
        try:
            state = self._open.rows(_STATE, seconds=deadline - time.monotonic())
        except psycopg2.Error as error:
            return self._refine(_explain(error), limit)
        self.seconds = self._open.seconds
        fault = _read_only(state)
        if fault is not None:
            # The host name may lead to another server at the next check.
            self._open.close()
            return fault
        return self._try_new(deadline, limit)

    def _try_new(self, deadline: float, limit: float) -> Diagnosis | None:
        """Open a new connection if it is due, and write a row over it if that is due."""
        now = time.monotonic()
        if not (self._suspected.is_set() or self._new_fault or now >= self._new_due):
            return None
        try:
            if not self._new.open(deadline - now):
                return self._new_fault  # the attempt continues, with a timeout of its own
        except psycopg2.Error as error:
            self._new_fault = self._refine(_explain(error), limit)
            return self._new_fault
        writes = self._suspected.is_set() or self._new_fault is not None or now >= self._write_due
        self._suspected.clear()
        self._new_fault = self._use_new(writes, max(_MIN_WRITE_S, deadline - time.monotonic()))
        if self._new_fault is None:
            self._new_due = now + NEW_CONNECTION_S
            self._write_due = now + WRITE_S if writes else self._write_due
        return self._new_fault

    def _use_new(self, writes: bool, seconds: float) -> Diagnosis | None:
        try:
            return _read_only(self._new.rows(_WRITE if writes else _STATE, seconds=seconds))
        except psycopg2.Error as error:
            return _explain(error)
        finally:
            self._new.close()

    def _refine(self, explained: Diagnosis, limit: float) -> Diagnosis:
        """Return the full diagnosis if it is ready, else the explanation of the error."""
        # An error of the driver has one cause, in any language. A timeout may have several.
        failure = explained.cause if explained.cause is Cause.TIMEOUT else explained.detail
        now = time.monotonic()
        if failure != self._failure:
            self._failure = failure
            self._diagnosing.begin()
        elif self._diagnosis is not None and now - self._diagnosed_at >= _validity(self._diagnosis):
            self._diagnosed_at = now
            self._diagnosing.begin()
        diagnosis = self._diagnosing.take(limit * _DIAGNOSIS_SHARE)
        if diagnosis is not None:
            self._diagnosis, self._diagnosed_at = diagnosis, now
        if self._diagnosis is None or self._diagnosis.cause is Cause.REACHABLE:
            # There is no diagnosis yet, or new connections work and only the open one is broken.
            return explained
        return self._diagnosis


def _explain(error: psycopg2.Error) -> Diagnosis:
    return explain_error(error) or Diagnosis(Cause.UNKNOWN, "The driver raised an unknown error.")


def _read_only(state: list[Row]) -> Diagnosis | None:
    """Return a diagnosis if a row of `_STATE` shows that the server is read-only."""
    for is_standby, read_only in state:
        if is_standby:
            return Diagnosis(Cause.READ_ONLY, "It is a standby (pg_is_in_recovery).")
        if read_only == "on":
            return Diagnosis(Cause.READ_ONLY, "default_transaction_read_only is on.")
    return None


def _validity(diagnosis: Diagnosis) -> float:
    return INCONCLUSIVE_S if diagnosis.cause in _INCONCLUSIVE else CONCLUSIVE_S


class _OneAtATime(Generic[Result]):
    """A runner of ``work`` in a daemon thread, one run at a time."""

    def __init__(self, work: Callable[[], Result], name: str) -> None:
        self._work = work
        self._name = name
        self._lock = threading.Lock()
        self._future: Future[Result] | None = None
        self._stale = False

    def begin(self) -> None:
        """Start a run. If one is in progress, discard its result and start another after it."""
        with self._lock:
            self._stale = self._future is not None and not self._future.done()
            if not self._stale:
                self._future = self._start()

    def take(self, seconds: float) -> Result | None:
        """Return the result of the run once, or ``None`` if there is none within ``seconds``."""
        future = self._future
        if future is None:
            return None
        try:
            result = future.result(seconds)
        except NotYet:
            return None
        with self._lock:
            stale, self._stale = self._stale, False
            self._future = self._start() if stale else None
        return None if stale else result

    def _start(self) -> Future[Result]:
        return in_daemon_thread(self._work, self._name)
