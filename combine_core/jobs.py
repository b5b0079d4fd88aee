"""Writes Procrastinate jobs in the caller's transaction.

A job is only a hint that there may be something to do. A row of ours decides, so a job that comes twice, late
or for nothing does no harm.

The statement is Procrastinate's own (``defer_jobs`` in its ``sql/queries.sql``); a test compares the rows.
The library itself stays out of web processes: it brings another driver, and takes 13 MB.
"""

from __future__ import annotations

import json

from sqlalchemy import text
from sqlalchemy.orm import Session

# Without a delay the time is NULL: at once.
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

    :param lock: of jobs with the same one, one runs at a time
    :param arguments: of the task
    """
    row = {"queue": queue, "task": task, "lock": lock, "delay": delay or None}
    session.execute(_DEFER, {**row, "arguments": json.dumps(arguments)})
