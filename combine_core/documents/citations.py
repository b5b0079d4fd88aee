"""Finds the statements that quote a source."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, func, select
from sqlalchemy.orm import Session, contains_eager, undefer

from combine_core.documents.model import Document, DocumentVersion, VersionInput
from combine_core.documents.statements import located_statements, text_of
from combine_core.evidence import Verdict

# Limits the documents that are loaded for a source that many documents use.
MAX_CITING_DOCUMENTS = 20


@dataclass(frozen=True)
class Citation:
    """A statement with one of its quotes from a source."""

    version: DocumentVersion
    pointer: str
    statement: dict[str, Any]
    line_from: int
    line_to: int
    quote: str

    @property
    def text(self) -> str:
        return text_of(self.statement)

    @property
    def verdict(self) -> str | None:
        """Return the verdict, or ``None`` in a version older than verdicts."""
        return self.statement.get("verdict")

    @property
    def supports(self) -> bool:
        """Check whether the quote supports the statement. An unsupported statement only cites it."""
        return self.verdict != Verdict.UNSUPPORTED


@dataclass(frozen=True)
class Citations:
    """The citations of a source, in the order of its lines."""

    items: list[Citation]
    # False if older documents that use the source were not searched.
    complete: bool


def list_citations(
    session: Session, project_id: uuid.UUID, source_id: uuid.UUID, revision: int
) -> Citations:
    """Return the citations of a revision of a source in the newest versions of the project's documents.

    Only the most recently written documents that use the source are searched.
    """
    versions = session.scalars(
        _versions_in(project_id)
        .join(
            VersionInput,
            and_(
                VersionInput.version_id == DocumentVersion.id,
                VersionInput.kind == "source",
                VersionInput.ref_id == source_id,
                func.coalesce(VersionInput.revision, 1) == revision,
            ),
        )
        .where(DocumentVersion.number == Document.head)
        .order_by(DocumentVersion.id.desc())
        .limit(MAX_CITING_DOCUMENTS + 1)
    ).all()
    found = [
        citation
        for version in versions[:MAX_CITING_DOCUMENTS]
        for citation in _citations_of(version, source_id)
    ]
    found.sort(key=lambda each: (each.line_from, each.line_to))
    return Citations(found, complete=len(versions) <= MAX_CITING_DOCUMENTS)


def read_citations(
    session: Session,
    project_id: uuid.UUID,
    source_id: uuid.UUID,
    version_id: uuid.UUID,
    pointer: str,
) -> list[Citation]:
    """Return the citations of a source in one statement of any version."""
    version = session.scalars(
        _versions_in(project_id).where(DocumentVersion.id == version_id)
    ).first()
    if version is None:
        return []
    return [each for each in _citations_of(version, source_id) if each.pointer == pointer]


def _versions_in(project_id: uuid.UUID) -> Select[DocumentVersion]:
    return (
        select(DocumentVersion)
        .join(DocumentVersion.document)
        .options(contains_eager(DocumentVersion.document), undefer(DocumentVersion.content))
        .where(Document.project_id == project_id)
    )


def _citations_of(version: DocumentVersion, source_id: uuid.UUID) -> Iterator[Citation]:
    for pointer, statement in located_statements(version.content):
        for entry in statement["evidence"]:
            if entry["source_id"] == str(source_id):
                yield Citation(
                    version,
                    pointer,
                    statement,
                    entry["line_from"],
                    entry["line_to"],
                    entry["quote"],
                )
