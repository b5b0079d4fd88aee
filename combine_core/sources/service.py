"""Stores and lists sources."""

from __future__ import annotations

import hashlib
import mimetypes
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import PurePath
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from combine_core.database import NEWEST_FIRST, ListQuery, Page, as_text, new_id
from combine_core.database.copying import add_row
from combine_core.jobs import enqueue
from combine_core.readers import (
    Block,
    Unreadable,
    UnsupportedFile,
    blocks_as_json,
    check_supported,
    is_read_at_once,
    read_file,
)
from combine_core.sources.model import ReadingState, Source, SourceRevision
from combine_core.text import InvalidText, clean_name, clean_text

MAX_SOURCE_BYTES = 4 * 1024 * 1024
_PIECE = 65_536
# The job with which a worker reads an uploaded file (combine_core.sources.reading).
READ_QUEUE = "readings"
READ_TASK = "combine.read_source"

_MEDIA_TYPES = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".vtt": "text/vtt",
    ".srt": "application/x-subrip",
    ".eml": "message/rfc822",
    ".jsonl": "application/jsonl",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


Key = TypeVar("Key", str, uuid.UUID)


class ListedSource(NamedTuple, Generic[Key]):
    """A source as lists show it: some columns of :class:`Source`. In lists, the id is text."""

    id: Key
    name: str
    revision: int
    state: str
    error: str | None
    media_type: str
    size: int
    line_count: int
    sha256: str
    created_at: datetime
    revised_at: datetime | None
    notes: list[str] | None


@dataclass(frozen=True)
class FileText:
    """The text of an uploaded file, with other attributes.

    :ivar original: the bytes of the file, unless they are those of the text
    :ivar file_sha256: the hash of the bytes of the file
    """

    text: str
    blocks: Sequence[Block] | None = None
    notes: tuple[str, ...] = ()
    original: bytes | None = None
    media_type: str = "text/markdown"
    file_sha256: str | None = None


@dataclass(frozen=True)
class UploadedFile:
    """An uploaded file: its name without folders, and its bytes."""

    name: str
    data: bytes

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def read_upload(filename: str, data: bytes | bytearray) -> FileText:
    """Read the text of an uploaded file with the reader for its extension.

    :raises UnsupportedFile: there is no reader for the file
    :raises InvalidText: the file is damaged, too large for its reader, or contains no text
    """
    try:
        reading = read_file(filename, bytes(data))
    except UnsupportedFile:
        raise
    except Unreadable as error:
        raise InvalidText("file", str(error)) from error
    changed = reading.blocks is not None or reading.notes
    return FileText(
        reading.text,
        reading.blocks,
        reading.notes,
        bytes(data) if changed else None,
        _media_type(filename),
        hashlib.sha256(data).hexdigest(),
    )


def add_source(
    session: Session,
    project_id: uuid.UUID,
    name: str,
    text: str,
    created_by: uuid.UUID,
    file: FileText | None = None,
) -> ListedSource[uuid.UUID]:
    """Store a text as a source. The name determines the media type.

    :param file: the other attributes, if the text was read from a file
    :raises InvalidText: the name or the text is not valid
    """
    name = clean_name(name)
    content = content_of(name, text, file)
    source_id = new_id()
    values = {"id": source_id, "project_id": project_id, "name": name, "created_by": created_by}
    created_at = add_row(
        session, Source.metadata.tables[Source.__tablename__], {**values, **content}
    )
    return ListedSource(
        source_id,
        name,
        1,
        ReadingState.READY,
        None,
        content["media_type"],
        content["size"],
        content["line_count"],
        content["sha256"],
        created_at,
        None,
        content.get("notes"),
    )


def add_file(
    session: Session,
    project_id: uuid.UUID,
    name: str,
    upload: UploadedFile,
    created_by: uuid.UUID,
) -> Source | ListedSource[uuid.UUID]:
    """Store a file as a source. Text is read at once; other formats are in state ``reading`` for a worker.

    :raises UnsupportedFile: there is no reader for the file
    :raises InvalidText: the name is not valid, or the file is read at once and its text is not valid
    """
    if is_read_at_once(upload.name, upload.data):
        file = read_upload(upload.name, upload.data)
        return add_source(session, project_id, name, file.text, created_by, file)
    check_supported(upload.name)
    source = Source(
        project_id=project_id,
        name=clean_name(name),
        revision=0,
        state=ReadingState.READING,
        created_by=created_by,
        **content_of_unread(upload),
    )
    session.add(source)
    session.flush()
    add_unread_revision(session, source.id, 1, upload, created_by)
    return source


def content_of(name: str, text: str, file: FileText | None) -> dict[str, Any]:
    """Return the columns of a revision with this text.

    :param name: the name of the source
    :param file: the other attributes, if the text was read from a file
    :raises InvalidText: the text is not valid
    """
    raw, text = text, clean_text(text, "text", max_bytes=MAX_SOURCE_BYTES)
    size, sha256 = measure_text(text)
    values: dict[str, Any] = {
        "media_type": _media_type_of_text(name) if file is None else file.media_type,
        "text": text,
        "sha256": sha256,
        "size": size,
        "line_count": text.count("\n") + (not text.endswith("\n")),
    }
    if file is not None:
        values["file_sha256"] = file.file_sha256
    if file is not None and file.original is not None:
        values["original"] = file.original
        values["notes"] = list(file.notes)
    # Blocks refer to lines of the text as the reader returned it.
    if file is not None and file.blocks is not None and text == raw:
        values["blocks"] = blocks_as_json(file.blocks)
    return values


def content_of_unread(upload: UploadedFile) -> dict[str, Any]:
    """Return the columns of a revision whose file is unread, without the bytes of the file."""
    return {
        "media_type": _media_type(upload.name),
        "text": "",
        "sha256": upload.sha256,
        "file_sha256": upload.sha256,
        "size": len(upload.data),
        "line_count": 0,
    }


def add_unread_revision(
    session: Session,
    source_id: uuid.UUID,
    number: int,
    upload: UploadedFile,
    created_by: uuid.UUID,
) -> None:
    """Store a file as a revision, and queue its reading."""
    revision = SourceRevision(
        source_id=source_id,
        number=number,
        file_name=upload.name,
        state=ReadingState.READING,
        original=upload.data,
        created_by=created_by,
        **content_of_unread(upload),
    )
    session.add(revision)
    session.flush()
    enqueue_reading(session, revision.id)


def enqueue_reading(session: Session, revision_id: uuid.UUID) -> None:
    """Queue the reading of a revision. A worker can take the job when the caller's transaction commits."""
    enqueue(session, READ_TASK, READ_QUEUE, revision_id=str(revision_id))


def find_same_source(session: Session, project_id: uuid.UUID, text: str) -> Source | None:
    """Return the newest source of this project with this text, whatever its name.

    :raises InvalidText: the text is not valid
    """
    _, sha256 = measure_text(clean_text(text, "text", max_bytes=MAX_SOURCE_BYTES))
    same = select(Source).where(Source.project_id == project_id, Source.sha256 == sha256)
    return session.scalars(same.order_by(Source.id.desc()).limit(1)).first()


def _media_type_of_text(name: str) -> str:
    # For a pasted text, which is never of another type, whatever the extension of its name.
    return "text/plain" if name.lower().endswith(".txt") else "text/markdown"


def _media_type(filename: str) -> str:
    suffix = PurePath(filename.lower()).suffix
    return _MEDIA_TYPES.get(suffix) or mimetypes.types_map.get(suffix) or "text/markdown"


def measure_text(text: str) -> tuple[int, str]:
    """Return the number of bytes and their hash, without a second copy of a large text."""
    size, digest = 0, hashlib.sha256()
    for start in range(0, len(text), _PIECE):
        data = text[start : start + _PIECE].encode()
        size += len(data)
        digest.update(data)
    return size, digest.hexdigest()


_SOURCES = select(
    as_text(Source.id), *(getattr(Source, name) for name in ListedSource._fields[1:])
).where(Source.project_id == bindparam("project_id"))
_ALL: ListQuery[ListedSource[str]] = ListQuery(ListedSource, _SOURCES, Source.id, Source.name)
_NAMED: ListQuery[ListedSource[str]] = ListQuery(
    ListedSource, _SOURCES.where(Source.name == bindparam("name")), Source.id, Source.name
)


def list_sources(
    session: Session,
    project_id: uuid.UUID,
    *,
    name: str | None = None,
    sort: str = NEWEST_FIRST,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[ListedSource[str]]:
    """Return a page of the sources of a project, all or those of a name, without their texts."""
    query, parameters = (_ALL, {}) if name is None else (_NAMED, {"name": name})
    return query.page(
        session, sort=sort, cursor=cursor, limit=limit, project_id=project_id, **parameters
    )


def find_source(session: Session, project_id: uuid.UUID, source_id: uuid.UUID) -> Source | None:
    """Return a source of this project without its text, or ``None`` if there is no such source."""
    statement = select(Source).where(Source.id == source_id, Source.project_id == project_id)
    return session.scalars(statement).first()


def rename_source(session: Session, source: Source, name: str) -> None:
    """Rename a source. Documents that were made from it keep the old name.

    :raises InvalidText: the name is not valid
    """
    source.name = clean_name(name)
    session.flush()
