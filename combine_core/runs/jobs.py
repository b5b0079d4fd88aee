"""Enqueues steps for the workers, and defines the numbers of a worker that its health checks need.

A web process imports this module instead of the worker. The step's row decides who runs it: see
:mod:`combine_core.runs.claim`.
"""

from __future__ import annotations

import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session

from combine_core.heartbeat import SILENT_AFTER_S
from combine_core.jobs import enqueue
from combine_core.runs.model import Step

# The queue for each format of lines. A worker takes only steps of lines that its release can read, so a
# release with a new format adds a queue that older workers ignore.
QUEUES = {1: "steps", 2: "steps.2"}
TASK = "combine.run_step"
# A worker without a heartbeat for this long counts as dead, and other workers claim its steps. If it is
# alive, a call may be charged twice, but the documents are correct: the epoch rejects the late attempt.
DEAD_AFTER_S = SILENT_AFTER_S
FINISHED_JOBS_KEPT_H = 72
# The pool of the queue, which fetches and finishes jobs and sends heartbeats.
POOL_SIZE = 4
# Procrastinate listens for new jobs on one connection outside of its pool.
LISTENING = 1
# The pool of the steps. A step needs a connection only briefly, so eight serve two hundred threads.
STEPS_POOL_SIZE = 8
STEPS_OVERFLOW = 2


def enqueue_step(session: Session, step_id: uuid.UUID, *, delay: float = 0) -> None:
    """Enqueue this step. A worker can claim it ``delay`` seconds after the caller's transaction commits."""
    line_format = session.execute(select(Step.line_format).where(Step.id == step_id)).scalar_one()
    enqueue(session, TASK, QUEUES[line_format], delay=delay, step_id=str(step_id))


def connections_of_worker(concurrency: int) -> int:
    """Return the maximum number of database connections of a worker."""
    return min(concurrency, STEPS_POOL_SIZE) + STEPS_OVERFLOW + POOL_SIZE + LISTENING
