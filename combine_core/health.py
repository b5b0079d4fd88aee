"""The health checks of combine_core. No other module of combine_core imports combine_health.

The application includes it by name in ``pyramid.includes``. The rest of combine_core works without it.

``database``    critical: the database accepts connections, reads and writes. Runs twice a second
``migrations``  critical: the schema is at the newest revision of this code, or ahead of it
``pool``        the web process has connections left
``worker``      a worker is alive, no step waits for long, and no step failed by a fault of the service
``providers``   recent calls to models succeeded; read from the journal, without a call to the provider
``connections`` info: the server has the connections that all processes may need
``indexes``     info: every foreign key has an index
``mail``        info: the mail server accepts mail; only if a mail server is set

`pool`, `worker` and `providers` make the service degraded at worst, because it still responds. The info
checks affect only the exit status of ``combine doctor``.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg2
import psycopg2.errors
from sqlalchemy import event

from combine_core.database import engine_of
from combine_core.database.inspection import (
    ROOM,
    WITHOUT_INDEX,
    ConnectionBudget,
    ConnectionNeeds,
    ProbeConnection,
    Row,
    without_index,
)
from combine_core.database.pool import CountedPool
from combine_core.database.revisions import (
    PARENTS,
    TABLE_EXISTS,
    UnknownHistoryError,
    head_revision,
    heads_of_add_ons,
    known_revisions,
    unknown_ancestry,
)
from combine_core.mail import QUEUE as MAIL_QUEUE
from combine_core.postgres.diagnosis import (
    ADVICE,
    TASKS,
    Cause,
    Watch,
    explain_error,
    remedies,
)
from combine_core.postgres.diagnosis.watch import LIMIT_S
from combine_core.runs.jobs import (
    DEAD_AFTER_S,
    FINISHED_JOBS_KEPT_H,
    QUEUES,
    connections_of_worker,
)
from combine_core.runs.model import SERVICE_FAULTS
from combine_core.settings import settings_of
from combine_core.settings.core import CoreSettings
from combine_core.sources.service import READ_QUEUE
from combine_health import HealthResult, read_check

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.registry import Registry
    from sqlalchemy import URL, ExceptionContext

    Query = Callable[..., list[tuple[Any, ...]]]
    QueryingCheck = Callable[["Checks", Query], HealthResult]
    Check = Callable[["Checks", Registry], HealthResult]

OTHER_DATABASE = (
    "Check DATABASE_URL: this is the database of another version. Check out that version, or restore a"
    " backup that this one made."
)
MIGRATE_ADD_ONS = "Run: combine migrate (alembic knows the revisions of Combine alone)."
FEWER_CONNECTIONS = (
    "Lower DB_POOL_SIZE, DB_MAX_OVERFLOW or the number of instances, or raise max_connections."
)
SEE_CONNECTIONS = (
    "See who holds connections: SELECT application_name, usename, count(*) FROM pg_stat_activity"
    " GROUP BY 1, 2 ORDER BY 3 DESC."
)
MEND_MAIL = (
    'Look for "Mail about" in the log of the workers: it names the error. Check SMTP_HOST, SMTP_PORT,'
    " SMTP_TLS, SMTP_USER, SMTP_PASSWORD and MAIL_FROM, and restart the workers."
)
# If a step waits longer while workers are alive, there are too few workers.
LONGEST_WAIT_S = 120
# Provider calls and failed steps count for this long.
RECENT_S = 15 * 60
# A query that reads nothing takes a millisecond or two. Beyond this latency, pages feel slow.
SLOW_S = 0.25
# Faults that may affect only one table or one large row, so that requests see them and the check does not.
SEEN_BY_REQUESTS = (
    Cause.DISK_FULL,
    Cause.STORAGE_FAILED,
    Cause.CORRUPTED,
    Cause.OUT_OF_RESOURCES,
    Cause.REJECTED,
)
SEEN_S = 30
# The timeout of checks that use the shared connection, and the part of it that their statements may use.
QUERIES_S = 5.0
_STATEMENTS_SHARE = 0.9
# With fewer calls, failures may be chance.
FEWEST_CALLS = 3

_REVISIONS = "SELECT version_num FROM alembic_version ORDER BY version_num"

_WORKERS = """
    SELECT count(*) FROM procrastinate_workers
    WHERE last_heartbeat > now() - make_interval(secs => %(dead_after)s)
"""
_QUEUE = """
    SELECT count(*), coalesce(extract(epoch FROM now() - min(events.at)), 0)::float
    FROM procrastinate_jobs AS jobs
    JOIN procrastinate_events AS events ON events.job_id = jobs.id AND events.type = 'deferred'
    WHERE jobs.status = 'todo' AND jobs.queue_name = ANY(%(queues)s)
      AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
"""
_CALLS = """
    SELECT provider, model, count(*), count(*) FILTER (WHERE state <> 'ok'),
      percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms)::int,
      percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms)::int,
      (array_agg(error_code ORDER BY id DESC) FILTER (WHERE error_code IS NOT NULL))[1]
    FROM calls
    WHERE id >= %(since)s::uuid AND state <> 'sent' AND used_llm IS DISTINCT FROM false
    GROUP BY GROUPING SETS ((provider), (provider, model))
    ORDER BY provider, model NULLS FIRST
"""
_FAILED_STEPS = """
    SELECT count(*), (array_agg(id::text ORDER BY ended_at DESC))[1],
      (array_agg(error_code ORDER BY ended_at DESC))[1]
    FROM steps
    WHERE state = 'failed' AND ended_at > now() - make_interval(secs => %(recent)s)
      AND error_code = ANY(%(codes)s)
"""
_MAIL = """
    SELECT count(*) FILTER (WHERE status IN ('todo', 'doing')),
      count(*) FILTER (WHERE status = 'todo' AND attempts > 0),
      count(*) FILTER (WHERE status = 'failed')
    FROM procrastinate_jobs WHERE queue_name = %(queue)s
"""
# A table of Combine and one of Procrastinate. Two migrations create them.
_HAS_TABLES = (
    "SELECT to_regclass('calls') IS NOT NULL AND to_regclass('procrastinate_workers') IS NOT NULL"
)
_NO_TABLES = "The database has no tables yet."


def _querying(querying_check: QueryingCheck) -> Check:
    """Turn a method that queries the database into a check that reports database errors with their cause.

    The method gets a function that returns the rows of a statement. All its statements together have a
    little less time than the check, so that the cause is known before the check counts as hung.
    """

    @wraps(querying_check)
    def check(checks: Checks, registry: Registry) -> HealthResult:
        timeout = _timeout(registry, querying_check.__name__)
        deadline = time.monotonic() + timeout * _STATEMENTS_SHARE

        def query(statement: str, parameters: dict[str, Any] | None = None) -> list[Row]:
            return checks.rows(statement, parameters, seconds=deadline - time.monotonic())

        try:
            return querying_check(checks, query)
        except psycopg2.Error as error:
            fault = explain_error(error)
            if fault is None:
                raise
            detail = f"The database cannot be queried. {fault.advice.meaning}"
            return HealthResult.failing(fault.cause.value, detail)

    return check


def _timeout(registry: Registry, name: str) -> float:
    """Return the timeout of this check, as declared below or as the operator has set it."""
    reading = read_check(registry, name)
    assert reading is not None
    return reading.check.timeout


class Checks:
    """The checks of one application. ``database`` has its own connection; the others share a second one.

    A third connection is open briefly when ``database`` tests whether the server accepts new connections.
    """

    PERMANENT_CONNECTIONS = 2

    def __init__(self, url: URL, pool: CountedPool, settings: CoreSettings) -> None:
        self._watch = Watch(url)
        self._shared_connection = ProbeConnection(url)
        # A single slow response does not mean that the database is slow.
        self._latencies: deque[float] = deque(maxlen=3)
        self._seen_by_requests: deque[tuple[float, Cause]] = deque(maxlen=100)
        self._pool = pool
        self._limit = settings.db_pool_size + settings.db_max_overflow
        self._needs = ConnectionNeeds(
            web=self._limit + self.PERMANENT_CONNECTIONS + 1,
            probes=self.PERMANENT_CONNECTIONS,
            worker=connections_of_worker(settings.worker_concurrency),
            worker_inside=settings.worker,
        )

    def rows(
        self, statement: str, parameters: dict[str, Any] | None, *, seconds: float
    ) -> list[Row]:
        """Return the rows of a statement, over the connection that all checks except ``database`` share."""
        return self._shared_connection.rows(statement, parameters, seconds=seconds)

    def note_fault(self, context: ExceptionContext) -> None:
        """Make ``database`` check soon and thoroughly after a request has run into a database fault."""
        fault = explain_error(context.original_exception)
        if fault is None or fault.cause is Cause.TIMEOUT:
            return
        self._watch.suspect()
        if fault.cause in SEEN_BY_REQUESTS:
            self._seen_by_requests.append((time.monotonic(), fault.cause))

    def database(self, registry: Registry) -> HealthResult:
        """Check that the database accepts connections, reads and writes."""
        fault = self._watch.check(_timeout(registry, "database"))
        seconds = self._watch.seconds
        if fault is not None:
            # A full server still serves its open connections, so they are kept.
            is_full = fault.cause is Cause.TOO_MANY_CONNECTIONS and seconds is not None
            report = HealthResult.degraded if is_full else HealthResult.failing
            if not is_full:
                # The address may lead to another server from now on.
                self._shared_connection.retire()
            return report(
                fault.cause.value,
                f"{fault.advice.meaning} {fault.detail}",
                retryable=fault.advice.retryable,
                contact=fault.advice.contact.value,
            )
        assert seconds is not None
        now = time.monotonic()
        seen = [cause for at, cause in self._seen_by_requests.copy() if now - at < SEEN_S]
        if seen:
            detail = (
                f"{len(seen)} requests had this fault in the last {SEEN_S} s."
                f" {ADVICE[seen[-1]].meaning}"
            )
            return HealthResult.degraded(seen[-1].value, detail)
        self._latencies.append(seconds)
        latency_ms = round(seconds * 1000, 2)
        if len(self._latencies) == self._latencies.maxlen and min(self._latencies) > SLOW_S:
            detail = f"The last responses took {min(self._latencies):.1f} s or more."
            return HealthResult.degraded(Cause.SLOW.value, detail, latency_ms=latency_ms)
        return HealthResult.healthy(latency_ms=latency_ms)

    @_querying
    def migrations(self, query: Query) -> HealthResult:
        """Check that the schema is at the newest revision of this code, or ahead of it."""
        try:
            rows = query(_REVISIONS)
        except psycopg2.errors.UndefinedTable:
            rows = []
        current, head = [revision for (revision,) in rows], head_revision()
        if not current:
            return HealthResult.failing("migrations_none", _NO_TABLES)
        if len(current) > 1:
            detail = f"The database has several revisions: {', '.join(current)}."
            return HealthResult.failing("migrations_several_heads", detail, current=current)
        if current == [head]:
            behind = [
                table
                for table, newest in heads_of_add_ons().items()
                if _revision_in(query, table) != newest
            ]
            if behind:
                detail = (
                    f"The tables of an add-on are not at the revision of its code; see {behind[0]}."
                )
                return HealthResult.degraded("migrations_of_add_on", detail, head=head)
            return HealthResult.healthy(current=current[0], head=head, position="at head")
        if current[0] not in known_revisions():
            ((has_parents,),) = query(TABLE_EXISTS)
            parents: dict[str, str | None] = dict(query(PARENTS)) if has_parents else {}
            try:
                unknown_ancestry(current[0], known_revisions(), parents)
            except UnknownHistoryError as error:
                return HealthResult.failing(
                    "migrations_unknown", str(error), current=current[0], head=head
                )
            # A newer release has migrated the database. This release has to run on that schema.
            return HealthResult.healthy(current=current[0], head=head, position="ahead")
        detail = f"The database is at revision {current[0]}; this code needs {head}."
        return HealthResult.failing("migrations_behind", detail, current=current[0], head=head)

    def pool(self, _registry: Registry) -> HealthResult:
        """Check that no request waits for a connection."""
        facts = self.pool_usage()
        if facts["waiting"]:
            detail = (
                f"{facts['checked_out']} of {self._limit} connections are in use, the longest for"
                f" {facts['oldest_seconds']:.0f} s, and {facts['waiting']} requests wait for one."
            )
            return HealthResult.degraded("pool_exhausted", detail, **facts)
        return HealthResult.healthy(**facts)

    @_querying
    def worker(self, query: Query) -> HealthResult:
        """Check that workers are alive and keep up with the queue."""
        if not _has_tables(query):
            return HealthResult.failing("migrations_none", _NO_TABLES)
        workers = _live_workers(query)
        ((waiting, oldest),) = query(_QUEUE, {"queues": [*QUEUES.values(), READ_QUEUE]})
        ((failed, last_failed, code),) = query(
            _FAILED_STEPS, {"recent": RECENT_S, "codes": list(SERVICE_FAULTS)}
        )
        facts = {
            "workers": workers,
            "waiting": waiting,
            "oldest_waiting_seconds": round(oldest, 1),
            "failed_steps": failed,
        }
        if not workers:
            detail = f"No worker is alive; {waiting} steps wait."
            return HealthResult.failing("worker_absent", detail, **facts)
        if oldest > LONGEST_WAIT_S:
            detail = f"{waiting} steps wait, the oldest for {oldest:.0f} s."
            return HealthResult.degraded("worker_behind", detail, **facts)
        if failed:
            detail = (
                f"{failed} steps failed in the last {RECENT_S // 60} minutes by a fault of the service."
                f" The last was step {last_failed} ({code})."
            )
            return HealthResult.degraded("steps_failing", detail, **facts)
        return HealthResult.healthy(**facts)

    @_querying
    def providers(self, query: Query) -> HealthResult:
        """Check that most of the recent calls to each provider succeeded."""
        if not _has_tables(query):
            return HealthResult.healthy("No model has been called yet.")
        # Keys begin with the time in milliseconds (RFC 9562), so the primary key finds recent calls.
        since = UUID(int=int((time.time() - RECENT_S) * 1000) << 80)
        rows = query(_CALLS, {"since": str(since)})
        facts: dict[str, dict[str, Any]] = {}
        bad: list[str] = []
        for provider, model, calls, errors, median_ms, p95_ms, code in rows:
            counts = {"calls": calls, "errors": errors, "median_ms": median_ms, "p95_ms": p95_ms}
            if model is not None:
                facts[provider]["models"][model] = counts
                continue
            facts[provider] = {**counts, "models": {}}
            if calls >= FEWEST_CALLS and errors * 2 > calls:
                bad.append(f"{provider}: {errors} of {calls} calls failed, the last with {code}")
        if bad:
            return HealthResult.degraded("provider_errors", "; ".join(bad), **facts)
        return HealthResult.healthy(None, **facts)

    @_querying
    def connections(self, query: Query) -> HealthResult:
        """Check that the server has the connections that all processes may need."""
        workers = _live_workers(query) if _has_tables(query) else 0
        (room,) = query(ROOM)
        budget = ConnectionBudget.of(self._needs, room, workers)
        facts = {
            "needed": budget.needed,
            "room": budget.room,
            "web_processes": budget.web,
            "workers": budget.workers,
            "others": budget.others,
        }
        if not budget.fits:
            return HealthResult.failing("connections_over_budget", budget.sentence, **facts)
        if not budget.fits_beside_others:
            return HealthResult.degraded("connections_shared", budget.sentence, **facts)
        return HealthResult.healthy(budget.sentence, **facts)

    @_querying
    def indexes(self, query: Query) -> HealthResult:
        """Check that every foreign key has an index."""
        missing = without_index(query(WITHOUT_INDEX))
        if not missing:
            return HealthResult.healthy()
        named = ", ".join(f"{key.table}.{key.name}" for key in missing)
        return HealthResult.failing(
            "foreign_keys_without_index",
            f"Foreign keys without an index: {named}.",
            create=[key.remedy for key in missing],
        )

    @_querying
    def mail(self, query: Query) -> HealthResult:
        """Check that the mail server accepts mail."""
        if not _has_tables(query):
            return HealthResult.healthy("No mail has been sent yet.")
        ((waiting, retried, failed),) = query(_MAIL, {"queue": MAIL_QUEUE})
        facts = {"waiting": waiting, "retried": retried, "failed": failed}
        if retried or failed:
            detail = (
                f"{retried} messages wait for another attempt. {failed} messages failed for good in the"
                f" last {FINISHED_JOBS_KEPT_H // 24} days."
            )
            return HealthResult.degraded("mail_failing", detail, **facts)
        return HealthResult.healthy(**facts)

    def pool_usage(self) -> dict[str, Any]:
        """Return the counts of the pool and its maximum number of connections."""
        return {**asdict(self._pool.reading()), "limit": self._limit}


def _has_tables(query: Query) -> bool:
    ((has_tables,),) = query(_HAS_TABLES)
    return bool(has_tables)


def _live_workers(query: Query) -> int:
    ((workers,),) = query(_WORKERS, {"dead_after": DEAD_AFTER_S})
    return int(workers)


def _revision_in(query: Query, version_table: str) -> str | None:
    try:
        rows = query(f'SELECT version_num FROM "{version_table}"')  # noqa: S608 - from an entry point
    except psycopg2.errors.UndefinedTable:
        return None
    return rows[0][0] if rows else None


def migrations(registry: Registry) -> dict[str, Any]:
    """Return the revision of the database at the last check, and the newest revision of this code."""
    reading = read_check(registry, "migrations")
    return {"current": reading.data.get("current") if reading else None, "head": head_revision()}


def contacts(registry: Registry) -> dict[str, str]:
    """Return the contacts in the last table of the runbook."""
    settings = settings_of(registry, CoreSettings)
    return {
        "on_call": settings.contact_on_call,
        "database": settings.contact_database,
        "infrastructure": settings.contact_infrastructure,
    }


def _declarations() -> dict[str, dict[str, Any]]:
    """Return the options of each check. The method of `Checks` has the same name."""
    database_remedies = remedies()
    return {
        "database": {
            "interval": 0.5,
            "timeout": LIMIT_S,
            "words": ("connected", "disconnected"),
            "remedy": ADVICE[Cause.UNKNOWN].remedy,
            "remedies": database_remedies,
        },
        "migrations": {
            # Short, so that the service is ready again soon after the database is back.
            "interval": 1,
            "timeout": QUERIES_S,
            "remedy": TASKS["migrate"],
            "remedies": {
                **database_remedies,
                "migrations_unknown": OTHER_DATABASE,
                "migrations_of_add_on": MIGRATE_ADD_ONS,
            },
        },
        "pool": {
            "critical": False,
            "interval": 2,
            "remedy": "Check for connection leaks; raise DB_POOL_SIZE or DB_MAX_OVERFLOW.",
        },
        "worker": {
            "critical": False,
            "interval": 5,
            "timeout": QUERIES_S,
            # At start, and while workers are replaced, no worker is alive for a moment.
            "fall": 2,
            "remedies": {
                **database_remedies,
                "worker_absent": TASKS["workers"],
                "worker_behind": TASKS["workers"],
                "steps_failing": TASKS["failed_step"],
                "migrations_none": TASKS["migrate"],
            },
        },
        "providers": {
            "critical": False,
            "interval": 15,
            "timeout": QUERIES_S,
            "remedy": "Check LLM API latency and the provider's status page; check the API key.",
            "remedies": database_remedies,
        },
        "connections": {
            "kind": "info",
            "interval": 60,
            "timeout": QUERIES_S,
            "remedies": {
                **database_remedies,
                "connections_over_budget": FEWER_CONNECTIONS,
                "connections_shared": f"{SEE_CONNECTIONS} {FEWER_CONNECTIONS}",
            },
        },
        "indexes": {
            "kind": "info",
            "interval": 300,
            "timeout": QUERIES_S,
            "remedy": TASKS["indexes"],
            "remedies": database_remedies,
        },
        "mail": {
            "kind": "info",
            "interval": 60,
            "timeout": QUERIES_S,
            "remedy": MEND_MAIL,
            "remedies": database_remedies,
        },
    }


def includeme(config: Configurator) -> None:
    """Add the checks and sections of combine_core to the health add-on."""
    config.include("combine_health")
    settings = config.add_addon_settings(CoreSettings)
    engine = engine_of(config.registry)
    pool = engine.pool
    assert isinstance(pool, CountedPool)
    checks = Checks(engine.url, pool, settings)
    event.listen(engine, "handle_error", checks.note_fault)
    declared = _declarations()
    if settings.smtp_host is None:
        del declared["mail"]
    for name, options in declared.items():
        config.add_health_check(name, getattr(checks, name), **options)

    config.add_health_section("environment", lambda _registry: str(settings.environment))
    config.add_health_section("migrations", migrations)
    config.add_health_section("pool", lambda _registry: checks.pool_usage())
    config.add_health_section("contacts", contacts)

    for secret in (
        settings.secret_key,
        *settings.secret_key_old,
        settings.anthropic_api_key,
        settings.openai_api_key,
        settings.smtp_password,
    ):
        if secret is not None:
            config.add_health_secret(secret.get_secret_value())
    config.add_health_secret(engine.url.password)
