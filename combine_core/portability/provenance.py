"""Reads the provenance of an imported version: its author and its reviews in its first service."""

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
    """A decision in another service.

    :ivar name: the name of the person; ``None`` if it is unknown or erased
    """

    name: str | None
    decision: str
    comment: str | None
    created_at: datetime.datetime


@dataclass(frozen=True)
class PastReview:
    """A review in another service. It has no effect."""

    state: str
    needed: int
    decisions: Sequence[ImportedDecision]


@dataclass(frozen=True)
class Provenance:
    """The origin of a version in the service that it was imported from.

    :ivar author: the name of the person who edited or restored it
    """

    origin: str
    author: str | None
    reviews: Sequence[PastReview]


def read_provenance(
    session: Session, project_id: uuid.UUID, version: DocumentVersion | StoredVersion
) -> Provenance | None:
    """Return the provenance of an imported version, or ``None`` if the version was made here."""
    if version.origin != VersionOrigin.IMPORT:
        return None
    original: Mapping[str, Any] = (
        session.scalar(select(ImportedRow.given).where(ImportedRow.row_id == version.id)) or {}
    )
    # A version has few reviews.
    reviews = session.scalars(
        select(ImportedReview.review)
        .where(ImportedReview.version_id == version.id)
        .order_by(ImportedReview.id)
        .limit(100)
    ).all()
    people = [original.get("author_id")]
    people += [one["user_id"] for review in reviews for one in review["decisions"]]
    names = _names(session, project_id, {uuid.UUID(one) for one in people if one})
    return Provenance(
        original.get("origin", VersionOrigin.IMPORT),
        names.get(original.get("author_id")),
        [_past_review(review, names) for review in reviews],
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


def _past_review(review: Mapping[str, Any], names: Mapping[str | None, str]) -> PastReview:
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
    by = f" by {provenance.author}" if provenance.author else ""
    return f"{_MADE[VersionOrigin(provenance.origin)]}{by}."


def past_in_words(past: PastReview) -> str:
    """Describe a review: ``approved. Ada approved it on 2026-11-28 12:00 UTC. It has no effect here.``"""
    words = f"{past.state.replace('_', ' ')}."
    for one in past.decisions:
        name = one.name or "A person whose name is unknown"
        words += decision_in_words(name, one.decision, one.comment, one.created_at)
    return f"{words} It has no effect here."


def decision_in_words(
    name: str, decision: str, comment: str | None, created_at: datetime.datetime
) -> str:
    """Describe a decision: `` Ada approved it on 2026-11-28 12:00 UTC. “Fine.”``"""
    moment = created_at.astimezone(datetime.UTC)
    words = f" {name} {_DECIDED[Decision(decision)]} on {moment:%Y-%m-%d %H:%M} UTC."
    return f"{words} “{comment}”" if comment else words
