"""Loads an uploaded file for a worker, and stores the text that the worker has read.

Each attempt increments the row's ``attempts``, and stores its result only if no later attempt has begun. No
transaction is open while the file is read.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from combine_core.sources.model import ReadingState, Source, SourceRevision
from combine_core.sources.revisions import promote, settle_state
from combine_core.sources.service import FileText, UploadedFile, content_of, enqueue_reading

# A worker may be killed once or twice while it reads a file. After that, the file itself is the cause.
MAX_ATTEMPTS = 3
_NO_RESULT = (
    f"cannot be read: {MAX_ATTEMPTS} attempts ended without a result, perhaps because of the worker's memory"
    " limit. Split it, or save its text as .txt."
)
_ORPHANS = text(
    """
    SELECT source_revisions.id FROM source_revisions
    WHERE source_revisions.state = 'reading'
      AND NOT EXISTS (
        SELECT FROM procrastinate_jobs AS jobs
        WHERE jobs.status IN ('todo', 'doing')
          AND jobs.args ->> 'revision_id' = source_revisions.id::text)
    ORDER BY source_revisions.id
    LIMIT 100
    FOR UPDATE OF source_revisions SKIP LOCKED
    """
)


@dataclass(frozen=True)
class Reading:
    """An attempt to read a file."""

    revision_id: uuid.UUID
    source_id: uuid.UUID
    number: int
    attempt: int
    upload: UploadedFile


def begin_reading(session: Session, revision_id: uuid.UUID) -> Reading | None:
    """Begin an attempt to read the file of a revision. Return ``None`` if there is nothing to read."""
    row = session.execute(
        update(SourceRevision)
        .where(SourceRevision.id == revision_id, SourceRevision.state == ReadingState.READING)
        .values(attempts=SourceRevision.attempts + 1)
        .returning(
            SourceRevision.source_id,
            SourceRevision.number,
            SourceRevision.attempts,
            SourceRevision.file_name,
            SourceRevision.original,
        )
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        return None
    upload = UploadedFile(row.file_name, bytes(row.original))
    return Reading(revision_id, row.source_id, row.number, row.attempts, upload)


def reason_to_give_up(reading: Reading) -> str | None:
    """Return a message if there were too many attempts, or ``None`` if this attempt may continue."""
    return _NO_RESULT if reading.attempt > MAX_ATTEMPTS else None


def store_reading(session: Session, reading: Reading, file: FileText) -> bool:
    """Store the text of the file, which may become the newest revision.

    :returns: ``False`` if another attempt has begun or the source was deleted; then nothing is stored
    :raises InvalidText: the text is not valid
    """
    # Without the bytes of the file, which are stored already.
    values = content_of(reading.upload.name, file.text, replace(file, original=None))
    source = _lock(session, reading)
    if source is None:
        return False
    session.execute(
        update(SourceRevision)
        .where(SourceRevision.id == reading.revision_id)
        .values(**values, notes=list(file.notes), state=ReadingState.READY)
        .execution_options(synchronize_session=False)
    )
    promote(session, source, reading.number)
    return True


def fail_reading(session: Session, reading: Reading, why: str) -> bool:
    """Store the reason why the file cannot be read, and delete the file.

    :returns: ``False`` if another attempt has begun or the source was deleted; then nothing is stored
    """
    source = _lock(session, reading)
    if source is None:
        return False
    session.execute(
        update(SourceRevision)
        .where(SourceRevision.id == reading.revision_id)
        .values(state=ReadingState.FAILED, error=why, original=None)
        .execution_options(synchronize_session=False)
    )
    settle_state(session, source)
    return True


def _lock(session: Session, reading: Reading) -> Source | None:
    """Lock and return the source, if this is still the latest attempt."""
    source = session.scalars(
        select(Source)
        .where(Source.id == reading.source_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).first()
    current = session.scalar(
        select(SourceRevision.id).where(
            SourceRevision.id == reading.revision_id,
            SourceRevision.state == ReadingState.READING,
            SourceRevision.attempts == reading.attempt,
        )
    )
    return source if current is not None else None


def adopt_unread(session: Session) -> int:
    """Queue the reading of files without a job, and return their number."""
    orphans = session.scalars(_ORPHANS).all()
    for revision_id in orphans:
        enqueue_reading(session, revision_id)
    return len(orphans)
