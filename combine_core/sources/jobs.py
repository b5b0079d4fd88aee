"""Queues uploaded files for the workers to read (:mod:`combine_core.sources.reading`)."""

from __future__ import annotations

import uuid

from sqlalchemy.orm import Session

from combine_core.jobs import enqueue

QUEUE = "readings"
TASK = "combine.read_source"


def enqueue_reading(session: Session, revision_id: uuid.UUID) -> None:
    """Queue the reading of a revision. A worker can take the job when the caller's transaction commits."""
    enqueue(session, TASK, QUEUE, revision_id=str(revision_id))
