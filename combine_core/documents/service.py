"""Writes versions of documents, and lists and reads documents."""

from __future__ import annotations

import datetime
import functools
import hashlib
import json
import re
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    bindparam,
    delete,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import (
    Session,
    contains_eager,
    joinedload,
    selectinload,
    undefer,
)

from combine_core.database import (
    NEWEST_FIRST,
    ListQuery,
    Page,
    any_key,
    as_text,
    fetch,
    new_id,
    paginate,
)
from combine_core.documents.model import Document, DocumentVersion, VersionInput, VersionOrigin
from combine_core.documents.render import plain, render_markdown
from combine_core.documents.staleness import Lines, is_stale, newest_lines
from combine_core.documents.statements import deleted_in_words, own_in_words, support_in_words
from combine_core.evidence import count_verdicts, statements_of
from combine_core.lines import Line, WriteStep
from combine_core.sources import PinnedSource
from combine_core.text import clean_name


@dataclass(frozen=True)
class Origin:
    """The run, line, step and model that a version comes from."""

    run_id: uuid.UUID
    line: Line
    line_version_id: uuid.UUID
    step: WriteStep
    model: str
    used_llm: bool


def write_version(
    session: Session,
    project_id: uuid.UUID,
    answer: dict[str, Any],
    sources: dict[str, PinnedSource],
    origin: Origin,
) -> DocumentVersion:
    """Store ``answer`` as the newest version of the document of these sources. Create the document if needed.

    :param answer: a judged answer that fits the step's schema
    :param sources: the sources by label
    """
    assert origin.step.document is not None
    content: dict[str, Any] = json.loads(json.dumps(answer))
    for statement in statements_of(content):
        for evidence in statement["evidence"]:
            # A label identifies a source only within a run.
            evidence["source_id"] = str(sources[evidence.pop("source")].id)
    document = _lock_document(
        session, project_id, origin.step.document, list(sources.values()), origin.line.title
    )
    line = VersionInput(
        position=0,
        kind="line",
        ref_id=origin.line_version_id,
        name=origin.line.name,
        sha256=origin.line.sha256,
    )
    inputs = [
        VersionInput(
            position=position,
            kind="source",
            ref_id=source.id,
            name=source.name,
            sha256=source.sha256,
            revision=source.revision,
        )
        for position, source in enumerate(sources.values(), 1)
    ]
    version = DocumentVersion(
        document=document,
        run_id=origin.run_id,
        model=origin.model,
        used_llm=origin.used_llm,
        inputs=[line, *inputs],
    )
    fill_version(version, content, origin.step)
    add_version(session, version)
    return version


def fill_version(version: DocumentVersion, content: dict[str, Any], step: WriteStep) -> None:
    """Set the content of a new version and the columns that are computed from it.

    :param version: a version with document, inputs and model
    :param content: judged content
    :param step: the step of the line that writes this document
    """
    assert step.template is not None
    support = count_verdicts(content)
    version.content = content
    version.sha256 = hash_of(content)
    version.support = support.as_json()
    version.flagged = support.unsupported
    version.markdown = render_markdown(
        step.template,
        title=version.document.title,
        content=content,
        source_names={
            str(entry.ref_id): entry.name for entry in version.inputs if entry.kind == "source"
        },
        colophon=_colophon(version),
        used_llm=version.used_llm,
    )


def hash_of(content: dict[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def add_version(session: Session, version: DocumentVersion) -> None:
    """Store a version as the newest one of its document, which the caller has locked."""
    document = version.document
    document.head = document.last_number = max(document.head, document.last_number) + 1
    # A new version makes an archived document active again.
    document.archived_at = None
    version.number = document.head
    session.add(version)
    session.flush()


def key_of_sources(source_ids: Iterable[uuid.UUID]) -> str:
    """Return a hash that identifies the document of these sources."""
    ids = "\n".join(sorted(map(str, source_ids)))
    return hashlib.sha256(ids.encode()).hexdigest()


def _lock_document(
    session: Session,
    project_id: uuid.UUID,
    document_type: str,
    sources: Sequence[PinnedSource],
    line_title: str,
) -> Document:
    key = key_of_sources(source.id for source in sources)
    more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
    # The update changes nothing, but locks the row. Two runs that end at the same time get consecutive
    # numbers, and a document that another transaction deletes is inserted again.
    return session.scalars(
        insert(Document)
        .values(
            id=new_id(),
            project_id=project_id,
            type=document_type,
            key=key,
            title=f"{line_title}: {sources[0].name}{more}",
            head=0,
            last_number=0,
        )
        .on_conflict_do_update(
            index_elements=[Document.project_id, Document.type, Document.key],
            set_={"head": Document.head},
        )
        .returning(Document)
        .execution_options(populate_existing=True)
    ).one()


def _colophon(version: DocumentVersion) -> str:
    line = next(entry for entry in version.inputs if entry.kind == "line")
    origin = f"Made by the line {line.name} ({line.sha256[:12]}) with {version.model}"
    origin += (
        "."
        if version.used_llm
        else ": sentences were selected from the sources by rules. No language model was used."
    )
    return f"{origin} Edited by people." if version.origin == VersionOrigin.EDIT else origin


class ListedDocument(NamedTuple):
    """A document in a list: some columns of :class:`Document`.

    :ivar id: the id as text, which is ten times faster to read
    :ivar stale: whether the newest version is out of date
    """

    id: str
    type: str
    title: str
    head: int
    created_at: datetime.datetime
    archived_at: datetime.datetime | None
    stale: bool


def list_documents(
    session: Session,
    project_id: uuid.UUID,
    *,
    archived: bool = False,
    title: str | None = None,
    stale: bool | None = None,
    sort: str = NEWEST_FIRST,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[ListedDocument]:
    """List the documents of a project.

    :param archived: list only archived documents instead of only active ones
    :param title: list only documents with this title
    :param stale: list only documents that are out of date, or only up-to-date ones
    """
    filters = {} if title is None else {"title": title}
    documents = _documents(newest_lines(), archived=archived, stale=stale, titled=bool(filters))
    return documents.page(
        session, sort=sort, cursor=cursor, limit=limit, project_id=project_id, **filters
    )


@functools.cache
def _documents(
    lines: Lines, *, archived: bool, stale: bool | None, titled: bool
) -> ListQuery[ListedDocument]:
    out_of_date = is_stale(lines)
    columns = (Document.type, Document.title, Document.head, Document.created_at)
    statement = select(as_text(Document.id), *columns, Document.archived_at, out_of_date).where(
        Document.project_id == bindparam("project_id"),
        Document.archived_at.is_not(None) if archived else Document.archived_at.is_(None),
    )
    if stale is not None:
        statement = statement.where(out_of_date if stale else ~out_of_date)
    if titled:
        statement = statement.where(Document.title == bindparam("title"))
    return ListQuery(ListedDocument, statement, Document.id, Document.title)


def list_versions(
    session: Session,
    document_id: uuid.UUID,
    *,
    sort: str = NEWEST_FIRST,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[DocumentVersion]:
    """List the versions of a document, without their contents."""
    statement = (
        select(DocumentVersion)
        # Not a join: PostgreSQL would read all users to find the few authors.
        .options(selectinload(DocumentVersion.author))
        .where(DocumentVersion.document_id == document_id)
    )
    return paginate(session, statement, DocumentVersion.id, sort=sort, cursor=cursor, limit=limit)


def read_version(
    session: Session, document_id: uuid.UUID, number: int | None = None
) -> DocumentVersion | None:
    """Return a version with document, content, Markdown and inputs. Without ``number``, return the newest."""
    return session.scalars(
        select(DocumentVersion)
        .join(DocumentVersion.document)
        .options(
            contains_eager(DocumentVersion.document),
            undefer(DocumentVersion.content),
            undefer(DocumentVersion.markdown),
            selectinload(DocumentVersion.inputs),
            joinedload(DocumentVersion.author),
        )
        .where(
            DocumentVersion.document_id == document_id,
            DocumentVersion.number == (Document.head if number is None else number),
        )
    ).first()


_OWN_WORDS = re.compile(r"\*\*\(own words of ([0-9a-f-]{36})\)\*\*")


def markdown_of(version: DocumentVersion, authors: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the Markdown of a version, with notes about deleted sources and missing verdicts.

    :param authors: the names of the authors of statements without evidence, by id
    """
    notes = [plain(deleted_in_words(entry.name)) for entry in version.inputs if entry.deleted]
    if version.support is None:
        notes.insert(0, support_in_words(None, version.used_llm))
    title, _, rest = version.markdown.partition("\n\n")
    rest = _OWN_WORDS.sub(lambda found: f"**({plain(own_in_words(authors.get(found[1])))})**", rest)
    return "\n\n".join([title, *notes, rest])


class WrittenDocument(NamedTuple):
    """A document that a run wrote: its id as text, its title and the number of the version."""

    id: str
    version: int
    title: str


_WRITTEN = (
    select(
        as_text(DocumentVersion.run_id),
        as_text(DocumentVersion.document_id),
        DocumentVersion.number,
        Document.title,
    )
    .join(DocumentVersion.document)
    .where(DocumentVersion.run_id == any_key("run_ids"))
    .order_by(DocumentVersion.id)
)


def documents_of_runs(
    session: Session, run_ids: Sequence[str]
) -> Mapping[str, list[WrittenDocument]]:
    """Return the documents that each of these runs wrote, oldest first."""
    found: defaultdict[str, list[WrittenDocument]] = defaultdict(list)
    for row in fetch(session, _WRITTEN, run_ids=list(run_ids)):
        found[row[0]].append(WrittenDocument._make(row[1:]))
    return found


def versions_of_run(session: Session, run_id: uuid.UUID) -> Sequence[DocumentVersion]:
    """Return the versions that a run wrote, with their documents, oldest first."""
    return session.scalars(
        select(DocumentVersion)
        .join(DocumentVersion.document)
        .options(contains_eager(DocumentVersion.document))
        .where(DocumentVersion.run_id == run_id)
        .order_by(DocumentVersion.id)
    ).all()


def change_document(
    session: Session, document: Document, *, title: str | None = None, archived: bool | None = None
) -> None:
    """Change the title or the archived state of a document. Existing versions keep the old title.

    :raises InvalidText: if the title is invalid
    """
    if title is not None:
        document.title = clean_name(title, "title")
    if archived is not None:
        document.archived_at = (document.archived_at or func.now()) if archived else None
    session.flush()
    session.refresh(document)


def lock_document(session: Session, document_id: uuid.UUID) -> Document:
    """Return the document and lock it until the transaction ends.

    :raises NoResultFound: if it does not exist, or is deleted while this waits for the lock
    """
    return session.get_one(Document, document_id, with_for_update=True, populate_existing=True)


def delete_documents(session: Session, document_ids: Sequence[uuid.UUID]) -> None:
    """Delete documents with all their versions."""
    session.execute(
        delete(Document)
        .where(Document.id.in_(document_ids))
        .execution_options(synchronize_session=False)
    )


def delete_versions(session: Session, condition: ColumnElement[bool]) -> None:
    """Delete versions, and documents without remaining versions. The newest remaining version is the head.

    :param condition: a condition on :class:`DocumentVersion`
    """
    documents = select(Document.id).where(
        Document.id.in_(select(DocumentVersion.document_id).where(condition))
    )
    touched = session.scalars(documents.order_by(Document.id).with_for_update()).all()
    versions = DocumentVersion.document_id == Document.id
    newest = select(func.max(DocumentVersion.number)).where(versions).scalar_subquery()
    for statement in (
        delete(DocumentVersion).where(condition),
        delete(Document).where(Document.id.in_(touched), ~exists().where(versions)),
        update(Document).where(Document.id.in_(touched)).values(head=newest),
    ):
        session.execute(statement.execution_options(synchronize_session=False))
