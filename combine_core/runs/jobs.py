"""Enqueues steps for the workers. The step's row decides who runs it: see :mod:`combine_core.runs.claim`."""

from __future__ import annotations

import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session

from combine_core.jobs import enqueue
from combine_core.runs.model import Step

# The queue for each format of lines. A worker takes only steps of lines that its release can read, so a
# release with a new format adds a queue that older workers ignore.
QUEUES = {1: "steps", 2: "steps.2"}
TASK = "combine.run_step"


def enqueue_step(session: Session, step_id: uuid.UUID, *, delay: float = 0) -> None:
    """Enqueue this step. A worker can claim it ``delay`` seconds after the caller's transaction commits."""
    line_format = session.execute(select(Step.line_format).where(Step.id == step_id)).scalar_one()
    enqueue(session, TASK, QUEUES[line_format], delay=delay, step_id=str(step_id))
