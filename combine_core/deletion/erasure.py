"""Erases sources, projects and users with every trace, even if they were deleted before.

Deleting a source keeps the documents that quote it, and deleting a user keeps their name in the audit.
Erasing removes these, too. Only operators can erase, with ``combine erase``.
"""

from __future__ import annotations

import uuid

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from combine_core.comments.model import Comment
from combine_core.deletion.plan import NotFound, Plan
from combine_core.deletion.service import (
    count_things,
    delete_project,
    made_from,
    obstacle_of,
    plan_project,
    remove_source,
    revisions_of,
    runs_on,
    texts_of,
)
from combine_core.documents import Document, DocumentVersion, VersionInput, delete_versions
from combine_core.portability.model import ImportedPerson
from combine_core.projects import Project
from combine_core.register import delete_quotes_of, is_quoted, items_quoting_only
from combine_core.reviews.model import Review
from combine_core.runs import Run
from combine_core.sources import Source, SourceRevision
from combine_core.users import User, UserAction, erase_in_add_ons, report_command
from combine_core.users.deletion import delete_user, plan_user
from combine_core.web.idempotency import forget_answers

_TEXTS_OF_OTHERS = "Texts of other people, and log files, may still contain this person's name."


def plan_erasure_of_project(session: Session, project_id: uuid.UUID) -> Plan:
    """Preview the erasure of a project.

    :raises NotFound: there is no such project
    """
    if session.get(Project, project_id) is None:
        raise NotFound
    return plan_project(session, project_id)


def erase_project(session: Session, project_id: uuid.UUID) -> Plan:
    """Delete a project with everything in it and its traces elsewhere.

    :raises NotFound: there is no such project
    :raises Impossible: a run is going on
    """
    plan = delete_project(session, project_id)
    return _erased(
        session, "project", project_id, plan, answers=forget_answers(session, str(project_id))
    )


def plan_erasure_of_source(session: Session, source_id: uuid.UUID) -> Plan:
    """Preview the erasure of a source, which may already be deleted, and of the versions made from it.

    :raises NotFound: there is no such source, and nothing was made from one
    """
    source = session.get(Source, source_id)
    documents = made_from(session, source_id)
    if source is None and not documents and not is_quoted(session, source_id):
        raise NotFound
    touched = select(DocumentVersion.document_id).where(_made_from(source_id))
    others = select(DocumentVersion.document_id).where(~_made_from(source_id))
    takes = count_things(
        session,
        revisions=revisions_of(source_id),
        texts=texts_of(source_id),
        versions=select(DocumentVersion.id).where(_made_from(source_id)),
        reviews=select(Review.id).join(DocumentVersion).where(_made_from(source_id)),
        comments=select(Comment.id).join(DocumentVersion).where(_made_from(source_id)),
        documents=select(Document.id).where(Document.id.in_(touched), Document.id.not_in(others)),
        items=items_quoting_only(source_id),
    )
    obstacle = obstacle_of(session, Run.id.in_(runs_on(source_id)))
    return Plan(takes, documents, obstacle, notes=_copies(session, source))


def erase_source(session: Session, source_id: uuid.UUID) -> Plan:
    """Delete a source, its texts in the journal, and the versions that were made from it.

    :raises NotFound: there is no such source, and nothing was made from one
    :raises Impossible: a run of the source has not ended
    """
    locked = select(Source.id).where(Source.id == source_id).with_for_update()
    session.execute(locked)
    plan = plan_erasure_of_source(session, source_id)
    plan.check_possible()
    # Versions first: a transaction that approves a version locks the version, then the register.
    delete_versions(session, _made_from(source_id))
    delete_quotes_of(session, source_id)
    remove_source(session, source_id)
    return _erased(
        session, "source", source_id, plan, answers=forget_answers(session, str(source_id))
    )


def plan_erasure_of_user(session: Session, user_id: uuid.UUID) -> Plan:
    """Preview the erasure of a user. A deleted user leaves at most names and addresses."""
    plan = plan_user(session, user_id, named=True)
    return Plan(plan.takes, obstacle=plan.obstacle, notes=[_TEXTS_OF_OTHERS])


def erase_user(session: Session, user_id: uuid.UUID) -> Plan:
    """Delete a user, who may already be deleted, and their names and addresses everywhere in the service.

    :raises NotFound: there is neither such a user nor a trace of one
    :raises Impossible: a project would lose its last owner, or a deleted project has a run that has not ended
    """
    user = session.get(User, user_id, with_for_update=True)
    removed = erase_in_add_ons(session, user_id)
    if user is None:
        if not any(removed.values()):
            raise NotFound
        return _erased(session, "user", user_id, Plan({}), **removed)
    answers = forget_answers(session, user.email)
    removed["imported"] = _forget_imported(session, user.email)
    plan = delete_user(session, user_id, named=True)
    return _erased(session, "user", user_id, plan, answers=answers, **removed)


def _forget_imported(session: Session, email: str) -> int:
    """Blank the person in imported projects, where only the address identifies them."""
    result = session.execute(
        update(ImportedPerson)
        .where(func.lower(ImportedPerson.email) == email.lower())
        .values(name="", email="")
        .returning(ImportedPerson.id)
    )
    return len(result.all())


def _erased(session: Session, kind: str, object_id: uuid.UUID, plan: Plan, **more: int) -> Plan:
    """Notify the add-ons of an erasure, and return its complete plan."""
    takes = {**plan.takes, **{name: number for name, number in more.items() if number}}
    report_command(session, UserAction("erase", f"{kind}:{object_id}", takes))
    return Plan(takes, plan.documents, notes=plan.notes)


def _made_from(source_id: uuid.UUID) -> ColumnElement[bool]:
    inputs = select(VersionInput.version_id).where(
        VersionInput.kind == "source", VersionInput.ref_id == source_id
    )
    return DocumentVersion.id.in_(inputs)


def _copies(session: Session, source: Source | None) -> list[str]:
    """Return a note for each other source of the project that has a text of this one."""
    if source is None:
        return []
    revisions = select(SourceRevision.sha256).where(SourceRevision.source_id == source.id)
    texts = {source.sha256, *session.scalars(revisions)}
    with_revision = select(SourceRevision.source_id).where(SourceRevision.sha256.in_(texts))
    copies = session.scalars(
        select(Source)
        .where(
            Source.project_id == source.project_id,
            or_(Source.sha256.in_(texts), Source.id.in_(with_revision)),
            Source.id != source.id,
        )
        .order_by(Source.id)
    )
    return [f"The source {copy.name} ({copy.id}) has the same text and is kept." for copy in copies]
