"""Stores, lists and reads sources."""

from __future__ import annotations

import hashlib
import json
import mimetypes
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from sqlalchemy import func, select
from sqlalchemy.orm import Session, undefer
from sqlalchemy.orm.attributes import set_committed_value

from combine_core.database import NEWEST_FIRST, Page, new_id, paginate
from combine_core.database.copying import copy_row
from combine_core.readers import (
    Block,
    Unreadable,
    UnsupportedFile,
    blocks_as_json,
    read_file,
)
from combine_core.sources.model import Source
from combine_core.text import InvalidText, clean_name, clean_text

MAX_SOURCE_BYTES = 4 * 1024 * 1024
_PIECE = 65_536

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


@dataclass(frozen=True)
class FileText:
    """What was read of an uploaded file.

    :ivar original: the bytes of the file, if its text is not simply its bytes
    """

    text: str
    blocks: Sequence[Block] | None = None
    notes: tuple[str, ...] = ()
    original: bytes | None = None
    media_type: str = "text/markdown"


def read_upload(filename: str, data: bytes | bytearray) -> FileText:
    """The text of an uploaded file, by the reader for its ending.

    :raises UnsupportedFile: there is no reader for it
    :raises InvalidText: the file is broken, too large for its reader, or holds no text
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
    )


def add_source(
    session: Session,
    project_id: uuid.UUID,
    name: str,
    text: str,
    created_by: uuid.UUID,
    file: FileText | None = None,
) -> Source:
    """Store a text as a source. The media type follows from the name.

    :param file: what else is known of the text, if it was read from a file
    :raises InvalidText: the name or the text cannot be taken
    """
    name = clean_name(name)
    written, text = text, clean_text(text, "text", max_bytes=MAX_SOURCE_BYTES)
    size, sha256 = measure_text(text)
    values = {
        "id": new_id(),
        "project_id": project_id,
        "name": name,
        "media_type": _media_type_of_text(name) if file is None else file.media_type,
        "text": text,
        "sha256": sha256,
        "size": size,
        "line_count": text.count("\n") + (not text.endswith("\n")),
        "created_by": created_by,
    }
    if file is not None and file.original is not None:
        values["original"] = f"\\x{file.original.hex()}"
        values["notes"] = json.dumps(file.notes, ensure_ascii=False)
    if file is not None and file.blocks is not None and text == written:
        values["blocks"] = blocks_as_json(file.blocks)
    copy_row(session, Source.metadata.tables[Source.__tablename__], values)
    source = session.get_one(Source, values["id"])
    set_committed_value(source, "text", text)
    return source


def find_same_source(session: Session, project_id: uuid.UUID, text: str) -> Source | None:
    """The newest source of this project that has this text already, under whatever name.

    :raises InvalidText: the text cannot be taken
    """
    _, sha256 = measure_text(clean_text(text, "text", max_bytes=MAX_SOURCE_BYTES))
    same = select(Source).where(Source.project_id == project_id, Source.sha256 == sha256)
    return session.scalars(same.order_by(Source.id.desc()).limit(1)).first()


def _media_type_of_text(name: str) -> str:
    """Of a text that was pasted, whatever its name ends with."""
    return "text/plain" if name.lower().endswith(".txt") else "text/markdown"


def _media_type(filename: str) -> str:
    suffix = PurePath(filename.lower()).suffix
    return _MEDIA_TYPES.get(suffix) or mimetypes.types_map.get(suffix) or "text/markdown"


def measure_text(text: str) -> tuple[int, str]:
    """The number of bytes and their hash, without a second copy of a large text."""
    size, digest = 0, hashlib.sha256()
    for start in range(0, len(text), _PIECE):
        data = text[start : start + _PIECE].encode()
        size += len(data)
        digest.update(data)
    return size, digest.hexdigest()


def list_sources(
    session: Session,
    project_id: uuid.UUID,
    *,
    name: str | None = None,
    sort: str = NEWEST_FIRST,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Source]:
    """The sources of a project, all or those with this name, without their texts."""
    statement = select(Source).where(Source.project_id == project_id)
    if name is not None:
        statement = statement.where(Source.name == name)
    return paginate(
        session, statement, Source.id, named=Source.name, sort=sort, cursor=cursor, limit=limit
    )


def find_source(session: Session, project_id: uuid.UUID, source_id: uuid.UUID) -> Source | None:
    """One source of this project, without its text."""
    found = select(Source).where(Source.id == source_id, Source.project_id == project_id)
    return session.scalars(found).first()


def read_source(
    session: Session,
    project_id: uuid.UUID,
    source_id: uuid.UUID,
    before_text: Callable[[int], None] = lambda _size: None,
) -> Source | None:
    """One source of this project, with its text.

    :param before_text: called with the size of the text before the text is read; may raise
    """
    source = find_source(session, project_id, source_id)
    if source is not None:
        before_text(source.size)
        session.refresh(source, ["text"])
    return source


def read_original(
    session: Session,
    project_id: uuid.UUID,
    source_id: uuid.UUID,
    before_bytes: Callable[[int], None] = lambda _size: None,
) -> tuple[Source, bytes] | None:
    """One source of this project with the bytes of its file; ``None`` if there is none.

    The bytes of a text that came as UTF-8 are those of its text.

    :param before_bytes: called with the number of bytes before they are read; may raise
    """
    size = func.coalesce(func.octet_length(Source.original), Source.size)
    row = session.execute(
        select(Source, size).where(Source.id == source_id, Source.project_id == project_id)
    ).first()
    if row is None:
        return None
    source, length = row
    before_bytes(length)
    session.refresh(source, ["original"])
    if source.original is not None:
        return source, source.original
    session.refresh(source, ["text"])
    return source, source.text.encode()


def read_sources(
    session: Session, project_id: uuid.UUID, source_ids: Sequence[uuid.UUID]
) -> list[Source]:
    """Return the sources of this project among ``source_ids``, with texts, in the given order."""
    found = {
        source.id: source
        for source in session.scalars(
            select(Source)
            .options(undefer(Source.text))
            .where(Source.id.in_(source_ids), Source.project_id == project_id)
        )
    }
    return [found[source_id] for source_id in source_ids if source_id in found]


def rename_source(session: Session, source: Source, name: str) -> None:
    """Give the source another name. Documents keep the one that they were written with.

    :raises InvalidText: the name is unusable
    """
    source.name = clean_name(name)
    session.flush()
