"""Exports a project as a ZIP file, row by row."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import uuid
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, selectinload, sessionmaker

from combine_core.comments.model import Comment, CommentMention
from combine_core.deletion import Impossible, NotFound
from combine_core.deletion.service import obstacle_of
from combine_core.documents import (
    Document,
    DocumentVersion,
    VersionInput,
    located_statements,
    markdown_of,
    read_authors,
    read_version,
)
from combine_core.lines import LineVersion
from combine_core.portability.archive import (
    FORMAT,
    MANIFEST,
    MOST_MEMBERS,
    README,
    VERSION,
    rows_member,
)
from combine_core.portability.model import ImportedPerson, ImportedReview, ImportedRow
from combine_core.portability.rows import (
    LINES,
    PEOPLE,
    REVIEWS,
    TABLES,
    Table,
    encode,
    key_of,
)
from combine_core.projects import Project, slugify
from combine_core.reviews.model import Review
from combine_core.runs import Run
from combine_core.sources import ReadingState, Source, SourceRevision
from combine_core.users import User

_README = """# A project of Combine

`documents/` contains the newest version of each document, for reading. `rows/` contains all data: a file for
each table, with a JSON object for each row. `manifest.json` lists all files with their SHA-256.

To import it into another service, choose the ZIP file on the page of your projects there, or run
`combine project import FILE --owner ADDRESS`.
"""


def export_project(
    sessions: sessionmaker[Session], project_id: uuid.UUID, file: IO[bytes]
) -> dict[str, int]:
    """Write a snapshot of the project into ``file``, with only a few rows in memory at a time.

    :returns: the number of rows of each kind
    :raises NotFound: there is no such project
    :raises Impossible: a run has not ended, or a file is being read
    """
    with sessions() as session:
        # A snapshot, so that all rows are consistent.
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        project = session.get(Project, project_id)
        if project is None:
            raise NotFound
        _check_at_rest(session, project_id)
        return _Export(session, project, file).write()


def _check_at_rest(session: Session, project_id: uuid.UUID) -> None:
    obstacle = obstacle_of(session, Run.project_id == project_id)
    if obstacle is not None:
        raise Impossible(obstacle)
    unread = (
        select(func.count())
        .select_from(Source)
        .outerjoin(SourceRevision, SourceRevision.source_id == Source.id)
        .where(
            Source.project_id == project_id,
            or_(Source.state == ReadingState.READING, SourceRevision.state == ReadingState.READING),
        )
    )
    if session.scalar(unread):
        raise Impossible(
            "A file is still being read. Wait until it has been read, and export again."
        )


class _Export:
    def __init__(self, session: Session, project: Project, file: IO[bytes]) -> None:
        self._session = session
        self._project = project
        # Higher levels take twice the time for files that are a few percent smaller.
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=3)
        self._sha256: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        # The people that are named in a row.
        self._people: set[uuid.UUID] = set()
        self._lines: dict[uuid.UUID, dict[str, str]] = {}

    def write(self) -> dict[str, int]:
        with self._zip:
            self._write(README, [_README.encode()])
            self._write_rows(LINES, self._lines_of_project())
            for table in TABLES.values():
                self._write_rows(table.name, self._rows_of(table))
            self._write_rows(REVIEWS, self._reviews())
            self._write_rows(PEOPLE, self._named_people())
            self._write_documents()
            manifest = json.dumps(self._manifest(), ensure_ascii=False, indent=1)
            self._write(MANIFEST, [manifest.encode()])
        return {name: number for name, number in self._counts.items() if number}

    def _manifest(self) -> dict[str, Any]:
        project = self._project
        return {
            "format": FORMAT,
            "version": VERSION,
            "release": importlib.metadata.version("pyramid-combine"),
            "exported_at": encode(datetime.datetime.now(datetime.UTC)),
            "project": {
                "id": encode(project.id),
                "slug": project.slug,
                "name": project.name,
                "created_at": encode(project.created_at),
            },
            "counts": self._counts,
            "members": self._sha256,
        }

    def _write(self, name: str, pieces: Iterable[bytes]) -> None:
        digest = hashlib.sha256()
        with self._zip.open(name, "w", force_zip64=True) as member:
            for piece in pieces:
                digest.update(piece)
                member.write(piece)
        self._sha256[name] = digest.hexdigest()

    def _write_rows(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        self._counts[name] = 0

        def lines() -> Iterator[bytes]:
            for row in rows:
                self._counts[name] += 1
                yield json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

        self._write(rows_member(name), lines())

    def _lines_of_project(self) -> Iterator[dict[str, Any]]:
        runs = select(Run.line_version_id).where(Run.project_id == self._project.id)
        inputs = (
            select(VersionInput.ref_id)
            .join(DocumentVersion, DocumentVersion.id == VersionInput.version_id)
            .join(Document, Document.id == DocumentVersion.document_id)
            .where(VersionInput.kind == "line", Document.project_id == self._project.id)
        )
        used = select(LineVersion.id, LineVersion.name, LineVersion.sha256, LineVersion.definition)
        for row in self._session.execute(
            used.where(or_(LineVersion.id.in_(runs), LineVersion.id.in_(inputs))).order_by(
                LineVersion.name, LineVersion.sha256
            )
        ):
            self._lines[row.id] = {"name": row.name, "sha256": row.sha256}
            yield {"name": row.name, "sha256": row.sha256, "definition": row.definition}

    def _rows_of(self, table: Table) -> Iterator[dict[str, Any]]:
        result = self._session.execute(
            table.of_project(self._project.id),
            execution_options={"stream_results": True, "max_row_buffer": table.batch_size},
        )
        for partition in result.mappings().partitions(table.batch_size):
            rows = [dict(row) for row in partition]
            keys = [row["id"] for row in rows]
            originals = self._original_values([key_of(table, row) for row in rows])
            inner = {each.name: self._inner_rows(each, keys) for each in table.inner}
            mentioned = self._mentioned(keys) if table.name == Comment.__tablename__ else {}
            for row in rows:
                encoded = self._encode_row(table, row, originals)
                if table.name == Comment.__tablename__:
                    encoded.setdefault("mentioned", mentioned.get(row["id"], []))
                    self._people |= {uuid.UUID(one) for one in encoded["mentioned"]}
                yield encoded | {name: found.get(row["id"], []) for name, found in inner.items()}

    def _mentioned(self, comments: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[str]]:
        """Return the people that the comments mention, without the private fact whether they have read it."""
        found: dict[uuid.UUID, list[str]] = {}
        mentions = select(CommentMention.comment_id, CommentMention.user_id).where(
            CommentMention.comment_id.in_(comments)
        )
        for row in self._session.execute(mentions.order_by(CommentMention.user_id)):
            found.setdefault(row.comment_id, []).append(str(row.user_id))
        return found

    def _inner_rows(
        self, table: Table, parents: Sequence[uuid.UUID]
    ) -> dict[uuid.UUID, list[dict[str, Any]]]:
        assert table.parent is not None
        parent = table.table.c[table.parent]
        found_rows = self._session.execute(
            select(*table.table.columns)
            .where(parent.in_(parents))
            .order_by(*table.table.primary_key.columns)
        )
        rows = [dict(row) for row in found_rows.mappings()]
        originals = self._original_values([key_of(table, row) for row in rows])
        found: dict[uuid.UUID, list[dict[str, Any]]] = {}
        for row in rows:
            encoded = self._encode_row(table, row, originals)
            found.setdefault(row[table.parent], []).append(encoded)
        return found

    def _original_values(self, keys: Sequence[uuid.UUID]) -> dict[uuid.UUID, dict[str, Any]]:
        """Return the values that imported rows had in their first service, by the keys of the rows."""
        imported = select(ImportedRow.row_id, ImportedRow.given).where(ImportedRow.row_id.in_(keys))
        return {row.row_id: row.given for row in self._session.execute(imported)}

    def _encode_row(
        self, table: Table, row: Mapping[str, Any], originals: Mapping[uuid.UUID, dict[str, Any]]
    ) -> dict[str, Any]:
        encoded = {column.name: encode(row[column.name]) for column in table.columns}
        encoded |= originals.get(key_of(table, row), {})
        for name in ("line_version_id", "ref_id", "input_id"):
            # A line has another id in each database.
            if name in encoded and row[name] in self._lines:
                encoded[name] = self._lines[row[name]]
        self._people |= {uuid.UUID(encoded[name]) for name in table.people if encoded[name]}
        if table.name == DocumentVersion.__tablename__:
            self._people |= {
                uuid.UUID(statement["author_id"])
                for _, statement in located_statements(row["content"])
                if "author_id" in statement
            }
        return encoded

    def _reviews(self) -> Iterator[dict[str, Any]]:
        own = self._session.scalars(
            select(Review)
            .options(selectinload(Review.people), selectinload(Review.decisions))
            .where(Review.project_id == self._project.id)
            .order_by(Review.id)
        )
        for review in own:
            yield self._note_people(_encode_review(review))
        imported = self._session.scalars(
            select(ImportedReview)
            .where(ImportedReview.project_id == self._project.id)
            .order_by(ImportedReview.id)
        )
        for one in imported:
            columns = ("id", "created_at", "document_id", "version_id")
            yield self._note_people(
                {name: encode(getattr(one, name)) for name in columns} | one.review
            )

    def _note_people(self, review: dict[str, Any]) -> dict[str, Any]:
        named = [review["asked_by"], review["written_by"], *review["people"]]
        named += [decision["user_id"] for decision in review["decisions"]]
        self._people |= {uuid.UUID(one) for one in named if one}
        return review

    def _named_people(self) -> Iterator[dict[str, Any]]:
        """Yield the people that the rows name, except those that were deleted or erased here."""
        imported = select(ImportedPerson.id, ImportedPerson.name, ImportedPerson.email).where(
            ImportedPerson.project_id == self._project.id
        )
        users = select(User.id, User.name, User.email).where(User.id.in_(self._people))
        found = {row.id: (row.name, row.email) for row in self._session.execute(users)}
        found |= {row.id: (row.name, row.email) for row in self._session.execute(imported)}
        for person_id, (name, email) in sorted(found.items()):
            if person_id in self._people:
                yield {"id": str(person_id), "name": name, "email": email}

    def _write_documents(self) -> None:
        ids = self._session.scalars(
            select(Document.id)
            .where(Document.project_id == self._project.id)
            .order_by(Document.id)
            .limit(MOST_MEMBERS - 100)
        )
        for number, document_id in enumerate(ids, 1):
            version = read_version(self._session, document_id)
            assert version is not None
            text = markdown_of(
                version, read_authors(self._session, self._project.id, version.content)
            )
            name = f"documents/{number:04}-{slugify(version.document.title)}.md"
            self._write(name, [text.encode()])
            self._session.expunge_all()


def _encode_review(review: Review) -> dict[str, Any]:
    """Encode a review with its state, which depends on the time and on the versions in this database."""
    columns = {
        column.name: encode(getattr(review, column.name))
        for column in Review.__table__.columns
        if column.name != "project_id"
    }
    decisions = [
        {
            name: encode(getattr(decision, name))
            for name in ("id", "created_at", "user_id", "decision", "comment")
        }
        for decision in review.decisions
    ]
    people = sorted(str(person.id) for person in review.people)
    return columns | {"state": review.state, "people": people, "decisions": decisions}
