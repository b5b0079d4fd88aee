"""Reads a version of a document for an API response, as named tuples with the content as JSON text.

The fields have the names of the columns of :class:`DocumentVersion` and its related models.
"""

from __future__ import annotations

import datetime
import uuid
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Integer, Text, bindparam, cast, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from combine_core.database import AnySelect, as_text, fetch
from combine_core.documents.model import Document, DocumentVersion, VersionInput
from combine_core.users import User


class StoredDocument(NamedTuple):
    """The document of a version."""

    type: str
    title: str
    archived_at: datetime.datetime | None


class StoredAuthor(NamedTuple):
    """The author of a version."""

    id: uuid.UUID
    name: str


class StoredInput(NamedTuple):
    """An input of a version."""

    ref_id: str
    kind: str
    name: str
    sha256: str
    deleted: bool
    revision: int | None


class StoredVersion(NamedTuple):
    """A version with its document, author and inputs.

    :ivar content: the content as JSON text
    """

    id: uuid.UUID
    document_id: str
    number: int
    origin: str
    model: str
    used_llm: bool
    support: dict[str, int] | None
    flagged: int
    sha256: str
    run_id: uuid.UUID | None
    parent_number: int | None
    note: str | None
    created_at: datetime.datetime
    content: str
    document: StoredDocument
    author: StoredAuthor | None
    inputs: list[StoredInput]


_COLUMNS = (
    DocumentVersion.id,
    as_text(DocumentVersion.document_id),
    *(
        getattr(DocumentVersion, name)
        for name in StoredVersion._fields[2 : StoredVersion._fields.index("content")]
    ),
    cast(DocumentVersion.content, Text),
)


def _version(number: ColumnElement[int] | InstrumentedAttribute[int]) -> AnySelect:
    document = (Document.type, Document.title, Document.archived_at)
    # Not a join: PostgreSQL would read all users.
    name = select(User.name).where(User.id == DocumentVersion.author_id).scalar_subquery()
    return (
        select(*_COLUMNS, *document, DocumentVersion.author_id, name)
        .join(Document, Document.id == DocumentVersion.document_id)
        .where(
            DocumentVersion.document_id == bindparam("document_id"),
            DocumentVersion.number == number,
        )
    )


_NEWEST = _version(Document.head)
_NUMBERED = _version(bindparam("number", type_=Integer))
_INPUTS = (
    select(
        as_text(VersionInput.ref_id),
        *(getattr(VersionInput, name) for name in StoredInput._fields[1:]),
    )
    .where(VersionInput.version_id == bindparam("version_id"))
    .order_by(VersionInput.position)
)


def read_stored(
    session: Session, document_id: uuid.UUID, number: int | None = None
) -> StoredVersion | None:
    """Return a version, or the newest one if ``number`` is ``None``."""
    if number is None:
        row: Any = fetch(session, _NEWEST, document_id=document_id).first()
    else:
        row = fetch(session, _NUMBERED, document_id=document_id, number=number).first()
    if row is None:
        return None
    *values, type_, title, archived_at, author_id, author = row
    document = StoredDocument(type_, title, archived_at)
    by = None if author_id is None else StoredAuthor(author_id, author)
    inputs = [StoredInput._make(each) for each in fetch(session, _INPUTS, version_id=values[0])]
    return StoredVersion._make([*values, document, by, inputs])
