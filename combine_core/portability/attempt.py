"""Validates the rows of an archive and stores them, with the same ids or with new ones."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnDefault, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.orm import Session

from combine_core.documents import (
    Document,
    DocumentVersion,
    InvalidContent,
    VersionInput,
    VersionOrigin,
    located_statements,
)
from combine_core.documents.edits import check_judged
from combine_core.documents.service import hash_of, key_of_sources
from combine_core.evidence import count_verdicts
from combine_core.lines import InvalidLine, Line, store_version
from combine_core.lines.definition import line_from_definition
from combine_core.portability.archive import Archive, InvalidArchive, rows_member
from combine_core.portability.checks import CHECKS
from combine_core.portability.model import ImportedPerson, ImportedReview, ImportedRow
from combine_core.portability.rows import (
    LINES,
    PEOPLE,
    REVIEWS,
    TABLES,
    Batch,
    Table,
    columns_of,
    decode,
    key_of,
)
from combine_core.projects import SLUG_PATTERN, Project, slugify
from combine_core.register.model import Item
from combine_core.reviews.model import Decision, Review, ReviewDecision, ReviewState
from combine_core.sources import Source
from combine_core.text import InvalidText, clean_name
from combine_core.users import Membership, Role, User

_BATCH_SIZE = 100
_OWN_WORDS = re.compile(r"(?<=\*\*\(own words of )[0-9a-f-]{36}(?=\)\*\*)")


class SlugTaken(ValueError):
    """The error for an import with a slug that another project has."""


class IdTaken(Exception):
    """The error for an import with an id that another object in this database has."""


@dataclass(frozen=True)
class Imported:
    """The result of an import.

    :ivar counts: the number of rows of each kind
    :ivar same_ids: whether the objects have the same ids as in the archive
    """

    project: Project
    counts: Mapping[str, int]
    same_ids: bool


def _default(column: Column[Any]) -> Any:
    """Return the value of a column for the rows of older exports, which do not have it."""
    default = column.default
    return default.arg if isinstance(default, ColumnDefault) and default.is_scalar else None


class Attempt:
    """An attempt to import an archive.

    :param mask: is combined with each id by XOR; 0 keeps the ids
    """

    def __init__(
        self, session: Session, archive: Archive, owner_id: uuid.UUID, slug: str | None, mask: int
    ) -> None:
        self._session = session
        self._archive = archive
        self._owner_id = owner_id
        self._slug = slug
        self._mask = mask
        self._project_id = uuid.UUID(int=0)
        self._stored_ids: dict[str, set[uuid.UUID]] = {}
        self._lines: dict[tuple[str, str], tuple[uuid.UUID, Line]] = {}
        # Sources without a row in the archive, because they were deleted.
        self._deleted_sources: set[uuid.UUID] = set()
        self._people: set[uuid.UUID] = set()
        self._versions: dict[uuid.UUID, tuple[uuid.UUID, int, str]] = {}
        self._types: dict[uuid.UUID, str] = {}
        self._heads: dict[uuid.UUID, int] = {}
        self._same_as: dict[uuid.UUID, uuid.UUID] = {}
        self._counts: dict[str, int] = {}
        self._where = ""

    def run(self) -> Imported:
        """Store the rows.

        :raises InvalidArchive: a row is not valid
        :raises IdTaken, SlugTaken: an id or the slug exists already
        """
        project = self._make_project()
        for row in self._rows(LINES):
            self._add_line(row)
        self._store(ImportedPerson, (self._person(row) for row in self._rows(PEOPLE)))
        for table in TABLES.values():
            self._read_table(table)
        self._store(ImportedReview, (self._review(row) for row in self._rows(REVIEWS)))
        self._check_heads()
        self._link_duplicate_items()
        self._check_ids()
        if self._mask:
            self._update_document_keys()
        self._session.flush()
        self._session.refresh(project)
        counts = {name: number for name, number in self._counts.items() if number}
        return Imported(project, counts, same_ids=not self._mask)

    def _rows(self, name: str) -> Iterator[dict[str, Any]]:
        self._counts[name] = 0
        for row in self._archive.rows(name):
            self._counts[name] += 1
            self._where = f"{rows_member(name)}, line {self._counts[name]},"
            yield row

    def _error(self, problem: str) -> InvalidArchive:
        return InvalidArchive(f"{self._where} {problem}. Export the project again.")

    def _new_id(self, old: uuid.UUID) -> uuid.UUID:
        return uuid.UUID(int=old.int ^ self._mask)

    def _id(self, text: Any) -> uuid.UUID:
        try:
            return self._new_id(uuid.UUID(text))
        except (ValueError, TypeError, AttributeError) as error:
            raise self._error("has no usable id") from error

    def _make_project(self) -> Project:
        self._where = "manifest.json"
        given = self._archive.manifest.get("project")
        if not isinstance(given, dict):
            raise self._error("names no project")
        columns = columns_of(Project)
        created_at = decode(columns["created_at"], given.get("created_at"), self._where)
        try:
            name = clean_name(decode(columns["name"], given.get("name"), self._where))
        except InvalidText as error:
            raise self._error("has no usable name of the project") from error
        slug = self._slug or decode(columns["slug"], given.get("slug"), self._where)
        if not re.fullmatch(SLUG_PATTERN, slug) or len(slug) > 80:
            slug = slugify(name)
        self._project_id = self._id(given.get("id"))
        if self._session.get(Project, self._project_id) is not None:
            raise IdTaken
        values = {"id": self._project_id, "name": name, "created_at": created_at}
        while not self._session.scalar(
            insert_or(Project)
            .values(slug=slug, **values)
            .on_conflict_do_nothing(index_elements=[Project.slug])
            .returning(Project.id)
        ):
            if self._slug is not None:
                raise SlugTaken(f"Another project has the slug {slug}. Choose another one.")
            slug = f"{slug[:60]}-{secrets.token_hex(3)}"
        self._session.add(
            Membership(project_id=self._project_id, user_id=self._owner_id, role=Role.OWNER)
        )
        self._session.flush()
        return self._session.get_one(Project, self._project_id)

    def _add_line(self, row: dict[str, Any]) -> None:
        try:
            line = line_from_definition(row.get("definition"))
        except InvalidLine as error:
            raise InvalidArchive(
                f"{self._where} has a line that this release cannot read. Import it with a newer release."
            ) from error
        if (line.name, line.sha256) != (row.get("name"), row.get("sha256")):
            raise self._error("has a line with another hash")
        self._lines[line.name, line.sha256] = store_version(self._session, line), line

    def _person(self, row: dict[str, Any]) -> dict[str, Any]:
        columns = columns_of(ImportedPerson)
        person_id = self._id(row.get("id"))
        self._people.add(person_id)
        texts = {
            name: decode(columns[name], row.get(name), self._where) for name in ("name", "email")
        }
        if any(len(text) > 1000 for text in texts.values()):
            raise self._error("has a name or an address that is too long")
        return {"project_id": self._project_id, "id": person_id, **texts}

    def _read_table(self, table: Table) -> None:
        self._stored_ids[table.name] = set()
        check = CHECKS.get(table.name, lambda _row: None)
        batch = Batch(self._session)
        for given in self._rows(table.name):
            inner = {each.name: given.pop(each.name, None) for each in table.inner}
            mentioned = given.pop("mentioned", []) if table.name == "comments" else []
            row, original = self._decoded(table, given)
            if not isinstance(mentioned, list):
                raise self._error("has no usable mentions")
            if mentioned:
                # Stored apart, so that they do not get into an inbox.
                original["mentioned"] = [str(self._person_id(one)) for one in mentioned]
            children = [
                (each, *self._decoded(each, one, parent=row["id"]))
                for each in table.inner
                for one in self._list(inner[each.name])
            ]
            if table.name == "document_versions":
                original |= self._import_version(row, [child for _, child, _ in children])
            elif table.name == "documents":
                self._types[row["id"]], self._heads[row["id"]] = row["type"], 0
            elif table.name == "register_items" and row["same_as_id"] is not None:
                # The row of the other item may come later.
                self._same_as[row["id"]], row["same_as_id"] = row["same_as_id"], None
            elif table.name == "calls":
                self._replace_source_ids(row)
            self._check(check, row)
            self._stored_ids[table.name].add(row["id"])
            batch.add(table.model, row)
            self._add_imported_row(batch, table, row, original)
            for each, child, child_original in children:
                self._check(CHECKS.get(each.name, lambda _row: None), child)
                batch.add(each.model, child)
                self._add_imported_row(batch, each, child, child_original)
            batch.flush(at_least=table.batch_size)
        batch.flush()

    def _check(self, check: Callable[[dict[str, Any]], None], row: dict[str, Any]) -> None:
        try:
            check(row)
        except ValueError as error:
            raise self._error(str(error)) from error

    def _replace_source_ids(self, call: dict[str, Any]) -> None:
        self._check(CHECKS["calls"], call)
        for source in (call["request"] or {}).get("sources", ()):
            if "id" in source:
                source["id"] = str(self._id(source["id"]))

    def _list(self, value: Any) -> list[dict[str, Any]]:
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise self._error("is not complete")
        return value

    def _add_imported_row(
        self, batch: Batch, table: Table, row: Mapping[str, Any], original: dict[str, Any]
    ) -> None:
        if any(original.values()):
            values = {
                "row_id": key_of(table, row),
                "project_id": self._project_id,
                "given": original,
            }
            batch.add(ImportedRow, values)

    def _decoded(
        self, table: Table, given: dict[str, Any], parent: uuid.UUID | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Decode a row, and return its values for the table and its values for an :class:`ImportedRow`."""
        columns = {column.name: column for column in table.columns}
        if unknown := sorted(given.keys() - columns.keys()):
            raise InvalidArchive(
                f"{self._where} has {unknown[0][:40]!r}, which this release does not know. Import it with a"
                " newer release."
            )
        row: dict[str, Any] = {}
        if "project_id" in table.table.c:
            row["project_id"] = self._project_id
        if table.parent is not None:
            row[table.parent] = parent
        original: dict[str, Any] = {}
        for name, column in columns.items():
            value = given.get(name)
            if name in table.people:
                row[name] = None
                original[name] = None if value is None else str(self._person_id(value))
            elif isinstance(value, dict) and name in ("line_version_id", "ref_id", "input_id"):
                row[name] = self._find_line(value)[0]
            elif name == "line_version_id":
                raise self._error("names no line")
            elif name not in given and (default := _default(column)) is not None:
                row[name] = default
            else:
                row[name] = decode(column, value, self._where)
                if isinstance(row[name], uuid.UUID):
                    row[name] = self._new_id(row[name])
                elif name == "sources":
                    row[name] = [self._new_id(one) for one in row[name]]
                    self._deleted_sources |= set(row[name]) - self._stored_ids["sources"]
        for name, target in table.references.items():
            if row[name] is not None and row[name] not in self._stored_ids[target]:
                raise self._error(f"names {name}, which is not in the file")
        return row, original

    def _person_id(self, value: Any) -> uuid.UUID:
        person_id = self._id(value)
        self._people.add(person_id)
        return person_id

    def _find_line(self, value: Mapping[str, Any]) -> tuple[uuid.UUID, Line]:
        line = self._lines.get((str(value.get("name")), str(value.get("sha256"))))
        if line is None:
            raise self._error("names a line that is not in the file")
        return line

    def _import_version(self, row: dict[str, Any], inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Validate a version, mark it as imported, and return its values for an :class:`ImportedRow`."""
        lines = [one for one in inputs if one["kind"] == "line"]
        if len(lines) != 1 or not isinstance(row["content"], dict):
            raise self._error("was made by no line")
        line_id, line = self._find_line(lines[0])
        if lines[0]["ref_id"] != line_id:
            raise self._error("was made by no line")
        sources = {one["ref_id"] for one in inputs if one["kind"] == "source"}
        self._deleted_sources |= sources - self._stored_ids["sources"]
        if hash_of(row["content"]) != row["sha256"]:
            raise self._error("has a content with another hash")
        self._check_content(row, line)
        for _, statement in located_statements(row["content"]):
            for entry in statement["evidence"]:
                source_id = self._id(entry["source_id"])
                if source_id not in sources:
                    raise self._error("quotes a source that it was not made from")
                entry["source_id"] = str(source_id)
            if "author_id" in statement:
                statement["author_id"] = str(self._person_id(statement["author_id"]))
        if self._mask:
            row["sha256"] = hash_of(row["content"])
            row["markdown"] = _OWN_WORDS.sub(
                lambda match: str(self._new_id(uuid.UUID(match[0]))), row["markdown"]
            )
        document_id, number = row["document_id"], row["number"]
        self._heads[document_id] = max(self._heads[document_id], number)
        self._versions[row["id"]] = document_id, number, row["sha256"]
        origin = row["origin"]
        if origin not in list(VersionOrigin):
            raise self._error("has no usable origin")
        row["origin"] = VersionOrigin.IMPORT
        return {"origin": origin}

    def _check_content(self, row: dict[str, Any], line: Line) -> None:
        content = row["content"]
        step = next(
            (one for one in line.steps if one.document == self._types[row["document_id"]]), None
        )
        if step is None:
            raise self._error("has a document that its line does not write")
        try:
            check_judged(content, step)
        except InvalidContent as error:
            raise self._error(f"has a content that does not fit its line: {error}"[:300]) from error
        if row["support"] is None:
            return
        is_judged = all("verdict" in statement for _, statement in located_statements(content))
        if not is_judged or row["support"] != count_verdicts(content).as_json():
            raise self._error("counts other verdicts than its content has")

    def _review(self, row: dict[str, Any]) -> dict[str, Any]:
        """Validate a review with its decisions, in which people are only names."""
        columns = columns_of(Review)
        names = {"id", "created_at", "document_id", "version_id"}
        values: dict[str, Any] = {"project_id": self._project_id}
        for name in names:
            values[name] = decode(columns[name], row.get(name), self._where)
            if isinstance(values[name], uuid.UUID):
                values[name] = self._new_id(values[name])
        version = self._versions.get(values["version_id"])
        if version is None or version[:2] != (values["document_id"], row.get("number")):
            raise self._error("is about a version that is not in the file")
        review = {name: value for name, value in row.items() if name not in names}
        known = columns.keys() - {"project_id"} | {
            "state",
            "people",
            "decisions",
        }
        if row.keys() != known or row["state"] not in list(ReviewState):
            raise self._error("is not a usable review")
        for name in ("needed", "author_may_decide", "due_at", "on_expiry", "outcome", "role"):
            decode(columns[name], row[name], self._where)
        review["sha256"] = version[2]
        for name in ("asked_by", "written_by"):
            review[name] = None if row[name] is None else str(self._person_id(row[name]))
        if not isinstance(row["people"], list):
            raise self._error("is not a usable review")
        review["people"] = sorted(str(self._person_id(person)) for person in row["people"])
        review["decisions"] = [self._decision(one) for one in self._list(row["decisions"])]
        return values | {"review": review}

    def _decision(self, given: dict[str, Any]) -> dict[str, Any]:
        columns = columns_of(ReviewDecision)
        names = ("id", "created_at", "user_id", "decision", "comment")
        if given.keys() != set(names) or given["decision"] not in list(Decision):
            raise self._error("has no usable decision")
        for name in names:
            decode(columns[name], given[name], self._where)
        user_id = None if given["user_id"] is None else str(self._person_id(given["user_id"]))
        return given | {"id": str(self._id(given["id"])), "user_id": user_id}

    def _store(self, model: Any, rows: Iterator[dict[str, Any]]) -> None:
        batch = Batch(self._session)
        for row in rows:
            batch.add(model, row)
            batch.flush(at_least=_BATCH_SIZE)
        batch.flush()

    def _check_heads(self) -> None:
        documents = select(Document.id, Document.head, Document.last_number).where(
            Document.project_id == self._project_id
        )
        for document_id, head, last in self._session.execute(documents):
            if not 0 < head == self._heads[document_id] <= last:
                raise InvalidArchive(
                    "The versions of a document do not match its row. Export the project again."
                )

    def _link_duplicate_items(self) -> None:
        for item_id, same_as_id in self._same_as.items():
            if same_as_id not in self._stored_ids["register_items"]:
                raise InvalidArchive(
                    "An item of the register names one that is not in the file. Export the project again."
                )
            self._session.execute(
                update(Item).where(Item.id == item_id).values(same_as_id=same_as_id)
            )

    def _check_ids(self) -> None:
        """Check that no id belongs to an object in this database outside of the project."""
        taken = [
            select(Source.id).where(Source.id.in_(self._deleted_sources)),
            select(User.id).where(User.id.in_(self._people)),
        ]
        for ids in taken:
            if self._session.scalar(ids.limit(1)) is not None:
                raise IdTaken

    def _update_document_keys(self) -> None:
        """Recalculate the keys of documents, which depend on the ids of their sources."""
        rows = self._session.execute(
            select(Document.id, Document.key, DocumentVersion.id, VersionInput.ref_id)
            .join(DocumentVersion, DocumentVersion.document_id == Document.id)
            .join(VersionInput, VersionInput.version_id == DocumentVersion.id)
            .where(Document.project_id == self._project_id, VersionInput.kind == "source")
            .order_by(DocumentVersion.id)
        )
        keys: dict[uuid.UUID, str] = {}
        sources: dict[tuple[uuid.UUID, uuid.UUID], list[uuid.UUID]] = {}
        for document_id, key, version_id, source_id in rows:
            keys[document_id] = key
            sources.setdefault((document_id, version_id), []).append(source_id)
        for (document_id, _), ids in sources.items():
            if key_of_sources(self._new_id(one) for one in ids) == keys[document_id]:
                self._session.execute(
                    update(Document)
                    .where(Document.id == document_id)
                    .values(key=key_of_sources(ids))
                )
