"""Queues steps for the workers, as Procrastinate jobs in the caller's transaction.

A job is only a hint that a step may be ready. The step's row decides (:mod:`combine_core.runs.claim`), so
a job that comes twice, late or for nothing does no harm.
"""

from __future__ import annotations

import functools
import uuid

import procrastinate
from procrastinate.contrib.sqlalchemy import SQLAlchemyPsycopg2Connector
from sqlalchemy import select
from sqlalchemy.orm import Session

from combine_core.runs.model import Step

# A worker takes only steps of lines that its release can read: each format of lines has a queue, by the
# format's number. A later release adds one, and this one leaves that alone.
QUEUES = {1: "steps", 2: "steps.2"}
TASK = "combine.run_step"


@functools.cache
def _deferring_app() -> procrastinate.App:
    # Never opened: each job is written through the caller's connection.
    return procrastinate.App(connector=SQLAlchemyPsycopg2Connector())


def enqueue_step(session: Session, step_id: uuid.UUID, *, delay: float = 0) -> None:
    """Queue this step. A worker takes it ``delay`` seconds after the caller's transaction commits."""
    line_format = session.execute(select(Step.line_format).where(Step.id == step_id)).scalar_one()
    deferrer = _deferring_app().configure_task(
        TASK,
        queue=QUEUES[line_format],
        connection=session.connection(),
        schedule_in={"seconds": delay} if delay else None,
    )
    deferrer.defer(step_id=str(step_id))
