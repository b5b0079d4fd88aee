"""The worker process: Procrastinate fetches jobs, threads execute steps, and a sweep finds lost steps."""

from __future__ import annotations

import asyncio
import datetime
import logging
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import procrastinate
import psycopg
import psycopg_pool
from procrastinate.exceptions import ConnectorException
from procrastinate.worker import Worker as QueueWorker
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from combine_core.database import make_engine, make_sessions
from combine_core.database.connecting import connection_arguments, conninfo
from combine_core.heartbeat import BEAT_S, Heartbeat
from combine_core.llm import ProviderRegistry
from combine_core.mail import QUEUE as MAIL_QUEUE
from combine_core.mail import TASK as MAIL_TASK
from combine_core.mail.delivery import MailRetries
from combine_core.postgres.diagnosis import is_database_fault
from combine_core.runs.claim import adopt_orphans, hand_back
from combine_core.runs.execute import SLOW_PROVIDER_MS, StepRunner
from combine_core.runs.jobs import (
    DEAD_AFTER_S,
    FINISHED_JOBS_KEPT_H,
    POOL_SIZE,
    QUEUES,
    STEPS_OVERFLOW,
    STEPS_POOL_SIZE,
    TASK,
)
from combine_core.runs.journal import delete_old_texts
from combine_core.runs.portions import ModelLimits, limits_of
from combine_core.runs.reading import read_revision
from combine_core.search.indexing import index_missing
from combine_core.settings.core import CoreSettings
from combine_core.sources.reading import adopt_unread
from combine_core.sources.service import READ_QUEUE, READ_TASK, enqueue_reading

if TYPE_CHECKING:
    from combine_core.mail.delivery import Mailer

logger = logging.getLogger(__name__)

HEARTBEAT_S = 3.0
SWEEP_S = 5.0
# Consecutive sweeps that postpone the search index because steps need the CPUs. They take about a minute.
MAX_POSTPONED = 12
# The interval of polling for delayed jobs. LISTEN announces new jobs.
POLL_S = 5.0
# How long steps in flight may run after the worker was told to stop. Then they return to the queue.
GRACE_S = 10.0
# How long the shutdown of the queue may take after that.
CLOSING_S = 2.0
MAX_RESTART_DELAY_S = 5.0
POOL_TIMEOUT_S = 5.0

# The application name in pg_stat_activity.
NAME = "combine worker"

_DATABASE_ERRORS = (
    ConnectorException,
    psycopg.Error,
    psycopg_pool.PoolTimeout,
    SQLAlchemyError,
    OSError,
)


class Worker:
    """A worker that takes jobs from the queue and runs up to ``concurrency`` of them at the same time.

    :param url: the database URL for Procrastinate's own connections
    :param sessions: creates the sessions of the steps
    :param grace: seconds that steps in flight may take after the worker was told to stop
    :param slow_provider_ms: a call to a model that takes at least this long is logged as slow
    :param limits: the operator's limits for models, which override the limits of a line
    :param texts_max_age: the age at which the texts of calls are deleted; ``None``: never
    :param mailer: sends mail; ``None``: this worker takes no mail jobs
    :param heartbeat: the file for ``combine probe worker``
    """

    def __init__(
        self,
        url: URL,
        sessions: sessionmaker[Session],
        providers: ProviderRegistry,
        *,
        concurrency: int,
        grace: float = GRACE_S,
        slow_provider_ms: int = SLOW_PROVIDER_MS,
        limits: ModelLimits | None = None,
        texts_max_age: datetime.timedelta | None = None,
        mailer: Mailer | None = None,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self._url = url
        self._sessions = sessions
        self._concurrency = concurrency
        self._grace = grace
        self._texts_max_age = texts_max_age
        self._mailer = mailer
        self._queues = [*QUEUES.values(), READ_QUEUE, *([MAIL_QUEUE] if mailer else [])]
        self._heartbeat = heartbeat
        self._active_at = time.monotonic()
        self._stopping = threading.Event()
        self._runner = StepRunner(
            sessions,
            providers,
            self._stopping,
            slow_provider_ms=slow_provider_ms,
            limits=limits or ModelLimits(),
        )
        # The number of consecutive sweeps that did not update the search index.
        self._postponed = 0
        # By job id: the steps in flight, and the revisions whose files are being read.
        self._in_flight: dict[int, uuid.UUID] = {}
        self._readings: dict[int, uuid.UUID] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None

    def run(self) -> None:
        """Work until :meth:`stop` is called. A database outage does not end the worker."""
        asyncio.run(self._run())

    def start(self) -> threading.Thread:
        """Start a thread that works next to a web server or a command."""
        thread = threading.Thread(target=self.run, name="combine-worker", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """Stop taking steps, and finish those in flight or return them to the queue. Thread-safe."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        loop, main = self._loop, self._main
        if loop is not None and main is not None and not loop.is_closed():
            loop.call_soon_threadsafe(main.cancel)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._main = asyncio.create_task(self._serve_for_ever())
        beating = asyncio.create_task(self._beat_for_ever())
        if self._stopping.is_set():
            self._main.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await self._main
            logger.info("The worker has stopped")
        finally:
            await _in_daemon_thread(self._hand_back_in_flight, name="hand-back")
            await _cancel_and_wait(beating)

    async def _beat_for_ever(self) -> None:
        while self._heartbeat is not None:
            self._heartbeat.beat(time.monotonic(), self._active_at)
            await asyncio.sleep(BEAT_S)

    async def _serve_for_ever(self) -> None:
        delay = 0.2
        # Check the flag each time: a library may swallow the cancellation (see _cancel_and_wait).
        while not self._stopping.is_set():
            try:
                await self._serve()
                if self._stopping.is_set():
                    return
                logger.warning("The worker stopped unexpectedly; restarting it")
                delay = 0.2
            except _DATABASE_ERRORS as error:
                # Log only the class: the message of a driver can contain the connection string.
                logger.warning(
                    "The worker lost the database (%s); retrying in %.1f s",
                    type(error).__name__,
                    delay,
                )
            self._active_at = time.monotonic()
            await asyncio.sleep(delay)
            delay = min(delay * 2, MAX_RESTART_DELAY_S)

    async def _serve(self) -> None:
        connector = procrastinate.PsycopgConnector(
            conninfo=conninfo(self._url),
            min_size=1,
            max_size=POOL_SIZE,
            timeout=POOL_TIMEOUT_S,
            kwargs=connection_arguments(self._url, NAME),
        )
        app = procrastinate.App(connector=connector)
        app.task(name=TASK, pass_context=True)(self._perform)
        app.task(name=READ_TASK, pass_context=True)(self._read)
        app.task(name=MAIL_TASK, pass_context=True, retry=MailRetries())(self._mail)
        try:
            await app.open_async()
            if not self._stopping.is_set():
                await self._work_and_sweep(app)
        finally:
            # Close the app even if opening it was cancelled: the tasks of an unclosed pool survive
            # their cancellation, and the process would never end.
            await app.close_async()

    async def _work_and_sweep(self, app: procrastinate.App) -> None:
        queue_worker = QueueWorker(
            app,
            queues=self._queues,
            name="combine",
            concurrency=self._concurrency,
            fetch_job_polling_interval=POLL_S,
            install_signal_handlers=False,
            delete_jobs="successful",
            update_heartbeat_interval=HEARTBEAT_S,
            stalled_worker_timeout=DEAD_AFTER_S,
            shutdown_graceful_timeout=self._grace,
        )
        work = asyncio.create_task(queue_worker.run())  # type: ignore[no-untyped-call]
        sweep = asyncio.create_task(self._sweep_for_ever(app))
        try:
            # The first one to end stops the other. Each ends only with an error or after stop().
            await asyncio.wait({work, sweep}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            queue_worker.stop()  # type: ignore[no-untyped-call]
            await _cancel_and_wait(sweep)
            await asyncio.wait({work}, timeout=self._grace + CLOSING_S)
            await _cancel_and_wait(work)
        # Retrieve both errors, or asyncio would log the other one with a traceback.
        errors = [task.exception() for task in (work, sweep) if not task.cancelled()]
        for error in errors:
            if error is not None:
                raise error

    async def _perform(self, context: procrastinate.JobContext, step_id: str) -> None:
        job_id = context.job.id
        assert job_id is not None
        self._in_flight[job_id] = uuid.UUID(step_id)
        try:
            await _in_daemon_thread(
                lambda: self._runner.run_step(uuid.UUID(step_id), job_id), name=f"step-{step_id}"
            )
        except asyncio.CancelledError:
            # The worker is stopping. The step stays in _in_flight and is handed back at the end.
            raise
        except Exception as error:
            self._in_flight.pop(job_id, None)
            # End the job without an error, because Procrastinate would log another traceback. The
            # sweep enqueues the step again, and the number of its claims is limited.
            logger.warning(
                "Step %s could not be completed (%s); it will be queued again",
                step_id,
                type(error).__name__,
                exc_info=None if is_database_fault(error) else error,
            )
        except BaseException:
            self._in_flight.pop(job_id, None)
            raise
        else:
            self._in_flight.pop(job_id, None)

    async def _read(self, context: procrastinate.JobContext, revision_id: str) -> None:
        job_id = context.job.id
        assert job_id is not None
        self._readings[job_id] = uuid.UUID(revision_id)
        try:
            await _in_daemon_thread(
                lambda: read_revision(self._sessions, uuid.UUID(revision_id)),
                name=f"reading-{revision_id}",
            )
        except asyncio.CancelledError:
            raise  # the worker is stopping; the file is handed back at the end
        except Exception as error:
            # The sweep enqueues the file again, and the number of its attempts is limited.
            logger.warning(
                "The file of revision %s could not be read (%s); it will be queued again",
                revision_id,
                type(error).__name__,
                exc_info=None if is_database_fault(error) else error,
            )
        self._readings.pop(job_id, None)

    async def _mail(self, context: procrastinate.JobContext, /, **about: str) -> None:
        job_id, mailer = context.job.id, self._mailer
        assert job_id is not None
        assert mailer is not None
        await _in_daemon_thread(lambda: mailer.deliver(job_id, **about), name=f"mail-{job_id}")

    def _hand_back_in_flight(self) -> None:
        for job_id, step_id in list(self._in_flight.items()):
            try:
                with self._sessions.begin() as session:
                    hand_back(session, step_id, job_id)
                logger.info("Step %s was handed back to the queue", step_id)
            except SQLAlchemyError:
                logger.warning("Step %s could not be handed back; the sweep will find it", step_id)
        for revision_id in self._readings.values():
            with suppress(SQLAlchemyError), self._sessions.begin() as session:
                enqueue_reading(session, revision_id)

    async def _sweep_for_ever(self, app: procrastinate.App) -> None:
        rounds = 0
        while True:
            await self._sweep(app)
            if rounds % 720 == 0:
                await _in_daemon_thread(self._delete_old_texts, name="retention")
                await app.job_manager.delete_old_jobs(
                    nb_hours=FINISHED_JOBS_KEPT_H, include_failed=True, include_aborted=True
                )
            rounds += 1
            self._active_at = time.monotonic()
            await asyncio.sleep(SWEEP_S)

    async def _sweep(self, app: procrastinate.App) -> None:
        for queue in self._queues:
            stalled = await app.job_manager.get_stalled_jobs(
                queue=queue, seconds_since_heartbeat=DEAD_AFTER_S
            )
            for job in stalled:
                if job.id not in self._in_flight and job.id not in self._readings:
                    logger.warning("The worker of job %s died; the job is queued again", job.id)
                    await app.job_manager.retry_job(job)
        await _in_daemon_thread(self._adopt, name="sweep")

    def _adopt(self) -> None:
        with self._sessions.begin() as session:
            adopted = adopt_orphans(session)
            unread = adopt_unread(session)
        if unread:
            logger.warning("%s unread files had no job; they are queued again", unread)
        if adopted:
            logger.warning("%s steps had no job; they are queued again", adopted)
        if self._runner.has_offline_slot() or self._postponed >= MAX_POSTPONED:
            self._postponed = 0
            index_missing(self._sessions)
        else:
            self._postponed += 1

    def _delete_old_texts(self) -> None:
        if self._texts_max_age is None:
            return
        total = 0
        forgotten = 1
        while forgotten and not self._stopping.is_set():
            with self._sessions.begin() as session:
                forgotten = delete_old_texts(session, self._texts_max_age)
            total += forgotten
        if total:
            logger.info("The texts of %s calls were deleted because of their age", total)


def make_worker(
    settings: CoreSettings,
    providers: ProviderRegistry,
    *,
    grace: float = GRACE_S,
    heartbeat: Heartbeat | None = None,
) -> Worker:
    """Make the worker that the settings describe, with its own database connections."""
    concurrency, days = settings.worker_concurrency, settings.journal_texts_kept_days
    engine = make_engine(
        settings.direct_url,
        application_name=NAME,
        pool_size=min(concurrency, STEPS_POOL_SIZE),
        max_overflow=STEPS_OVERFLOW,
        recycle=settings.db_pool_recycle,
        slow_query_ms=settings.slow_query_ms,
    )
    sessions = make_sessions(engine)
    mailer = None
    if settings.smtp_host is not None:
        # Not at the top, because combine_core.mail imports modules that import this one.
        from combine_core.mail.delivery import Mailer

        mailer = Mailer(settings, sessions)
    return Worker(
        engine.url,
        sessions,
        providers,
        concurrency=concurrency,
        grace=grace,
        slow_provider_ms=settings.slow_provider_ms,
        limits=limits_of(settings),
        texts_max_age=None if days is None else datetime.timedelta(days=days),
        mailer=mailer,
        heartbeat=heartbeat,
    )


async def _cancel_and_wait(task: asyncio.Task[None]) -> None:
    """Cancel the task until it ends. Before Python 3.12, a wait with a timeout may swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.5)


async def _in_daemon_thread(work: Callable[[], None], *, name: str) -> None:
    """Run ``work`` on a thread that does not keep the process alive.

    The interpreter waits for the threads of an executor, even if a provider takes long to answer. At exit, an
    executor also rejects new work, such as handing back steps.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def resolve(error: BaseException | None) -> None:
        if not done.done():
            done.set_exception(error) if error else done.set_result(None)

    def body() -> None:
        failure: BaseException | None = None
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting task
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(resolve, failure)

    threading.Thread(target=body, name=name, daemon=True).start()
    await done
