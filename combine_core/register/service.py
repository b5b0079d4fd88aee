"""Enters statements of approved documents into the register, and changes, merges and settles its items."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, func, select, tuple_, update
from sqlalchemy.orm import Session, aliased, joinedload, selectinload

from combine_core.database import Page, new_id, paginate
from combine_core.database.page import MAX_LIMIT
from combine_core.documents import DocumentVersion, located_statements, text_of
from combine_core.language import Language, language_of
from combine_core.register.model import Change, Event, Item, ItemKind, ItemState, Saying
from combine_core.register.proposals import (
    Gist,
    contradictions,
    find_day,
    gist_of,
    may_be_same,
)
from combine_core.text import clean_name, clean_text

MAX_TEXT_BYTES = 4000
# A new item is compared with at most this many of the newest open items of its kind.
_MAX_COMPARED = 300
_KINDS = {
    "decisions": ItemKind.DECISION,
    "next_steps": ItemKind.ACTION,
    "open_questions": ItemKind.QUESTION,
}
_CONTENT_FIELDS = ("text", "owner", "due", "due_on")


class NothingProposed(ValueError):
    """Raised when there is no open proposal to decide on."""


def enter_version(
    session: Session, project_id: uuid.UUID, version: DocumentVersion, user_id: uuid.UUID
) -> None:
    """Enter the decisions, actions and questions of a newly approved version.

    A statement with the same text as in an earlier version of the document updates the existing item. A new
    item can be proposed as a duplicate of an open item.

    :param version: the version with its content
    :param user_id: the user who approved the version
    """
    texts = [text_of(statement) for _, statement in located_statements(version.content)]
    language = language_of(*texts)
    sayings = list(_sayings_in(version, language))
    if not sayings:
        return
    _lock(session, project_id)
    known = _earlier_sayings(session, version.document_id, sayings)
    gists: dict[ItemKind, list[tuple[Item, Gist]]] = {}
    new_rows: list[Saying | Change] = []
    for kind, saying in sayings:
        before = known.get((kind, saying.text))
        if before:
            _repeat(session, before, saying)
            continue
        if kind not in gists:
            candidates = session.scalars(_open_items(project_id, kind)).all()
            gists[kind] = [(item, gist_of(item, language)) for item in candidates]
        gist = gist_of(saying, language)
        same = next((item for item, other in gists[kind] if may_be_same(gist, other)), None)
        item = Item(id=new_id(), project_id=project_id, kind=kind, same_as_id=same and same.id)
        _copy_content(item, saying)
        saying.item_id = item.id
        saying.contradicts = [] if same is None else contradictions(saying, same)
        session.add(item)
        entered = Change(item_id=item.id, user_id=user_id, event=Event.ENTERED, changes={})
        new_rows += [saying, entered]
        gists[kind].append((item, gist))
    # Insert all rows at once, so that the number of SQL statements does not grow with the document.
    session.flush()
    session.add_all(new_rows)
    session.flush()


def _lock(session: Session, project_id: uuid.UUID) -> None:
    """Lock the register of a project against other changes until the transaction ends.

    Row locks are not enough, because an item can be merged into another one.
    """
    key = func.hashtextextended(f"register of {project_id}", 0)
    session.execute(select(func.pg_advisory_xact_lock(key)))


def _sayings_in(version: DocumentVersion, language: Language) -> Iterator[tuple[ItemKind, Saying]]:
    today = datetime.datetime.now(datetime.UTC).date()
    for section, kind in _KINDS.items():
        for pointer, statement in located_statements(version.content.get(section), f"/{section}"):
            text = text_of(statement).strip()
            if not text:
                continue
            owner, due = (_text_or_none(statement.get(name)) for name in ("owner", "due"))
            texts = (due, text) if kind is ItemKind.ACTION else (due,)
            sources = {uuid.UUID(entry["source_id"]) for entry in statement["evidence"]}
            yield (
                kind,
                Saying(
                    version_id=version.id,
                    pointer=pointer,
                    text=text,
                    owner=owner,
                    due=due,
                    due_on=find_day(texts, language, today),
                    sources=sorted(sources),
                    contradicts=[],
                ),
            )


def _text_or_none(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _earlier_sayings(
    session: Session, document_id: uuid.UUID, sayings: Sequence[tuple[ItemKind, Saying]]
) -> dict[tuple[str, str], list[tuple[Item, Saying]]]:
    """Return the statements with these texts in earlier versions of the document, oldest first."""
    rows = session.execute(
        select(Item, Saying)
        .join(Saying, Saying.item_id == Item.id)
        .join(DocumentVersion, DocumentVersion.id == Saying.version_id)
        .where(
            DocumentVersion.document_id == document_id,
            tuple_(Item.kind, Saying.text).in_([(kind, saying.text) for kind, saying in sayings]),
        )
        .order_by(Saying.id)
    )
    found: dict[tuple[str, str], list[tuple[Item, Saying]]] = {}
    for item, saying in rows:
        found.setdefault((item.kind, saying.text), []).append((item, saying))
    return found


def _repeat(session: Session, before: Sequence[tuple[Item, Saying]], saying: Saying) -> None:
    """Add a repeated statement to its item. Only the first and the last statement are kept."""
    item, last = before[-1]
    if sum(other is item for other, _ in before) > 1:
        session.delete(last)
    saying.item_id = item.id
    changed = any(getattr(last, name) != getattr(saying, name) for name in ("owner", "due"))
    saying.contradicts = contradictions(saying, item) if changed else list(last.contradicts)
    session.add(saying)


def _open_items(project_id: uuid.UUID, kind: ItemKind) -> Select[Item]:
    return (
        select(Item)
        .where(Item.project_id == project_id, Item.kind == kind, Item.state == ItemState.OPEN)
        .order_by(Item.id.desc())
        .limit(_MAX_COMPARED)
    )


def _copy_content(item: Item, saying: Saying) -> None:
    for name in _CONTENT_FIELDS:
        setattr(item, name, getattr(saying, name))


# Reading.


def list_items(
    session: Session,
    project_id: uuid.UUID,
    *,
    cursor: str | None = None,
    limit: int = 50,
    **filters: Any,
) -> Page[Item]:
    """List the items of a project with their statements, newest first.

    :param filters: see :func:`_conditions`
    """
    items = _complete_items().where(*_conditions(project_id, **filters))
    return paginate(session, items, Item.id, cursor=cursor, limit=limit)


def all_items(session: Session, project_id: uuid.UUID, **filters: Any) -> Iterator[Item]:
    """Yield all items of :func:`list_items`, read page by page."""
    cursor = None
    while True:
        page = list_items(session, project_id, cursor=cursor, limit=MAX_LIMIT, **filters)
        yield from page.items
        cursor = page.next
        if cursor is None:
            return


def _conditions(
    project_id: uuid.UUID,
    *,
    kind: str | None = None,
    state: str | None = None,
    owner: str | None = None,
    due_after: datetime.date | None = None,
    due_before: datetime.date | None = None,
    undecided: bool = False,
) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions of a list.

    :param owner: list only items of this owner, ignoring case
    :param due_after: the first due day
    :param due_before: the last due day
    :param undecided: list only possible duplicates and items that a statement contradicts
    """
    yield Item.project_id == project_id
    if kind is not None:
        yield Item.kind == kind
    if state is not None:
        yield Item.state == state
    if owner is not None:
        yield func.lower(Item.owner) == func.lower(owner)
    if due_after is not None:
        yield Item.due_on >= due_after
    if due_before is not None:
        yield Item.due_on <= due_before
    if undecided:
        contradicted = exists().where(
            Saying.item_id == Item.id, func.cardinality(Saying.contradicts) > 0
        )
        yield Item.same_as_id.is_not(None) | contradicted


def find_item(session: Session, project_id: uuid.UUID, item_id: uuid.UUID) -> Item | None:
    """Return an item with its statements and its history."""
    return session.scalars(
        _complete_items()
        .options(selectinload(Item.history).joinedload(Change.user))
        .where(Item.id == item_id, Item.project_id == project_id)
        .execution_options(populate_existing=True)
    ).first()


def _complete_items() -> Select[Item]:
    versions = selectinload(Item.sayings).joinedload(Saying.version)
    return select(Item).options(
        versions.joinedload(DocumentVersion.document), joinedload(Item.same_as)
    )


# Changing.


def change_item(
    session: Session,
    item: Item,
    user_id: uuid.UUID,
    changes: Mapping[str, Any],
) -> None:
    """Set some of ``text``, ``owner``, ``due`` and ``state``. Unchanged values are not added to the history.

    :param item: an item that :func:`lock_item` locked
    :raises InvalidText: if a value is invalid
    """
    cleaned: dict[str, Any] = {name: _clean(name, value) for name, value in changes.items()}
    if cleaned.get("due", item.due) != item.due:
        today = datetime.datetime.now(datetime.UTC).date()
        language = language_of(item.text, cleaned["due"] or "")
        cleaned["due_on"] = find_day([cleaned["due"]], language, today)
    changed = _set(item, cleaned)
    if changed:
        _add_change(session, item, user_id, Event.CHANGED, changed)


def _clean(name: str, value: str | None) -> str | None:
    if name == "state":
        return ItemState(value or "")
    if name == "text":
        return clean_text(value or "", name, max_bytes=MAX_TEXT_BYTES).strip()
    return clean_name(value, name) if value and value.strip() else None


def _set(item: Item, values: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Set the values. Return the old and the new value of each changed field for the history."""
    changed = {
        name: [_as_json(getattr(item, name)), _as_json(value)]
        for name, value in values.items()
        if getattr(item, name) != value
    }
    for name in changed:
        setattr(item, name, values[name])
    return changed


def _as_json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.date) else value


def _add_change(
    session: Session, item: Item, user_id: uuid.UUID, event: Event, changes: dict[str, Any]
) -> None:
    session.add(Change(item_id=item.id, user_id=user_id, event=event, changes=changes))
    session.flush()


def lock_item(session: Session, project_id: uuid.UUID, item_id: uuid.UUID) -> Item | None:
    """Return an item with its statements, and lock its register until the transaction ends."""
    _lock(session, project_id)
    return session.scalars(
        select(Item)
        .options(selectinload(Item.sayings))
        .where(Item.id == item_id, Item.project_id == project_id)
        .execution_options(populate_existing=True)
    ).first()


def decide_sameness(session: Session, item: Item, user_id: uuid.UUID, *, same: bool) -> uuid.UUID:
    """Record whether an item duplicates the proposed one.

    A duplicate is deleted, and its statements move to the other item. Contradictions between them and the
    other item must be settled later.

    :param item: an item that :func:`lock_item` locked
    :returns: the id of the remaining item
    :raises NothingProposed: if there is no proposal
    """
    other = item.same_as_id and lock_item(session, item.project_id, item.same_as_id)
    if not other:
        raise NothingProposed(
            "The proposal for this item no longer exists. Reload the item and check it again."
        )
    if not same:
        item.same_as_id = None
        for saying in item.sayings:
            saying.contradicts = []
        _add_change(session, item, user_id, Event.KEPT_APART, {})
        return item.id
    for saying in item.sayings:
        saying.item_id, saying.contradicts = other.id, contradictions(saying, other)
    for name in ("owner", "due", "due_on"):
        if getattr(other, name) is None:
            setattr(other, name, getattr(item, name))
    session.flush()
    session.execute(update(Item).where(Item.same_as_id == item.id).values(same_as_id=other.id))
    other.same_as_id = None if other.same_as_id == other.id else other.same_as_id
    session.execute(delete(Item).where(Item.id == item.id))
    session.expunge(item)
    _add_change(session, other, user_id, Event.JOINED, {"text": [item.text, other.text]})
    return other.id


def settle(
    session: Session, item: Item, saying_id: uuid.UUID, user_id: uuid.UUID, *, accept: bool
) -> None:
    """Accept or decline the contradicting values of a statement.

    :param item: an item that :func:`lock_item` locked
    :raises NothingProposed: if the statement contradicts nothing
    """
    saying = next((each for each in item.sayings if each.id == saying_id), None)
    if saying is None or not saying.contradicts or item.same_as_id is not None:
        raise NothingProposed(
            "This contradiction no longer exists. Reload the item and check it again."
        )
    fields = [*saying.contradicts, *(["due_on"] if "due" in saying.contradicts else [])]
    saying.contradicts = []
    changed = _set(item, {name: getattr(saying, name) for name in fields}) if accept else {}
    event = Event.ACCEPTED if accept else Event.DECLINED
    _add_change(session, item, user_id, event, changed)


# Deleting.


def is_quoted(session: Session, source_id: uuid.UUID) -> bool:
    """Check whether a statement in the register quotes the source, which may be deleted."""
    quoting = exists().where(Saying.sources.contains([source_id]))
    return bool(session.scalar(select(quoting)))


def items_quoting_only(source_id: uuid.UUID) -> Select[uuid.UUID]:
    """Select the ids of the items whose statements all quote the source."""
    quoting, other = aliased(Saying), aliased(Saying)
    return select(Item.id).where(
        exists().where(quoting.item_id == Item.id, quoting.sources.contains([source_id])),
        ~exists().where(other.item_id == Item.id, ~other.sources.contains([source_id])),
    )


def delete_quotes_of(session: Session, source_id: uuid.UUID) -> None:
    """Delete the statements that quote the source, and the items without other statements."""
    quoting = select(Item.project_id).join(Saying, Saying.item_id == Item.id)
    for project_id in session.scalars(
        quoting.where(Saying.sources.contains([source_id])).distinct()
    ):
        _lock(session, project_id)
    session.execute(delete(Item).where(Item.id.in_(items_quoting_only(source_id))))
    touched = session.scalars(
        delete(Saying).where(Saying.sources.contains([source_id])).returning(Saying.item_id)
    ).all()
    # The history of these items can contain text of the source.
    session.execute(update(Change).where(Change.item_id.in_(touched)).values(changes={}))
    remaining = select(Item).options(selectinload(Item.sayings)).where(Item.id.in_(touched))
    for item in session.scalars(remaining.execution_options(populate_existing=True)):
        _copy_content(item, item.sayings[-1])
    session.flush()
