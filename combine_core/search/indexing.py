"""Indexes texts for the search: a worker splits each new text into entries.

Uploads do not wait for the index, and texts of earlier releases are indexed too.
"""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Text, bindparam, cast, delete, exists, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import REGCONFIG
from sqlalchemy.orm import Session, sessionmaker

from combine_core.database import new_id
from combine_core.documents.model import Document, DocumentVersion
from combine_core.documents.statements import located_statements, text_of
from combine_core.language import language_of
from combine_core.projects import Project
from combine_core.search.model import SearchEntry
from combine_core.sources.model import Source

# A passage ends at the line that reaches either limit. A hit shows the whole passage.
PASSAGE_LINES = 5
PASSAGE_CHARACTERS = 400
# A tsvector is limited to one megabyte, so longer lines are split.
MAX_CHARACTERS = 2000
MAX_TEXTS = 20
# A worker that indexes for a long time seems to hang, so a batch ends after this many characters.
BATCH_CHARACTERS = 500_000
_BATCH_ROWS = 100


def index_missing(sessions: sessionmaker[Session]) -> int:
    """Index up to ``MAX_TEXTS`` sources and as many documents, each in its own transaction.

    :returns: the number of indexed texts
    """
    done = 0
    for index_one in (_index_source, _index_document):
        size = 0
        for _ in range(MAX_TEXTS):
            with sessions.begin() as session:
                indexed = index_one(session)
            if indexed is None:
                break
            done += 1
            size += indexed
            if size >= BATCH_CHARACTERS:
                break
    return done


def is_indexing(session: Session, project_id: uuid.UUID) -> bool:
    """Check whether a text of this project is not indexed yet."""
    return bool(
        session.scalar(
            select(
                or_(
                    exists().where(
                        Source.project_id == project_id, Source.indexed_revision != Source.revision
                    ),
                    exists().where(
                        Document.project_id == project_id, Document.indexed_version != Document.head
                    ),
                )
            )
        )
    )


def _index_source(session: Session) -> int | None:
    # Lock the project too, as its deletion does. Rows that are locked elsewhere are indexed later.
    source = session.execute(
        select(Source.id, Source.project_id, Source.revision, Source.text)
        .join(Project)
        .where(Source.indexed_revision != Source.revision)
        .limit(1)
        .with_for_update(key_share=True, skip_locked=True, of=[Source, Project])
    ).first()
    if source is None:
        return None
    session.execute(delete(SearchEntry).where(SearchEntry.source_id == source.id))
    configuration = _configuration_of(source.text)
    _store(
        session,
        (
            {
                "project_id": source.project_id,
                "source_id": source.id,
                "revision": source.revision,
                "line_from": line,
                "configuration": configuration,
                "text": text,
            }
            for line, text in passages(source.text)
        ),
    )
    session.execute(
        update(Source).where(Source.id == source.id).values(indexed_revision=source.revision)
    )
    return len(source.text)


def _index_document(session: Session) -> int | None:
    document = session.execute(
        select(Document.id, Document.project_id, Document.head)
        .join(Project)
        .where(Document.indexed_version != Document.head)
        .limit(1)
        .with_for_update(key_share=True, skip_locked=True, of=[Document, Project])
    ).first()
    if document is None:
        return None
    versions = select(DocumentVersion.id).where(DocumentVersion.document_id == document.id)
    session.execute(delete(SearchEntry).where(SearchEntry.version_id.in_(versions)))
    version = session.execute(
        select(DocumentVersion.id, DocumentVersion.content).where(
            DocumentVersion.document_id == document.id, DocumentVersion.number == document.head
        )
    ).first()
    size = 0
    if version is not None:
        found = [
            (pointer, text_of(statement))
            for pointer, statement in located_statements(version.content)
        ]
        size = sum(len(text) for _, text in found)
        configuration = _configuration_of("\n".join(text for _, text in found))
        _store(
            session,
            (
                {
                    "project_id": document.project_id,
                    "version_id": version.id,
                    "pointer": pointer,
                    "configuration": configuration,
                    "text": text[:MAX_CHARACTERS],
                }
                for pointer, text in found
            ),
        )
    session.execute(
        update(Document).where(Document.id == document.id).values(indexed_version=document.head)
    )
    return size


def passages(text: str) -> Iterator[tuple[int, str]]:
    """Split a text into passages of a few lines. Yield each with the number of its first line."""
    lines: list[str] = []
    size = first = 0
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_CHARACTERS:
            if any(map(str.strip, lines)):
                yield first, "\n".join(lines)
            lines, size = [], 0
            for start in range(0, len(line), MAX_CHARACTERS):
                yield number, line[start : start + MAX_CHARACTERS]
            continue
        if not lines:
            first = number
        lines.append(line)
        size += len(line)
        if len(lines) == PASSAGE_LINES or size >= PASSAGE_CHARACTERS:
            if any(map(str.strip, lines)):
                yield first, "\n".join(lines)
            lines, size = [], 0
    if any(map(str.strip, lines)):
        yield first, "\n".join(lines)


def _configuration_of(text: str) -> str:
    return language_of(text).stemmer or "simple"


def _store(session: Session, rows: Iterable[dict[str, Any]]) -> None:
    text = cast(bindparam("searched"), Text)
    statement = insert(SearchEntry).values(
        words=func.to_tsvector(cast("simple", REGCONFIG), text).concat(
            func.to_tsvector(cast(bindparam("stemmed_by"), REGCONFIG), text)
        )
    )
    batch: list[dict[str, Any]] = []
    for row in rows:
        row["id"] = new_id()
        # A letter with a diacritic can be written as one character or as two.
        row["text"] = unicodedata.normalize("NFC", row["text"])
        row |= {"searched": row["text"], "stemmed_by": row["configuration"]}
        batch.append(row)
        if len(batch) == _BATCH_ROWS:
            session.execute(statement, batch)
            batch = []
    if batch:
        session.execute(statement, batch)
