"""Stores, lists and reads sources."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from pathlib import PurePath

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer
from sqlalchemy.orm.attributes import set_committed_value

from combine_core.database import NEWEST_FIRST, Page, new_id, paginate
from combine_core.database.copying import copy_row
from combine_core.sources.model import Source
from combine_core.text import InvalidText, clean_name, clean_text

MAX_SOURCE_BYTES = 4 * 1024 * 1024
_PIECE = 65_536

_MEDIA_TYPES = {".md": "text/markdown", ".markdown": "text/markdown", ".txt": "text/plain"}


class UnsupportedFile(ValueError):
    """The file is not of a kind that can be read as text."""


def decode_upload(filename: str, data: bytes | bytearray) -> str:
    """The text of an uploaded ``.txt`` or ``.md`` file, which must be UTF-8.

    :raises UnsupportedFile: another kind of file
    :raises InvalidText: not UTF-8
    """
    if PurePath(filename.lower()).suffix not in _MEDIA_TYPES:
        message = "Only .txt and .md files can be read. Save the text in one of these, as UTF-8."
        raise UnsupportedFile(message)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InvalidText("file", "is UTF-16. Save it as UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        why = f"is not UTF-8 (the first other byte stands in line {line}). Save it as UTF-8."
        raise InvalidText("file", why) from error


def add_source(
    session: Session, project_id: uuid.UUID, name: str, text: str, created_by: uuid.UUID
) -> Source:
    """Store a text as a source. The media type follows from the name.

    :raises InvalidText: the name or the text cannot be taken
    """
    name = clean_name(name)
    text = clean_text(text, "text", max_bytes=MAX_SOURCE_BYTES)
    size, sha256 = measure_text(text)
    values = {
        "id": new_id(),
        "project_id": project_id,
        "name": name,
        "media_type": _MEDIA_TYPES.get(PurePath(name.lower()).suffix, "text/markdown"),
        "text": text,
        "sha256": sha256,
        "size": size,
        "line_count": text.count("\n") + (not text.endswith("\n")),
        "created_by": created_by,
    }
    copy_row(session, Source.metadata.tables[Source.__tablename__], values)
    source = session.get_one(Source, values["id"])
    set_committed_value(source, "text", text)
    return source


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
