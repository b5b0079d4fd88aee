"""Finds documents that are out of date, and the reasons. The result is computed on demand, never stored.

A version is stale if one of its sources has a newer revision with another text, or if its line has changed.
It is up to date again if the text is the same again, or if a user has acknowledged the change.
"""

from __future__ import annotations

import datetime
import functools
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    delete,
    exists,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from combine_core.database import fetch
from combine_core.documents.model import (
    Document,
    DocumentVersion,
    StaleAcknowledgement,
    VersionInput,
)
from combine_core.lines import installed_lines
from combine_core.sources import Source
from combine_core.text import clean_text
from combine_core.users.model import User

MAX_NOTE_BYTES = 2000


@dataclass(frozen=True)
class StaleReason:
    """An input that changed after a version was made from it.

    :ivar input_id: the id of the source, or of the version of the line that wrote the document
    :ivar revision: the revision of the source that the document was made from; ``None`` for a line
    :ivar newest_revision: the newest revision of the source; ``None`` for a line
    :ivar acknowledged_at: the time at which a user acknowledged the change
    :ivar acknowledged_by: the name of that user; also ``None`` if the user was deleted
    """

    kind: str
    input_id: uuid.UUID
    name: str
    from_sha256: str
    to_sha256: str
    revision: int | None
    newest_revision: int | None
    acknowledged_at: datetime.datetime | None
    acknowledged_by: str | None
    note: str | None


class NotStale(ValueError):
    """Raised when the input has not changed, so there is nothing to acknowledge."""

    def __init__(self) -> None:
        super().__init__("This input has not changed since the document was written from it.")


Lines = tuple[tuple[str, str], ...]


def newest_lines() -> Lines:
    """Return the name and the hash of each installed line."""
    return tuple((name, line.sha256) for name, line in installed_lines().items())


def _changed(lines: Lines) -> Select[Any]:
    """Select each input of a version whose content has changed."""
    of_line = case(dict(lines), value=VersionInput.name)
    newest = case((VersionInput.kind == "source", Source.sha256), else_=of_line)
    return (
        select(
            VersionInput.version_id,
            VersionInput.kind,
            VersionInput.ref_id.label("input_id"),
            VersionInput.name,
            VersionInput.sha256.label("from_sha256"),
            newest.label("to_sha256"),
            case((VersionInput.kind == "source", VersionInput.revision)).label("revision"),
            Source.revision.label("newest_revision"),
        )
        .outerjoin(Source, and_(VersionInput.kind == "source", Source.id == VersionInput.ref_id))
        # A deleted source and a line that is not installed have no newer content.
        .where(newest != VersionInput.sha256, or_(VersionInput.kind == "line", Source.revision > 0))
    )


def list_stale_reasons(
    session: Session, version_ids: Sequence[uuid.UUID]
) -> Mapping[uuid.UUID, list[StaleReason]]:
    """Return the reasons, including acknowledged ones, why requested versions are stale, by version id."""
    rows = fetch(session, _stale_reasons(newest_lines()), version_ids=list(version_ids)).mappings()
    found: defaultdict[uuid.UUID, list[StaleReason]] = defaultdict(list)
    for row in rows:
        reason = dict(row)
        found[reason.pop("version_id")].append(StaleReason(**reason))
    return found


@functools.cache
def _stale_reasons(lines: Lines) -> Select[Any]:
    requested = any_(bindparam("version_ids", type_=ARRAY(Uuid)))
    changed = _changed(lines).where(VersionInput.version_id == requested).subquery()
    return (
        select(
            changed,
            StaleAcknowledgement.created_at.label("acknowledged_at"),
            User.name.label("acknowledged_by"),
            StaleAcknowledgement.note,
        )
        .join(DocumentVersion, DocumentVersion.id == changed.c.version_id)
        .outerjoin(StaleAcknowledgement, _acknowledges(changed.c))
        .outerjoin(User, User.id == StaleAcknowledgement.user_id)
        .order_by(changed.c.kind.desc(), changed.c.name, changed.c.input_id)
    )


def is_stale(lines: Lines) -> ColumnElement[bool]:
    """Return the condition that a :class:`Document`'s newest version is stale and not acknowledged.

    :param lines: the result of :func:`newest_lines`
    """
    changed = _changed(lines).subquery()
    reason = select(changed.c.version_id).where(
        DocumentVersion.document_id == Document.id,
        DocumentVersion.number == Document.head,
        changed.c.version_id == DocumentVersion.id,
        ~exists().where(_acknowledges(changed.c)),
    )
    # Not EXISTS: PostgreSQL would evaluate it for the documents of all projects to list one page.
    return reason.correlate(Document).limit(1).scalar_subquery().is_not(None)


def _acknowledges(changed: Any) -> ColumnElement[bool]:
    return and_(
        StaleAcknowledgement.document_id == DocumentVersion.document_id,
        StaleAcknowledgement.input_id == changed.input_id,
        StaleAcknowledgement.from_sha256 == changed.from_sha256,
        StaleAcknowledgement.to_sha256 == changed.to_sha256,
    )


def acknowledge(
    session: Session,
    version: DocumentVersion,
    input_id: uuid.UUID,
    *,
    user_id: uuid.UUID,
    note: str,
) -> None:
    """Record that a document needs no update after this input changed. A repeated call keeps the first note.

    :param version: the newest version
    :raises NotStale: if the input has not changed
    :raises InvalidText: if the note is empty or too long
    """
    cleaned = clean_text(note, "note", max_bytes=MAX_NOTE_BYTES)
    reasons = list_stale_reasons(session, [version.id]).get(version.id, [])
    reason = next((each for each in reasons if each.input_id == input_id), None)
    if reason is None:
        raise NotStale
    session.execute(
        insert(StaleAcknowledgement)
        .values(
            document_id=version.document_id,
            input_id=input_id,
            from_sha256=reason.from_sha256,
            to_sha256=reason.to_sha256,
            user_id=user_id,
            note=cleaned,
        )
        .on_conflict_do_nothing()
    )


def delete_acknowledgements(session: Session, input_id: uuid.UUID) -> None:
    """Delete the acknowledgements for an input that is being deleted."""
    session.execute(
        delete(StaleAcknowledgement)
        .where(StaleAcknowledgement.input_id == input_id)
        .execution_options(synchronize_session=False)
    )


def stale_in_words(reason: StaleReason) -> str:
    """Describe in a sentence why a document is out of date."""
    if reason.kind == "line":
        return f"The line {reason.name} has changed."
    return (
        f"The source {reason.name} has revision {reason.newest_revision}. This was written from"
        f" revision {reason.revision or 1}."
    )
