"""Searches the sources and documents of a project."""

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

# If more entries match, only the newest ones are ranked.
MAX_RANKED = 10_000
MAX_HITS = 50
_CONFIGURATIONS = ("simple", "english", "german")
# Private-use characters. If a text contains them itself, at worst too much of it is highlighted.
_START, _END = "\ue000", "\ue001"
_MARKED = re.compile(f"{_START}([^{_START}{_END}]*){_END}")


@dataclass(frozen=True)
class SearchHit:
    """An entry that matches a search.

    :ivar title: the name of the source or the title of the document
    :ivar parts: the pieces of the text, each with whether it is a match
    :ivar revision: the revision of the source; ``None`` for a statement
    :ivar line_from: the first line with a match
    :ivar number: the number of the version of the document; ``None`` for a source
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
) -> Page[SearchHit]:
    """Find words in the newest texts of a project, best matches first.

    :param q: words, "a phrase", ``or``, and ``-word`` for words to exclude
    :raises InvalidText: if ``q`` has no word or cannot be used in a query
    :raises InvalidCursor: if the cursor is not from this service
    """
    q = clean_name(q, "q")
    if not any(map(str.isalnum, q)):
        raise InvalidText("q", "has no word. Enter at least one letter or digit.")
    limit = max(1, min(limit, MAX_HITS))
    query: ColumnElement[str] = func.websearch_to_tsquery(cast(_CONFIGURATIONS[0], REGCONFIG), q)
    for configuration in _CONFIGURATIONS[1:]:
        query = query.op("||")(func.websearch_to_tsquery(cast(configuration, REGCONFIG), q))
    parsed = select(query.label("query")).cte("parsed")
    newest = {
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
            SearchEntry.words.op("@@")(select(parsed.c.query).scalar_subquery()),
            or_(*(newest[kind] for kind in kinds)),
        )
        .order_by(SearchEntry.id.desc())
        .limit(MAX_RANKED)
        .subquery()
    )
    ranked = select(
        matching,
        # In double precision like Python's floats, so that the cursor contains exactly this rank.
        cast(
            func.ts_rank_cd(matching.c.words, select(parsed.c.query).scalar_subquery()), Double
        ).label("rank"),
    ).subquery()
    best = select(ranked)
    position = None if cursor is None else _parse_cursor(cursor)
    if position is not None:
        entry_id, rank = position
        best = best.where(
            tuple_(ranked.c.rank, ranked.c.entry_id) < tuple_(literal(rank), literal(entry_id))
        )
    page = best.order_by(ranked.c.rank.desc(), ranked.c.entry_id.desc()).limit(limit + 1).subquery()
    rows = (
        session.execute(
            select(
                page,
                func.ts_headline(
                    cast(page.c.configuration, REGCONFIG),
                    page.c.text,
                    select(parsed.c.query).scalar_subquery(),
                    f"HighlightAll=true, StartSel={_START}, StopSel={_END}",
                ).label("headline"),
            ).order_by(page.c.rank.desc(), page.c.entry_id.desc())
        )
        .mappings()
        .all()
    )
    next_cursor = None
    if len(rows) > limit:
        last = rows[limit - 1]
        next_cursor = encode_cursor(last["entry_id"], repr(last["rank"]))
    return Page([_hit_of(row) for row in rows[:limit]], next_cursor)


def _parse_cursor(cursor: str) -> tuple[uuid.UUID, float] | None:
    # A cursor from another list has no rank. The list then starts again, as in combine_core.database.
    entry_id, text = decode_cursor(cursor)
    try:
        rank = float(text)
    except ValueError:
        return None
    return (entry_id, rank) if 0 <= rank < 1e9 else None


def _hit_of(values: RowMapping) -> SearchHit:
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
    return SearchHit(
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
