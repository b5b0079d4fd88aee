"""Queues files for the workers to read. The revision's row decides: :mod:`combine_core.sources.reading`."""

from __future__ import annotations

import uuid

from sqlalchemy.orm import Session

from combine_core.jobs import enqueue

QUEUE = "readings"
TASK = "combine.read_source"


def enqueue_reading(session: Session, revision_id: uuid.UUID) -> None:
    """Queue the reading of this revision. A worker takes it when the caller's transaction commits."""
    enqueue(session, TASK, QUEUE, revision_id=str(revision_id))
