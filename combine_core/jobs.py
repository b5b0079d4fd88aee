"""Writes Procrastinate jobs in the caller's transaction.

A job is only a hint that there may be work. The row that the job names decides, so a job that runs twice,
late or without need does no harm.

The statement is Procrastinate's own (``defer_jobs`` in its ``sql/queries.sql``); a test compares the rows.
Web processes do not import Procrastinate, because it needs another driver and takes 13 MB of memory.
"""

from __future__ import annotations

import json

from sqlalchemy import text
from sqlalchemy.orm import Session

# Without a delay, the time is NULL and the job runs at once.
_DEFER = text("""
    SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(
        :queue, :task, 0, :lock, NULL, CAST(:arguments AS jsonb),
        clock_timestamp() + make_interval(secs => :delay)
    )::procrastinate_job_to_defer_v1])
""")


def enqueue(
    session: Session,
    task: str,
    queue: str,
    *,
    delay: float = 0,
    lock: str | None = None,
    **arguments: str,
) -> None:
    """Queue a job. A worker takes it ``delay`` seconds after the caller's transaction commits.

    :param lock: only one job with the same lock runs at a time
    :param arguments: passed to the task
    """
    row = {"queue": queue, "task": task, "lock": lock, "delay": delay or None}
    session.execute(_DEFER, {**row, "arguments": json.dumps(arguments)})
