"""Enters what approved documents say, and keeps it: people change items, join and settle them."""

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
    day_meant,
    gist_of,
    may_be_same,
)
from combine_core.text import clean_name, clean_text

MOST_TEXT_BYTES = 4000
# With how many open items of its kind, the newest, a new one is compared.
_MOST_COMPARED = 300
_KINDS = {
    "decisions": ItemKind.DECISION,
    "next_steps": ItemKind.ACTION,
    "open_questions": ItemKind.QUESTION,
}
_SAID = ("text", "owner", "due", "due_on")


class NothingProposed(ValueError):
    """Nobody has to decide on this: it was decided, or it was never a question."""


def enter_version(
    session: Session, project_id: uuid.UUID, version: DocumentVersion, user_id: uuid.UUID
) -> None:
    """Enter the decisions, actions and questions of a version that was approved just now.

    What the document has said before in the same words is carried on. What is new may be proposed as the same
    as an open item.

    :param version: with its content
    :param user_id: who approved it
    """
    texts = [text_of(statement) for _, statement in located_statements(version.content)]
    language = language_of(*texts)
    said = list(_said_in(version, language))
    if not said:
        return
    _lock(session, project_id)
    known = _said_before(session, version.document_id, said)
    gists: dict[ItemKind, list[tuple[Item, Gist]]] = {}
    about_new: list[Saying | Change] = []
    for kind, saying in said:
        before = known.get((kind, saying.text))
        if before:
            _carry_on(session, before, saying)
            continue
        if kind not in gists:
            candidates = session.scalars(_open_items(project_id, kind)).all()
            gists[kind] = [(one, gist_of(one, language)) for one in candidates]
        gist = gist_of(saying, language)
        same = next((one for one, other in gists[kind] if may_be_same(gist, other)), None)
        item = Item(id=new_id(), project_id=project_id, kind=kind, same_as_id=same and same.id)
        _take_over(item, saying, _SAID)
        saying.item_id = item.id
        saying.contradicts = [] if same is None else contradictions(saying, same)
        session.add(item)
        entered = Change(item_id=item.id, user_id=user_id, event=Event.ENTERED, changes={})
        about_new += [saying, entered]
        gists[kind].append((item, gist))
    # All together, so that the number of SQL statements does not grow with the document.
    session.flush()
    session.add_all(about_new)
    session.flush()


def _lock(session: Session, project_id: uuid.UUID) -> None:
    """Let others wait who change the register of this project, until the transaction ends.

    An item may be put into another one, so the lock of a row is not enough for who refers to it.
    """
    key = func.hashtextextended(f"register of {project_id}", 0)
    session.execute(select(func.pg_advisory_xact_lock(key)))


def _said_in(version: DocumentVersion, language: Language) -> Iterator[tuple[ItemKind, Saying]]:
    today = datetime.datetime.now(datetime.UTC).date()
    for section, kind in _KINDS.items():
        for pointer, statement in located_statements(version.content.get(section), f"/{section}"):
            text = text_of(statement).strip()
            if not text:
                continue
            owner, due = (_words(statement.get(name)) for name in ("owner", "due"))
            texts = (due, text) if kind is ItemKind.ACTION else (due,)
            sources = {uuid.UUID(one["source_id"]) for one in statement["evidence"]}
            yield (
                kind,
                Saying(
                    version_id=version.id,
                    pointer=pointer,
                    text=text,
                    owner=owner,
                    due=due,
                    due_on=day_meant(texts, language, today),
                    sources=sorted(sources),
                    contradicts=[],
                ),
            )


def _words(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _said_before(
    session: Session, document_id: uuid.UUID, said: Sequence[tuple[ItemKind, Saying]]
) -> dict[tuple[str, str], list[tuple[Item, Saying]]]:
    """What versions of this document have said in these words, oldest first."""
    rows = session.execute(
        select(Item, Saying)
        .join(Saying, Saying.item_id == Item.id)
        .join(DocumentVersion, DocumentVersion.id == Saying.version_id)
        .where(
            DocumentVersion.document_id == document_id,
            tuple_(Item.kind, Saying.text).in_([(kind, saying.text) for kind, saying in said]),
        )
        .order_by(Saying.id)
    )
    found: dict[tuple[str, str], list[tuple[Item, Saying]]] = {}
    for item, saying in rows:
        found.setdefault((item.kind, saying.text), []).append((item, saying))
    return found


def _carry_on(session: Session, before: Sequence[tuple[Item, Saying]], saying: Saying) -> None:
    """Note that the item was said again. The first statement and the last one are kept."""
    item, last = before[-1]
    if sum(one is item for one, _ in before) > 1:
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
        .limit(_MOST_COMPARED)
    )


def _take_over(item: Item, said: Saying, fields: Sequence[str]) -> None:
    for name in fields:
        setattr(item, name, getattr(said, name))


# Reading.


def list_items(
    session: Session,
    project_id: uuid.UUID,
    *,
    cursor: str | None = None,
    limit: int = 50,
    **wanted: Any,
) -> Page[Item]:
    """The items of a project, newest first, each with where it was said.

    :param wanted: as in :func:`_which`
    """
    listed = _whole().where(*_which(project_id, **wanted))
    return paginate(session, listed, Item.id, cursor=cursor, limit=limit)


def all_items(session: Session, project_id: uuid.UUID, **wanted: Any) -> Iterator[Item]:
    """All items that :func:`list_items` has pages of, read page by page."""
    cursor, begun = None, False
    while cursor is not None or not begun:
        page = list_items(session, project_id, cursor=cursor, limit=MAX_LIMIT, **wanted)
        yield from page.items
        cursor, begun = page.next, True


def _which(
    project_id: uuid.UUID,
    *,
    kind: str | None = None,
    state: str | None = None,
    owner: str | None = None,
    due_after: datetime.date | None = None,
    due_before: datetime.date | None = None,
    undecided: bool = False,
) -> Iterator[ColumnElement[bool]]:
    """The conditions of a list.

    :param owner: in any case
    :param due_after: the first day
    :param due_before: the last day
    :param undecided: only those that may be the same as another one, or that statements contradict
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
    """An item with where it was said and its history."""
    return session.scalars(
        _whole()
        .options(selectinload(Item.history).joinedload(Change.user))
        .where(Item.id == item_id, Item.project_id == project_id)
        .execution_options(populate_existing=True)
    ).first()


def _whole() -> Select[Item]:
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
    """Set some of ``text``, ``owner``, ``due`` and ``state``. What stays as it is leaves no history.

    :param item: locked by :func:`lock_item`
    :raises InvalidText: a value is unusable
    """
    cleaned: dict[str, Any] = {name: _clean(name, value) for name, value in changes.items()}
    if cleaned.get("due", item.due) != item.due:
        today = datetime.datetime.now(datetime.UTC).date()
        language = language_of(item.text, cleaned["due"] or "")
        cleaned["due_on"] = day_meant([cleaned["due"]], language, today)
    changed = _set(item, cleaned)
    if changed:
        _note(session, item, user_id, Event.CHANGED, changed)


def _clean(name: str, value: str | None) -> str | None:
    if name == "state":
        return ItemState(value or "")
    if name == "text":
        return clean_text(value or "", name, max_bytes=MOST_TEXT_BYTES).strip()
    return clean_name(value, name) if value and value.strip() else None


def _set(item: Item, values: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Set the values, and return what each was and is, for the history."""
    changed = {
        name: [_plain(getattr(item, name)), _plain(value)]
        for name, value in values.items()
        if getattr(item, name) != value
    }
    for name in changed:
        setattr(item, name, values[name])
    return changed


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.date) else value


def _note(
    session: Session, item: Item, user_id: uuid.UUID, event: Event, changes: dict[str, Any]
) -> None:
    session.add(Change(item_id=item.id, user_id=user_id, event=event, changes=changes))
    session.flush()


def lock_item(session: Session, project_id: uuid.UUID, item_id: uuid.UUID) -> Item | None:
    """An item with where it was said. Its register is locked until the transaction ends."""
    _lock(session, project_id)
    return session.scalars(
        select(Item)
        .options(selectinload(Item.sayings))
        .where(Item.id == item_id, Item.project_id == project_id)
        .execution_options(populate_existing=True)
    ).first()


def decide_sameness(session: Session, item: Item, user_id: uuid.UUID, *, same: bool) -> uuid.UUID:
    """Say whether an item is the same as the one that was proposed.

    If it is, its statements become those of the other one, and it goes. Where they contradict the other one,
    this has to be settled.

    :param item: locked by :func:`lock_item`
    :returns: the id of the item that is left
    :raises NothingProposed: there is no proposal
    """
    other = item.same_as_id and lock_item(session, item.project_id, item.same_as_id)
    if not other:
        raise NothingProposed(
            "Nothing is proposed as the same as this item any more. Reload it, and look at it again."
        )
    if not same:
        item.same_as_id = None
        for saying in item.sayings:
            saying.contradicts = []
        _note(session, item, user_id, Event.KEPT_APART, {})
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
    _note(session, other, user_id, Event.JOINED, {"text": [item.text, other.text]})
    return other.id


def settle(
    session: Session, item: Item, saying_id: uuid.UUID, user_id: uuid.UUID, *, accept: bool
) -> None:
    """Say whether what a statement says otherwise counts from now on.

    :param item: locked by :func:`lock_item`
    :raises NothingProposed: the statement contradicts nothing
    """
    saying = next((one for one in item.sayings if one.id == saying_id and one.contradicts), None)
    if saying is None or item.same_as_id is not None:
        raise NothingProposed(
            "There is nothing to settle here any more. Reload the item, and look at it again."
        )
    fields = [*saying.contradicts, *(["due_on"] if "due" in saying.contradicts else [])]
    saying.contradicts = []
    changed = _set(item, {name: getattr(saying, name) for name in fields}) if accept else {}
    _note(session, item, user_id, Event.ACCEPTED if accept else Event.DECLINED, changed)


# Forgetting.


def is_quoted(session: Session, source_id: uuid.UUID) -> bool:
    """Whether something in the register quotes the source, which may be deleted."""
    quoting = exists().where(Saying.sources.contains([source_id]))
    return bool(session.scalar(select(quoting)))


def items_quoting_only(source_id: uuid.UUID) -> Select[uuid.UUID]:
    """The ids of the items of which nothing is left without the statements that quote the source."""
    quoting, other = aliased(Saying), aliased(Saying)
    return select(Item.id).where(
        exists().where(quoting.item_id == Item.id, quoting.sources.contains([source_id])),
        ~exists().where(other.item_id == Item.id, ~other.sources.contains([source_id])),
    )


def forget_source(session: Session, source_id: uuid.UUID) -> None:
    """Remove what quotes the source. Items that something else says too keep only that."""
    quoting = select(Item.project_id).join(Saying, Saying.item_id == Item.id)
    for project_id in session.scalars(
        quoting.where(Saying.sources.contains([source_id])).distinct()
    ):
        _lock(session, project_id)
    session.execute(delete(Item).where(Item.id.in_(items_quoting_only(source_id))))
    touched = session.scalars(
        delete(Saying).where(Saying.sources.contains([source_id])).returning(Saying.item_id)
    ).all()
    # Their history holds words of the source.
    session.execute(update(Change).where(Change.item_id.in_(touched)).values(changes={}))
    left = select(Item).options(selectinload(Item.sayings)).where(Item.id.in_(touched))
    for item in session.scalars(left.execution_options(populate_existing=True)):
        _take_over(item, item.sayings[-1], _SAID)
    session.flush()
