"""A form that is sent twice, by a double click or a reload, is done once.

Within ``WINDOW`` an equal thing that the same user made counts as the answer to the second sending.
One request at a time of a user gets to look and to make, also across processes.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Uuid, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.orm import InstrumentedAttribute, Session

from combine_core.lines import LineVersion
from combine_core.projects import Project
from combine_core.runs import Run, RunSource, RunState
from combine_core.sources import Source
from combine_core.users import Membership, Role

WINDOW = timedelta(seconds=30)
# A run that has ended is repeated on purpose, unless it was so quick that the hand still clicks.
ENDED_RUN_WINDOW = timedelta(seconds=5)


def take_turns(session: Session, user_id: uuid.UUID) -> None:
    """Wait for the user's other forms; until the transaction ends, further ones wait for this."""
    session.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"form of {user_id}", 0)))
    )


def _is_recent(
    made: InstrumentedAttribute[datetime], window: timedelta = WINDOW
) -> ColumnElement[bool]:
    return made > func.now() - window


def repeated_project(session: Session, name: str, user_id: uuid.UUID) -> Project | None:
    """The project of this name that the user has just made."""
    return session.scalars(
        select(Project)
        .join(Membership)
        .where(
            Membership.user_id == user_id,
            Membership.role == Role.OWNER,
            Project.name == name,
            _is_recent(Project.created_at),
        )
        .limit(1)
    ).first()


def is_repeated_source(
    session: Session, project_id: uuid.UUID, name: str, text: str, user_id: uuid.UUID
) -> bool:
    """Whether the user has just added this text under this name."""
    found = session.scalar(
        select(Source.id)
        .where(
            Source.project_id == project_id,
            Source.created_by == user_id,
            Source.name == name,
            Source.sha256 == hashlib.sha256(text.encode()).hexdigest(),
            _is_recent(Source.created_at),
        )
        .limit(1)
    )
    return found is not None


def repeated_run(
    session: Session,
    project_id: uuid.UUID,
    line_name: str,
    source_ids: Sequence[uuid.UUID],
    user_id: uuid.UUID,
    *,
    model: str,
) -> uuid.UUID | None:
    """The run of this line on these sources with this model that the user has just started."""
    in_order = aggregate_order_by(RunSource.source_id, RunSource.position)
    sources = (
        select(func.array_agg(in_order, type_=ARRAY(Uuid())))
        .where(RunSource.run_id == Run.id)
        .scalar_subquery()
    )
    return session.scalar(
        select(Run.id)
        .join(Run.line_version)
        .where(
            Run.project_id == project_id,
            Run.requested_by == user_id,
            Run.model == model,
            LineVersion.name == line_name,
            _is_recent(Run.created_at),
            or_(Run.state == RunState.RUNNING, _is_recent(Run.created_at, ENDED_RUN_WINDOW)),
            sources == list(dict.fromkeys(source_ids)),
        )
        .limit(1)
    )
