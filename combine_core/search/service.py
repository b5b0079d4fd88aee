"""Searches in a project."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Double,
    RowMapping,
    cast,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import REGCONFIG
from sqlalchemy.orm import Session

from combine_core.database import Page, decode_cursor, encode_cursor
from combine_core.documents.model import Document, DocumentVersion
from combine_core.search.model import EntryKind, SearchEntry
from combine_core.sources.model import Source
from combine_core.text import InvalidText, clean_name

# Of a word that is in very many entries, the newest ones are ranked.
MOST_RANKED = 10_000
MAX_HITS = 50
_CONFIGURATIONS = ("simple", "english", "german")
# Private characters: what comes from a text is at worst marked too much.
_START, _END = "\ue000", "\ue001"
_MARKED = re.compile(f"{_START}([^{_START}{_END}]*){_END}")


@dataclass(frozen=True)
class Found:
    """An entry that was found.

    :ivar title: of the source or the document
    :ivar parts: the text in pieces, each with whether the search found it
    :ivar revision: of the source; ``None`` for a statement
    :ivar line_from: the first line with a word that was found
    :ivar number: of the version of the document; ``None`` for a source
    """

    kind: EntryKind
    id: uuid.UUID
    title: str
    parts: list[tuple[str, bool]]
    revision: int | None
    line_from: int | None
    line_to: int | None
    number: int | None
    pointer: str | None


def search(
    session: Session,
    project_id: uuid.UUID,
    q: str,
    *,
    kinds: Collection[EntryKind] = tuple(EntryKind),
    cursor: str | None = None,
    limit: int = 20,
) -> Page[Found]:
    """Find words in the newest texts of a project, best first, in one SQL statement.

    :param q: words, "a phrase", ``or``, and ``-word`` for what must not be there
    :raises InvalidText: ``q`` cannot be searched for
    :raises InvalidCursor: the cursor is not from this service
    """
    q = clean_name(q, "q")
    if not any(map(str.isalnum, q)):
        raise InvalidText("q", "has no word. Give it at least one letter or digit.")
    limit = max(1, min(limit, MAX_HITS))
    query: ColumnElement[str] = func.websearch_to_tsquery(cast(_CONFIGURATIONS[0], REGCONFIG), q)
    for configuration in _CONFIGURATIONS[1:]:
        query = query.op("||")(func.websearch_to_tsquery(cast(configuration, REGCONFIG), q))
    asked = select(query.label("query")).cte("asked")
    wanted = {
        EntryKind.SOURCE: SearchEntry.revision == Source.revision,
        EntryKind.STATEMENT: DocumentVersion.number == Document.head,
    }
    matching = (
        select(
            SearchEntry.id.label("entry_id"),
            SearchEntry.words,
            SearchEntry.text,
            SearchEntry.configuration,
            SearchEntry.revision,
            SearchEntry.line_from,
            SearchEntry.pointer,
            DocumentVersion.number,
            func.coalesce(SearchEntry.source_id, Document.id).label("id"),
            func.coalesce(Source.name, Document.title).label("title"),
        )
        .outerjoin(Source, Source.id == SearchEntry.source_id)
        .outerjoin(DocumentVersion, DocumentVersion.id == SearchEntry.version_id)
        .outerjoin(Document, Document.id == DocumentVersion.document_id)
        .where(
            SearchEntry.project_id == project_id,
            SearchEntry.words.op("@@")(select(asked.c.query).scalar_subquery()),
            or_(*(wanted[kind] for kind in kinds)),
        )
        .order_by(SearchEntry.id.desc())
        .limit(MOST_RANKED)
        .subquery()
    )
    ranked = select(
        matching,
        # In double precision, because Python's numbers are: a cursor gives back exactly this rank.
        cast(
            func.ts_rank_cd(matching.c.words, select(asked.c.query).scalar_subquery()), Double
        ).label("rank"),
    ).subquery()
    best = select(ranked)
    place = None if cursor is None else _place_of(cursor)
    if place is not None:
        reached, rank = place
        best = best.where(
            tuple_(ranked.c.rank, ranked.c.entry_id) < tuple_(literal(rank), literal(reached))
        )
    shown = (
        best.order_by(ranked.c.rank.desc(), ranked.c.entry_id.desc()).limit(limit + 1).subquery()
    )
    rows = (
        session.execute(
            select(
                shown,
                func.ts_headline(
                    cast(shown.c.configuration, REGCONFIG),
                    shown.c.text,
                    select(asked.c.query).scalar_subquery(),
                    f"HighlightAll=true, StartSel={_START}, StopSel={_END}",
                ).label("headline"),
            ).order_by(shown.c.rank.desc(), shown.c.entry_id.desc())
        )
        .mappings()
        .all()
    )
    following = None
    if len(rows) > limit:
        last = rows[limit - 1]
        following = encode_cursor(last["entry_id"], repr(last["rank"]))
    return Page([_found(row) for row in rows[:limit]], following)


def _place_of(cursor: str) -> tuple[uuid.UUID, float] | None:
    # A cursor from another list has no rank: the list begins again, as in combine_core.database.
    reached, written = decode_cursor(cursor)
    try:
        rank = float(written)
    except ValueError:
        return None
    return (reached, rank) if 0 <= rank < 1e9 else None


def _found(values: RowMapping) -> Found:
    parts = [
        (text, bool(index % 2))
        for index, text in enumerate(_MARKED.split(values["headline"]))
        if text
    ]
    first = last = values["line_from"]
    if first is not None and any(marked for _, marked in parts):
        marks = [index for index, (_, marked) in enumerate(parts) if marked]
        first += "".join(text for text, _ in parts[: marks[0]]).count("\n")
        last += "".join(text for text, _ in parts[: marks[-1]]).count("\n")
    return Found(
        kind=EntryKind.STATEMENT if values["revision"] is None else EntryKind.SOURCE,
        id=values["id"],
        title=values["title"],
        parts=parts,
        revision=values["revision"],
        line_from=first,
        line_to=last,
        number=values["number"],
        pointer=values["pointer"],
    )
