"""Adds, lists and reads the revisions of sources."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    and_,
    case,
    delete,
    func,
    insert,
    literal,
    select,
    union_all,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from combine_core.database import Page, decode_cursor, encode_cursor, new_id
from combine_core.database.copying import add_row
from combine_core.readers import check_supported, is_read_at_once
from combine_core.sources.model import Content, ReadingState, Source, SourceRevision
from combine_core.sources.service import (
    FileText,
    UploadedFile,
    add_unread_revision,
    content_of,
    find_source,
    read_upload,
)

_TEXTS = ("text", "blocks")
_LARGE = (*_TEXTS, "original")
_CONTENT = tuple(name for name in Content.__annotations__ if name not in _LARGE)


@dataclass(frozen=True)
class _Facts:
    """The attributes of a revision without its text.

    :ivar error: the reason why it could not be read
    """

    state: str
    error: str | None
    media_type: str
    notes: list[str] | None
    file_sha256: str | None
    sha256: str
    size: int
    line_count: int
    created_at: datetime.datetime


@dataclass(frozen=True)
class Revision(_Facts):
    """A revision in the list of its source."""

    number: int


@dataclass(frozen=True)
class PinnedSource(_Facts):
    """A source at one of its revisions."""

    id: uuid.UUID
    name: str
    revision: int


@dataclass(frozen=True)
class RevisionText(PinnedSource):
    """A source at one of its revisions, with the text.

    :ivar blocks: the output of :func:`combine_core.readers.blocks_as_json`; ``None`` for Markdown and plain
        text
    """

    text: str
    blocks: str | None


def lock_source(session: Session, project_id: uuid.UUID, source_id: uuid.UUID) -> Source | None:
    """Lock and return a source of this project; return ``None`` if there is no such source."""
    return session.scalars(
        select(Source)
        .where(Source.id == source_id, Source.project_id == project_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).first()


def add_text_revision(
    session: Session, source: Source, text: str, created_by: uuid.UUID, file: FileText | None = None
) -> int | None:
    """Make a text the newest revision of a source.

    :param source: locked
    :param file: the other attributes, if the text was read from a file
    :returns: the number of the revision; ``None`` if the newest revision has this text already
    :raises InvalidText: the text is not valid
    """
    values = content_of(source.name, text, file)
    if values["sha256"] == source.sha256 and source.revision:
        return None
    number = _next_number(session, source)
    row = {
        "id": new_id(),
        "source_id": source.id,
        "number": number,
        "file_name": source.name,
        "state": ReadingState.READY,
        "created_by": created_by,
        **values,
    }
    add_row(session, SourceRevision.metadata.tables[SourceRevision.__tablename__], row)
    promote(session, source, number)
    return number


def add_file_revision(
    session: Session, source: Source, upload: UploadedFile, created_by: uuid.UUID
) -> int | None:
    """Make a file the newest revision of a source. If it is not plain text, a worker reads it first.

    :param source: locked
    :returns: the number of the revision; ``None`` if the newest revision has this file already
    :raises UnsupportedFile: there is no reader for the file
    :raises InvalidText: the file is read at once, and its text is not valid
    """
    if _is_newest_file(session, source, upload):
        return None
    if is_read_at_once(upload.name, upload.data):
        file = read_upload(upload.name, upload.data)
        return add_text_revision(session, source, file.text, created_by, file)
    check_supported(upload.name)
    number = _next_number(session, source)
    add_unread_revision(session, source.id, number, upload, created_by)
    settle_state(session, source)
    return number


def _is_newest_file(session: Session, source: Source, upload: UploadedFile) -> bool:
    """Check whether the newest revision, read or unread, has this file."""
    newest = session.scalar(
        select(SourceRevision.file_sha256)
        .where(
            SourceRevision.source_id == source.id,
            SourceRevision.number > source.revision,
            SourceRevision.state == ReadingState.READING,
        )
        .order_by(SourceRevision.number.desc())
        .limit(1)
    )
    return upload.sha256 == (newest or source.file_sha256)


def _next_number(session: Session, source: Source) -> int:
    highest = session.scalar(
        select(func.max(SourceRevision.number)).where(SourceRevision.source_id == source.id)
    )
    return max(source.revision, highest or 0) + 1


def promote(session: Session, source: Source, number: int) -> None:
    """Move a revision that has been read into the row of its source, and its predecessor into its own row.

    The texts do not leave the database. If a later revision was read first, nothing changes.

    :param source: locked
    """
    if number > source.revision:
        if source.revision:
            _copy_to_revision(session, source)
        names = [*_CONTENT, *_LARGE]
        session.execute(
            update(Source)
            .where(
                Source.id == source.id,
                SourceRevision.source_id == Source.id,
                SourceRevision.number == number,
            )
            .values(
                revision=number,
                revised_at=SourceRevision.created_at,
                revised_by=SourceRevision.created_by,
                **{name: getattr(SourceRevision, name) for name in names},
            )
            .execution_options(synchronize_session=False)
        )
        session.execute(
            delete(SourceRevision)
            .where(SourceRevision.source_id == source.id, SourceRevision.number == number)
            .execution_options(synchronize_session=False)
        )
        session.refresh(source)
    settle_state(session, source)


def _copy_to_revision(session: Session, source: Source) -> None:
    """Copy the content of the source to a new row of ``source_revisions``."""
    values: dict[str, Any] = {
        "id": func.gen_random_uuid(),
        "created_at": func.coalesce(Source.revised_at, Source.created_at),
        "source_id": Source.id,
        "number": Source.revision,
        "file_name": Source.name,
        "state": literal(ReadingState.READY),
        "created_by": func.coalesce(Source.revised_by, Source.created_by),
        **{name: getattr(Source, name) for name in (*_CONTENT, *_LARGE)},
    }
    session.execute(
        insert(SourceRevision).from_select(
            list(values),
            select(*values.values()).where(Source.id == source.id),
            include_defaults=False,
        )
    )


def settle_state(session: Session, source: Source) -> None:
    """Update the state of the source from its later revisions: unread, or failed with a reason.

    :param source: locked
    """
    later = session.execute(
        select(SourceRevision.state, SourceRevision.error)
        .where(SourceRevision.source_id == source.id, SourceRevision.number > source.revision)
        .order_by(SourceRevision.number.desc())
    ).all()
    if any(row.state == ReadingState.READING for row in later):
        source.state = ReadingState.READING
    else:
        source.state = ReadingState.READY if source.revision else ReadingState.FAILED
    source.error = later[0].error if later else None
    session.flush()


@dataclass(frozen=True)
class Pin:
    """The revision of a source that a run uses.

    :ivar is_unread: whether a worker still has to read it
    """

    number: int
    is_unread: bool


def pin_revisions(session: Session, sources: Sequence[Source]) -> dict[uuid.UUID, Pin]:
    """Return the newest revision of each source by the id of the source, including unread revisions.

    A source that is being read is locked, so that the start of a run and the end of the reading cannot miss
    each other.
    """
    pins = {source.id: Pin(source.revision, is_unread=False) for source in sources}
    unread = [source.id for source in sources if source.state == ReadingState.READING]
    if not unread:
        return pins
    locked = select(Source).where(Source.id.in_(unread)).order_by(Source.id)
    for source in session.scalars(
        locked.with_for_update().execution_options(populate_existing=True)
    ).all():
        pins[source.id] = Pin(source.revision, is_unread=False)
    newest = (
        select(SourceRevision.source_id, func.max(SourceRevision.number).label("number"))
        .join(Source, Source.id == SourceRevision.source_id)
        .where(
            SourceRevision.source_id.in_(unread),
            SourceRevision.state == ReadingState.READING,
            SourceRevision.number > Source.revision,
        )
        .group_by(SourceRevision.source_id)
    )
    for row in session.execute(newest):
        pins[row.source_id] = Pin(row.number, is_unread=True)
    return pins


def list_revisions(
    session: Session, source: Source, *, cursor: str | None = None, limit: int = 50
) -> Page[Revision]:
    """Return a page of the revisions of a source, newest first.

    :raises InvalidCursor: the cursor is not from this list
    """
    head = select(
        Source.revision.label("number"),
        literal(ReadingState.READY).label("state"),
        literal(None).label("error"),
        func.coalesce(Source.revised_at, Source.created_at).label("created_at"),
        *(getattr(Source, name) for name in _CONTENT),
    ).where(Source.id == source.id, Source.revision > 0)
    others = select(
        SourceRevision.number,
        SourceRevision.state,
        SourceRevision.error,
        SourceRevision.created_at,
        *(getattr(SourceRevision, name) for name in _CONTENT),
    ).where(SourceRevision.source_id == source.id)
    revisions = union_all(head, others).subquery()
    statement = select(revisions).order_by(revisions.c.number.desc()).limit(limit + 1)
    if cursor is not None:
        last, _ = decode_cursor(cursor)
        statement = statement.where(revisions.c.number < last.int)
    rows = session.execute(statement).mappings().all()
    items = [Revision(**row) for row in rows[:limit]]
    return Page(
        items, encode_cursor(uuid.UUID(int=items[-1].number)) if len(rows) > limit else None
    )


_Number = ColumnElement[int] | ColumnElement[int | None] | InstrumentedAttribute[int | None]


def sources_at(
    pinned: _Number, tables: FromClause | type[Source] = Source, *, with_texts: bool = False
) -> Select[Any]:
    """Select the attributes of :class:`PinnedSource` for sources, each at a revision.

    :param pinned: the number of the revision; if it is NULL or unknown, the newest revision is selected
    :param tables: the sources, joined with the table that contains ``pinned``, if it is another one
    :param with_texts: whether to select the attributes of :class:`RevisionText`
    """
    newest = {
        "id": Source.id,
        "name": Source.name,
        "revision": Source.revision,
        "state": case((Source.revision > 0, ReadingState.READY), else_=Source.state),
        # If a revision was read, the error of the source concerns a later file.
        "error": case((Source.revision == 0, Source.error)),
        "created_at": func.coalesce(Source.revised_at, Source.created_at),
        **{name: getattr(Source, name) for name in (*_CONTENT, *(_TEXTS if with_texts else ()))},
    }
    other = {
        **{name: getattr(SourceRevision, name, None) for name in newest},
        "id": SourceRevision.source_id,
        "name": Source.name,
        "revision": SourceRevision.number,
    }
    return _select_at(pinned, tables, newest, other)


def texts_at(pinned: _Number, tables: FromClause | type[Source] = Source) -> Select[Any]:
    """Select ``text`` and ``blocks`` of sources, as :func:`sources_at` does."""
    newest, other = (
        {name: getattr(table, name) for name in _TEXTS} for table in (Source, SourceRevision)
    )
    return _select_at(pinned, tables, newest, other)


def _select_at(
    pinned: _Number,
    tables: FromClause | type[Source],
    newest: dict[str, Any],
    other: dict[str, Any],
) -> Select[Any]:
    is_other = SourceRevision.id.is_not(None)
    columns = [
        case((is_other, other[name]), else_=column).label(name) for name, column in newest.items()
    ]
    return (
        select(*columns)
        .select_from(tables)
        .outerjoin(
            SourceRevision,
            and_(
                SourceRevision.source_id == Source.id,
                SourceRevision.number == pinned,
                SourceRevision.number != Source.revision,
            ),
        )
    )


def read_source(
    session: Session,
    source: Source,
    number: int | None = None,
    before_text: Callable[[int], None] = lambda _size: None,
) -> RevisionText | None:
    """Return a source with the text of a revision, or ``None`` if either does not exist.

    :param number: the number of the revision; ``None`` for the newest
    :param before_text: called with the size of the text before the text is loaded; may raise an exception
    """
    if number in (None, source.revision):
        size, at = source.size, source.revision
    else:
        earlier = select(SourceRevision.size).where(
            SourceRevision.source_id == source.id, SourceRevision.number == number
        )
        size, at = session.scalar(earlier) or 0, number
    before_text(size)
    # Select this revision even if another one has become the newest in the meantime.
    statement = sources_at(literal(at, Integer()), with_texts=True).where(Source.id == source.id)
    row = session.execute(statement).mappings().first()
    return RevisionText(**row) if row is not None and row["revision"] == at else None


def read_original(
    session: Session,
    project_id: uuid.UUID,
    source_id: uuid.UUID,
    number: int | None = None,
    before_bytes: Callable[[int], None] = lambda _size: None,
) -> tuple[str, bytes] | None:
    """Return the name and the bytes of the file of a revision, or ``None`` if there is no such revision.

    The bytes of a file that is UTF-8 text are those of its text.

    :param number: the number of the revision; ``None`` for the newest
    :param before_bytes: called with the number of bytes before they are loaded; may raise an exception
    """
    source = find_source(session, project_id, source_id)
    if source is None:
        return None
    if number in (None, source.revision) and source.revision:
        table: type[Source | SourceRevision] = Source
        where = Source.id == source.id
    else:
        table = SourceRevision
        # The file of a failed revision was deleted.
        where = and_(
            SourceRevision.source_id == source.id,
            SourceRevision.number == (number or 1),
            SourceRevision.state != ReadingState.FAILED,
        )
    length = func.coalesce(func.octet_length(table.original), table.size)
    size = session.scalar(select(length).where(where))
    if size is None:
        return None
    before_bytes(size)
    row = session.execute(
        select(table.original, case((table.original.is_(None), table.text))).where(where)
    ).one()
    original, text = row
    return source.name, original if original is not None else text.encode()
