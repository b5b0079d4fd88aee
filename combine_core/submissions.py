"""Creates projects, invitations, sources, runs and comments once if a form is submitted twice.

That is a double click or a reload. If the same user has created an equal object within ``WINDOW``, the second
form gets that object. Only one form of a user is handled at a time, also across processes.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Uuid, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.orm import InstrumentedAttribute, Session

from combine_core.comments import Comment, add_comment, clean_comment
from combine_core.lines import LineVersion, find_line
from combine_core.llm import ProviderRegistry
from combine_core.projects import Project, create_project, find_owned_project
from combine_core.projects.invitations import create_invitation, renew_invitation
from combine_core.runs import ModelLimits, Run, RunSource, RunState, start_run
from combine_core.sources import (
    Source,
    UploadedFile,
    add_file,
    add_file_revision,
    add_source,
    add_text_revision,
    lock_source,
    measure_text,
)
from combine_core.text import InvalidText, clean_name
from combine_core.users import Role, UserAction

WINDOW = timedelta(seconds=30)
# A run that has ended is repeated on purpose, unless it ended before the second click arrived.
ENDED_RUN_WINDOW = timedelta(seconds=5)
# A later link is for another person. Before that, nobody can have copied the first one.
INVITATION_WINDOW = timedelta(seconds=2)


def create_project_once(session: Session, name: str, user_id: uuid.UUID) -> Project:
    """Return the project of this name that the user has just created, or create one."""
    _take_turns(session, user_id)
    just_created = find_owned_project(session, name, user_id, within=WINDOW)
    return just_created or create_project(session, name, user_id)


def create_invitation_once(
    session: Session,
    project_id: uuid.UUID,
    user_id: uuid.UUID,
    role: Role,
    *,
    days: int,
    notify: Callable[[UserAction], object],
) -> str:
    """Create an invitation link, unless the user has just created an equal one, and return its token.

    :raises TooManyInvitations: as :func:`combine_core.projects.invitations.create_invitation`
    """
    _take_turns(session, user_id)
    window = INVITATION_WINDOW
    token = renew_invitation(session, project_id, user_id, role, days=days, within=window)
    if token is None:
        token, _ = create_invitation(session, project_id, user_id, role, days=days, notify=notify)
    return token


def add_source_once(
    session: Session,
    project_id: uuid.UUID,
    name: str,
    text: str,
    user_id: uuid.UUID,
    *,
    revise: bool,
) -> None:
    """Add a text as a source, unless the user has just added it under this name.

    :param revise: whether the text becomes a revision of the source of this name, if there is one
    :raises InvalidText: as :func:`combine_core.sources.add_source`
    """
    _take_turns(session, user_id)
    source = _find_named(session, project_id, name) if revise else None
    if source is not None:
        add_text_revision(session, source, text, user_id)
        return
    same_text = Source.sha256 == measure_text(text)[1]
    if not _is_repeated_source(session, project_id, name, same_text, user_id):
        add_source(session, project_id, name, text, user_id)


def add_file_once(
    session: Session,
    project_id: uuid.UUID,
    upload: UploadedFile,
    user_id: uuid.UUID,
    *,
    revise: bool,
) -> None:
    """Add a file as a source, unless the user has just added it under this name.

    :param revise: whether the file becomes a revision of the source of its name, if there is one
    :raises UnsupportedFile, InvalidText: as :func:`combine_core.sources.add_file`
    """
    _take_turns(session, user_id)
    name = clean_name(upload.name)
    source = _find_named(session, project_id, name) if revise else None
    if source is not None:
        add_file_revision(session, source, upload, user_id)
        return
    same_file = Source.file_sha256 == upload.sha256
    if not _is_repeated_source(session, project_id, name, same_file, user_id):
        add_file(session, project_id, name, upload, user_id)


def _find_named(session: Session, project_id: uuid.UUID, name: str) -> Source | None:
    """Lock and return the source of this name, or return ``None`` if there is none.

    :raises InvalidText: several sources have this name
    """
    named = select(Source.id).where(Source.project_id == project_id, Source.name == name).limit(2)
    found = session.scalars(named).all()
    if len(found) > 1:
        why = (
            "is that of several sources. Open the source that you want to correct and add the revision"
            " there, or add another source."
        )
        raise InvalidText("name", why)
    return lock_source(session, project_id, found[0]) if found else None


def start_run_once(
    session: Session,
    project_id: uuid.UUID,
    line: str,
    source_ids: Sequence[uuid.UUID],
    user_id: uuid.UUID,
    *,
    model: str,
    providers: ProviderRegistry,
    limits: ModelLimits,
) -> uuid.UUID:
    """Return the id of the equal run that the user has just started, or start one.

    :raises InvalidRun, UnknownLine, UnknownModel, QueueFull: as :func:`combine_core.runs.start_run`
    """
    # Before a value of the form reaches the database, which cannot read each text.
    find_line(line)
    providers.resolve(model)
    _take_turns(session, user_id)
    repeated = _repeated_run(session, project_id, line, source_ids, user_id, model=model)
    if repeated is not None:
        return repeated
    run = start_run(
        session,
        project_id,
        line,
        source_ids,
        user_id,
        model=model,
        providers=providers,
        limits=limits,
    )
    return run.id


def add_comment_once(
    session: Session,
    document_id: uuid.UUID,
    user_id: uuid.UUID,
    *,
    number: int,
    pointer: str,
    text: str,
    notify: Callable[[UserAction], object],
) -> None:
    """Add a comment to a statement, unless the user has just added it there.

    :raises InvalidComment, InvalidText: as :func:`combine_core.comments.add_comment`
    """
    _take_turns(session, user_id)
    just_added = select(Comment.id).where(
        Comment.document_id == document_id,
        Comment.author_id == user_id,
        Comment.number == number,
        Comment.pointer == pointer,
        Comment.text == clean_comment(text),
        _is_recent(Comment.created_at),
    )
    if session.scalar(just_added.limit(1)) is None:
        add_comment(
            session, document_id, user_id, number=number, pointer=pointer, text=text, notify=notify
        )


def _take_turns(session: Session, user_id: uuid.UUID) -> None:
    """Wait until no other form of the user is being handled. The lock lasts until the transaction ends."""
    session.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"form of {user_id}", 0)))
    )


def _is_recent(
    made: InstrumentedAttribute[datetime], window: timedelta = WINDOW
) -> ColumnElement[bool]:
    return made > func.now() - window


def _is_repeated_source(
    session: Session,
    project_id: uuid.UUID,
    name: str,
    content: ColumnElement[bool],
    user_id: uuid.UUID,
) -> bool:
    found = session.scalar(
        select(Source.id)
        .where(
            Source.project_id == project_id,
            Source.created_by == user_id,
            Source.name == name,
            content,
            _is_recent(Source.created_at),
        )
        .limit(1)
    )
    return found is not None


def _repeated_run(
    session: Session,
    project_id: uuid.UUID,
    line_name: str,
    source_ids: Sequence[uuid.UUID],
    user_id: uuid.UUID,
    *,
    model: str,
) -> uuid.UUID | None:
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
