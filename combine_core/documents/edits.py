"""Edits documents and restores earlier versions. Each change adds a version."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import jsonschema_rs
from sqlalchemy import func, select, union_all
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import Session, join

from combine_core.documents.model import DocumentVersion, VersionInput, VersionOrigin
from combine_core.documents.service import (
    add_version,
    fill_version,
    hash_of,
    lock_document,
    read_version,
)
from combine_core.documents.staleness import MAX_NOTE_BYTES
from combine_core.documents.statements import METADATA, canonical_statement, located_statements
from combine_core.evidence import SourceText, Verdict, judge_answer
from combine_core.lines import WriteStep
from combine_core.lines import read_version as read_line_version
from combine_core.portability.model import IMPORTED, ImportedPerson
from combine_core.readers import blocks_from_json
from combine_core.sources import Source, sources_at, texts_at
from combine_core.text import clean_text, is_storable, shorten_middle
from combine_core.users import User, UserAction

_MAX_PROBLEMS = 20
_INPUT_SOURCES = join(Source, VersionInput, VersionInput.ref_id == Source.id)
_EVIDENCE_KEYS = ("source_id", "line_from", "line_to", "quote")


class NotNewest(ValueError):
    """Raised when the edited version is no longer the newest one."""

    def __init__(self, base: int, head: int) -> None:
        super().__init__(
            f"Version {base} is no longer the newest version. Nothing was changed."
            f" Review version {head} and edit that one."
        )


class InvalidContent(ValueError):
    """Content that does not fit its line.

    :ivar problems: JSON Pointers into the content, each with an error message
    """

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__(" ".join(f"{pointer or '/'}: {message}" for pointer, message in problems))
        self.problems = problems


def step_of(session: Session, version: DocumentVersion) -> WriteStep:
    """Return the step that writes this document, from the version of the line that wrote it."""
    line_id = next(entry.ref_id for entry in version.inputs if entry.kind == "line")
    line = read_line_version(session, line_id)
    return next(step for step in line.steps if step.document == version.document.type)


def edit_document(
    session: Session,
    document_id: uuid.UUID,
    content: dict[str, Any],
    *,
    base: int,
    author_id: uuid.UUID,
    note: str | None = None,
    before_texts: Callable[[int], None] = lambda _size: None,
) -> DocumentVersion | None:
    """Store ``content`` as the newest version of a document. Return ``None`` if the content did not change.

    Unchanged statements keep their verdict. Other statements are judged by their evidence. Without evidence,
    they are marked as their author's own words.

    :param content: the content in the form of a stored version. Its verdicts are ignored. Evidence without a
        quote quotes its whole lines.
    :param base: the number of the version that was edited
    :param before_texts: called with the total size of the texts of sources before they are read; may raise
    :raises NotNewest: if ``base`` is not the newest version
    :raises InvalidContent: if the content does not fit the schema of the line
    :raises InvalidText: if the note is too long or cannot be stored
    """
    newest = _lock_newest(session, document_id, base)
    step = step_of(session, newest)
    edited = _judge_edit(session, newest, content, step, author_id, before_texts)
    if hash_of(edited) == newest.sha256:
        return None
    version = _successor(newest, newest, VersionOrigin.EDIT, author_id, note)
    fill_version(version, edited, step)
    add_version(session, version)
    return version


def action_of(version: DocumentVersion) -> UserAction:
    """Return the action that is reported for an edited or restored version."""
    target = f"document:{version.document_id}"
    return UserAction(f"document-{version.origin}", target, {"version": version.number})


def is_newest_content(
    session: Session,
    document_id: uuid.UUID,
    content: dict[str, Any],
    *,
    base: int,
    author_id: uuid.UUID,
    before_texts: Callable[[int], None] = lambda _size: None,
) -> bool:
    """Check whether :func:`edit_document` would not change anything. Raise the same errors."""
    newest = _lock_newest(session, document_id, base)
    step = step_of(session, newest)
    edited = _judge_edit(session, newest, content, step, author_id, before_texts)
    return hash_of(edited) == newest.sha256


def _judge_edit(
    session: Session,
    newest: DocumentVersion,
    content: dict[str, Any],
    step: WriteStep,
    author_id: uuid.UUID,
    before_texts: Callable[[int], None],
) -> dict[str, Any]:
    """Return a copy of the content with a verdict on each statement."""
    edited = copy.deepcopy(content)
    if not is_storable(edited):
        raise InvalidContent(
            [("", "It contains a NUL character or an unpaired surrogate. Remove it.")]
        )
    new = list(_statements_to_judge(edited, newest.content))
    _check_shape(new)
    texts = _read_texts(session, newest, new, before_texts)
    _quote_lines(new, texts)
    _check_schema(edited, step)
    for statement in new:
        _judge(statement, texts, author_id)
    return edited


def restore_version(
    session: Session, document_id: uuid.UUID, number: int, *, author_id: uuid.UUID
) -> DocumentVersion | None:
    """Store the content of an earlier version as the newest one. Return ``None`` if it did not change.

    :raises NoResultFound: if the version does not exist
    """
    newest = _lock_newest(session, document_id)
    earlier = read_version(session, document_id, number)
    if earlier is None:
        raise NoResultFound
    if earlier.sha256 == newest.sha256:
        return None
    version = _successor(newest, earlier, VersionOrigin.RESTORE, author_id, None)
    for name in ("content", "markdown", "sha256", "flagged", "support"):
        setattr(version, name, getattr(earlier, name))
    add_version(session, version)
    return version


def _lock_newest(
    session: Session, document_id: uuid.UUID, base: int | None = None
) -> DocumentVersion:
    lock_document(session, document_id)
    newest = read_version(session, document_id)
    if newest is None:
        raise NoResultFound
    if base not in (None, newest.number):
        raise NotNewest(base or 0, newest.number)
    return newest


def _successor(
    newest: DocumentVersion,
    parent: DocumentVersion,
    origin: VersionOrigin,
    author_id: uuid.UUID,
    note: str | None,
) -> DocumentVersion:
    """Create a new version with the inputs of ``parent``."""
    inputs = [
        VersionInput(
            position=entry.position,
            kind=entry.kind,
            ref_id=entry.ref_id,
            name=entry.name,
            sha256=entry.sha256,
            revision=entry.revision,
        )
        for entry in parent.inputs
    ]
    return DocumentVersion(
        document=newest.document,
        origin=origin,
        author_id=author_id,
        parent_number=parent.number,
        note=clean_text(note, "note", max_bytes=MAX_NOTE_BYTES) if note else None,
        model=parent.model,
        used_llm=parent.used_llm,
        inputs=inputs,
    )


def _statements_to_judge(
    content: dict[str, Any], before: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield each new or changed statement. Copy the verdicts of the others from the version before."""
    judged = {
        _key_of(statement): statement
        for _, statement in located_statements(before)
        if "verdict" in statement
    }
    for _, statement in located_statements(content):
        same = judged.get(_key_of(statement))
        if same is not None:
            statement.clear()
            statement.update(copy.deepcopy(same))
        else:
            for name in METADATA - {"evidence"}:
                statement.pop(name, None)
            yield statement


def _key_of(statement: dict[str, Any]) -> str:
    return canonical_statement(statement) + json.dumps(statement["evidence"], sort_keys=True)


def _check_shape(statements: Sequence[dict[str, Any]]) -> None:
    """Check the evidence. The schema of the line cannot, because its evidence names a source by label."""
    problems: list[tuple[str, str]] = []
    for statement in statements:
        for entry in statement["evidence"]:
            problem = _evidence_problem(entry)
            if problem:
                excerpt = canonical_statement(statement)[:60]
                problems.append(("", f"{problem} The statement starts with “{excerpt}”."))
    if problems:
        raise InvalidContent(problems[:_MAX_PROBLEMS])


def _evidence_problem(entry: Any) -> str:
    if not isinstance(entry, dict) or not entry.keys() <= set(_EVIDENCE_KEYS):
        return f"Evidence must be an object with {', '.join(_EVIDENCE_KEYS)}."
    try:
        uuid.UUID(entry["source_id"])
    except (KeyError, ValueError, AttributeError, TypeError):
        return "Evidence must name its source in source_id."
    lines: list[Any] = [entry.get("line_from"), entry.get("line_to")]
    if not all(isinstance(line, int) and not isinstance(line, bool) for line in lines):
        return "Evidence must have line numbers in line_from and line_to."
    if not 1 <= lines[0] <= lines[1]:
        return "line_from must be at least 1, and line_to must not be less than line_from."
    return ""


def _read_texts(
    session: Session,
    version: DocumentVersion,
    statements: Sequence[dict[str, Any]],
    before_texts: Callable[[int], None],
) -> dict[str, SourceText]:
    """Read the texts of the cited sources at the revisions of the version, by source id."""
    cited = {
        uuid.UUID(entry["source_id"]) for statement in statements for entry in statement["evidence"]
    }
    if not cited:
        return {}
    known = {entry.ref_id for entry in version.inputs if entry.kind == "source"}
    if cited - known:
        message = "Evidence names a source that the document was not made from."
        raise InvalidContent([("", message)])
    conditions = VersionInput.version_id == version.id, VersionInput.ref_id.in_(cited)
    pinned = session.execute(
        sources_at(VersionInput.revision, _INPUT_SOURCES).where(*conditions)
    ).all()
    before_texts(sum(row.size for row in pinned))
    rows = session.execute(
        texts_at(VersionInput.revision, _INPUT_SOURCES)
        .add_columns(VersionInput.ref_id)
        .where(*conditions)
    )
    return {
        str(ref_id): SourceText(text, None if blocks is None else blocks_from_json(blocks))
        for text, blocks, ref_id in rows
    }


def _quote_lines(statements: Sequence[dict[str, Any]], texts: dict[str, SourceText]) -> None:
    """Add the text of the lines as the quote to evidence without a quote."""
    for statement in statements:
        for entry in statement["evidence"]:
            if "quote" in entry:
                continue
            source = texts.get(str(uuid.UUID(entry["source_id"])))
            if source is None:
                raise InvalidContent(
                    [("", "The source was deleted, so its lines cannot be quoted.")]
                )
            lines = source.text.split("\n")[entry["line_from"] - 1 : entry["line_to"]]
            quote = "\n".join(lines).strip()
            if not quote:
                message = f"There is no text in line {entry['line_from']} to {entry['line_to']}."
                raise InvalidContent([("", message)])
            entry["quote"] = quote


def _check_schema(content: dict[str, Any], step: WriteStep) -> None:
    """Validate the content like the answer of a model, except that evidence may be missing."""
    answer = copy.deepcopy(content)
    for _, statement in located_statements(answer):
        for name in METADATA - {"evidence"}:
            statement.pop(name, None)
        for entry in statement["evidence"]:
            entry["source"] = entry.pop("source_id")
    validator = jsonschema_rs.validator_for(_without_min_evidence(step.answer_schema))
    problems = [
        ("".join(f"/{part}" for part in error.instance_path), shorten_middle(error.message, 200))
        for error in islice(validator.iter_errors(answer), _MAX_PROBLEMS)
    ]
    if problems:
        raise InvalidContent(problems)


def check_judged(content: dict[str, Any], step: WriteStep) -> None:
    """Validate the content of an imported version, including the verdicts of its statements.

    :raises InvalidContent: if neither the line nor an edit could have produced the content
    """
    for pointer, statement in located_statements(content):
        if not _is_judged(statement):
            raise InvalidContent([(pointer, "It is not a statement with evidence and a verdict.")])
    _check_schema(content, step)


def _is_judged(statement: dict[str, Any]) -> bool:
    for name in ("reasons", "repairs", "flags"):
        codes = statement.get(name, [])
        if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
            return False
    verdict = statement.get("verdict")
    is_own = verdict == Verdict.OWN
    if verdict not in (None, *Verdict) or (
        verdict == Verdict.UNSUPPORTED and "reasons" not in statement
    ):
        return False
    return is_own == ("author_id" in statement) and all(
        isinstance(entry, dict)
        and entry.keys() == set(_EVIDENCE_KEYS)
        and isinstance(entry["source_id"], str)
        and isinstance(entry["quote"], str)
        and type(entry["line_from"]) is int
        and type(entry["line_to"]) is int
        for entry in statement["evidence"]
    )


def _without_min_evidence(schema: Any) -> Any:
    """Return a copy of the schema that allows statements without evidence."""
    if isinstance(schema, list):
        return [_without_min_evidence(value) for value in schema]
    if not isinstance(schema, dict):
        return schema
    loosened = {key: _without_min_evidence(value) for key, value in schema.items()}
    evidence = loosened.get("properties", {}).get("evidence")
    if isinstance(evidence, dict):
        evidence.pop("minItems", None)
    return loosened


def _judge(statement: dict[str, Any], texts: dict[str, SourceText], author_id: uuid.UUID) -> None:
    if not statement["evidence"]:
        statement |= {"verdict": Verdict.OWN.value, "reasons": [], "author_id": str(author_id)}
        return
    for entry in statement["evidence"]:
        entry["source"] = str(uuid.UUID(entry.pop("source_id")))
    judge_answer({"statements": [statement]}, texts)
    for entry in statement["evidence"]:
        entry["source_id"] = entry.pop("source")


def read_authors(
    session: Session, project_id: uuid.UUID, content: Mapping[str, Any]
) -> dict[str, str]:
    """Return the names of the authors of statements without evidence, by id. Deleted users are omitted."""
    found = {
        uuid.UUID(statement["author_id"])
        for _, statement in located_statements(content)
        if "author_id" in statement
    }
    if not found:
        return {}
    # The author ids of an imported project do not belong to users.
    users = select(User.id, User.name).where(User.id.in_(found))
    imported = select(ImportedPerson.id, func.concat(ImportedPerson.name, IMPORTED)).where(
        ImportedPerson.project_id == project_id,
        ImportedPerson.id.in_(found),
        ImportedPerson.name != "",
    )
    return {str(user_id): name for user_id, name in session.execute(union_all(users, imported))}


def statement_at(content: dict[str, Any], pointer: str) -> dict[str, Any]:
    """Return a copy of the statement at this JSON Pointer. ``/decisions/-`` returns a new, empty statement.

    :raises LookupError: if the pointer does not lead to a statement
    """
    if pointer.endswith("/-"):
        _items_at(content, pointer)
        return {"text": "", "evidence": []}
    return copy.deepcopy(dict(located_statements(content))[pointer])


def put_statement(
    content: dict[str, Any], pointer: str, statement: dict[str, Any]
) -> dict[str, Any]:
    """Return the content with the statement at the pointer replaced. ``/decisions/-`` appends a statement."""
    changed = copy.deepcopy(content)
    if pointer.endswith("/-"):
        _items_at(changed, pointer).append(statement)
    else:
        target = dict(located_statements(changed))[pointer]
        target.clear()
        target.update(statement)
    return changed


def move_statement(content: dict[str, Any], pointer: str, by: int | None) -> dict[str, Any]:
    """Return the content with the statement moved by an offset in its list, or removed if ``by`` is ``None``.

    :raises LookupError: if the statement is not in a list
    """
    changed = copy.deepcopy(content)
    items = _items_at(changed, pointer)
    index = int(pointer.rpartition("/")[2])
    statement = items.pop(index)
    if by is not None:
        items.insert(max(0, index + by), statement)
    return changed


def fields_at(schema: dict[str, Any], pointer: str) -> dict[str, Any]:
    """Return the schemas of the fields of a statement at this pointer, by name."""
    node: Any = schema
    for part in pointer.strip("/").split("/"):
        is_item = part == "-" or part.isdigit()
        node = node.get("items", {}) if is_item else node.get("properties", {}).get(part, {})
    fields = dict(node.get("properties", {}))
    fields.pop("evidence", None)
    return fields


def _items_at(content: dict[str, Any], pointer: str) -> list[Any]:
    """Return the list that contains the target of the pointer."""
    node: Any = content
    for part in pointer.strip("/").split("/")[:-1]:
        node = node[int(part)] if isinstance(node, list) else node[part]
    if not isinstance(node, list):
        raise LookupError
    return node
