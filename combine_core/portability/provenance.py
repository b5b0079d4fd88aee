"""What an imported version was where it comes from: who wrote it, and who decided on it there."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from combine_core.documents import DocumentVersion, StoredVersion, VersionOrigin
from combine_core.portability.model import ImportedPerson, ImportedReview, ImportedRow
from combine_core.reviews.model import Decision


@dataclass(frozen=True)
class ImportedDecision:
    """What somebody decided.

    :ivar name: of the person; ``None``: not known, or erased
    """

    name: str | None
    decision: str
    comment: str | None
    created_at: datetime.datetime


@dataclass(frozen=True)
class PastReview:
    """A review that took place elsewhere. It counts for nothing."""

    state: str
    needed: int
    decisions: Sequence[ImportedDecision]


@dataclass(frozen=True)
class Provenance:
    """How a version came to be where it was imported from.

    :ivar author: the name of who edited or restored it
    """

    origin: str
    author: str | None
    reviews: Sequence[PastReview]


def read_provenance(
    session: Session, project_id: uuid.UUID, version: DocumentVersion | StoredVersion
) -> Provenance | None:
    """Of an imported version of the project; ``None``: it was made here."""
    if version.origin != VersionOrigin.IMPORT:
        return None
    given: Mapping[str, Any] = (
        session.scalar(select(ImportedRow.given).where(ImportedRow.row_id == version.id)) or {}
    )
    # The reviews of one version are few.
    reviews = session.scalars(
        select(ImportedReview.review)
        .where(ImportedReview.version_id == version.id)
        .order_by(ImportedReview.id)
        .limit(100)
    ).all()
    named = [given.get("author_id")]
    named += [one["user_id"] for review in reviews for one in review["decisions"]]
    names = _names(session, project_id, {uuid.UUID(one) for one in named if one})
    return Provenance(
        given.get("origin", VersionOrigin.IMPORT),
        names.get(given.get("author_id")),
        [_past(review, names) for review in reviews],
    )


def _names(
    session: Session, project_id: uuid.UUID, people: set[uuid.UUID]
) -> dict[str | None, str]:
    found = select(ImportedPerson.id, ImportedPerson.name).where(
        ImportedPerson.project_id == project_id,
        ImportedPerson.id.in_(people),
        ImportedPerson.name != "",
    )
    return {str(row.id): row.name for row in session.execute(found)}


def _past(review: Mapping[str, Any], names: Mapping[str | None, str]) -> PastReview:
    decisions = [
        ImportedDecision(
            names.get(one["user_id"]),
            one["decision"],
            one["comment"],
            datetime.datetime.fromisoformat(one["created_at"]),
        )
        for one in review["decisions"]
    ]
    return PastReview(review["state"], review["needed"], decisions)


_MADE = {
    VersionOrigin.LINE: "A run of a line wrote it there",
    VersionOrigin.EDIT: "It was edited there",
    VersionOrigin.RESTORE: "It was restored there",
    VersionOrigin.IMPORT: "It was imported there, too",
}
_DECIDED = {
    Decision.APPROVE: "approved it",
    Decision.REJECT: "rejected it",
    Decision.REQUEST_CHANGES: "asked for changes",
}


def provenance_in_words(provenance: Provenance) -> str:
    """How the version came to be, in one sentence."""
    by = f" by {provenance.author}" if provenance.author else ""
    return f"{_MADE[VersionOrigin(provenance.origin)]}{by}."


def past_in_words(past: PastReview) -> str:
    """Such as ``approved. Ada approved it on 2026-11-28 12:00 UTC. This counts for nothing here.``"""
    words = f"{past.state.replace('_', ' ')}."
    for one in past.decisions:
        who = one.name or "Somebody whose name is not known"
        moment = one.created_at.astimezone(datetime.UTC)
        words += f" {who} {_DECIDED[Decision(one.decision)]} on {moment:%Y-%m-%d %H:%M} UTC."
        if one.comment:
            words += f" “{one.comment}”"
    return f"{words} This counts for nothing here."
