"""Writes Procrastinate jobs in the caller's transaction.

A job is only a hint that there may be something to do. A row of ours decides, so a job that comes twice, late
or for nothing does no harm.
"""

from __future__ import annotations

import functools

import procrastinate
from procrastinate.contrib.sqlalchemy import SQLAlchemyPsycopg2Connector
from sqlalchemy.orm import Session


@functools.cache
def _deferring_app() -> procrastinate.App:
    # Never opened: each job is written through the caller's connection.
    return procrastinate.App(connector=SQLAlchemyPsycopg2Connector())


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
    deferrer = _deferring_app().configure_task(
        task,
        queue=queue,
        lock=lock,
        connection=session.connection(),
        schedule_in={"seconds": delay} if delay else None,
    )
    deferrer.defer(**arguments)
