"""Plans deletions and deletes. A lock on the object ensures that the deletion matches its plan."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, Select, delete, func, null, select, update
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import Session

from combine_core.comments.model import Comment
from combine_core.deletion.plan import NotFound, Plan, Reference, SourceInUse
from combine_core.documents import (
    Document,
    DocumentVersion,
    VersionInput,
    delete_acknowledgements,
    delete_documents,
    delete_versions,
    lock_document,
)
from combine_core.projects import Project
from combine_core.register import Item
from combine_core.reviews.model import Review
from combine_core.runs import Call, Run, RunSource, Step
from combine_core.runs.journal import delete_texts
from combine_core.sources import Source, SourceRevision
from combine_core.users import Membership

MOST_LISTED = 100


def plan_projects(session: Session, project_ids: Sequence[uuid.UUID]) -> Plan:
    in_projects = Run.project_id.in_(project_ids)
    takes = count_things(
        session,
        sources=select(Source.id).where(Source.project_id.in_(project_ids)),
        revisions=select(SourceRevision.id)
        .join(Source, Source.id == SourceRevision.source_id)
        .where(Source.project_id.in_(project_ids)),
        documents=select(Document.id).where(Document.project_id.in_(project_ids)),
        versions=select(DocumentVersion.id)
        .join(DocumentVersion.document)
        .where(Document.project_id.in_(project_ids)),
        reviews=select(Review.id).where(Review.project_id.in_(project_ids)),
        comments=select(Comment.id).where(Comment.project_id.in_(project_ids)),
        items=select(Item.id).where(Item.project_id.in_(project_ids)),
        runs=select(Run.id).where(in_projects),
        calls=select(Call.id).join(Run, Run.id == Call.run_id).where(in_projects),
        members=select(Membership.user_id).where(Membership.project_id.in_(project_ids)),
    )
    return Plan(takes, obstacle=obstacle_of(session, in_projects))


def plan_project(session: Session, project_id: uuid.UUID) -> Plan:
    return plan_projects(session, [project_id])


def delete_project(session: Session, project_id: uuid.UUID) -> Plan:
    """Delete a project with everything in it.

    :returns: the plan that was executed
    :raises NotFound: there is no such project
    :raises Impossible: a run has not ended
    """
    # Transactions that would add something to the project, such as a run, wait for the lock.
    locked = select(Project.id).where(Project.id == project_id).with_for_update()
    if session.scalar(locked) is None:
        raise NotFound
    plan = plan_project(session, project_id)
    plan.check_possible()
    _delete(session, Project, project_id)
    return plan


def plan_source(session: Session, project_id: uuid.UUID, source_id: uuid.UUID) -> Plan:
    """Preview the deletion of a source and its texts in the journal. Documents made from it are kept.

    :raises NotFound: the project has no such source
    """
    in_project = select(Source.id).where(Source.id == source_id, Source.project_id == project_id)
    if session.scalar(in_project) is None:
        raise NotFound
    takes = count_things(session, revisions=revisions_of(source_id), texts=texts_of(source_id))
    obstacle = obstacle_of(session, Run.id.in_(runs_on(source_id)))
    return Plan(takes, made_from(session, source_id), obstacle)


def delete_source(
    session: Session, project_id: uuid.UUID, source_id: uuid.UUID, *, force: bool
) -> Plan:
    """Delete a source, its file, and the texts of its runs. The figures of the runs are kept.

    :param force: whether to delete the source even if documents were made from it
    :returns: the plan that was executed
    :raises NotFound: the project has no such source
    :raises Impossible: a run of the source has not ended
    :raises SourceInUse: documents were made from it
    """
    # A run that is starting waits for the lock, and then does not find the source.
    session.execute(select(Source.id).where(Source.id == source_id).with_for_update())
    plan = plan_source(session, project_id, source_id)
    plan.check_possible()
    if plan.documents and not force:
        raise SourceInUse(plan.documents)
    remove_source(session, source_id)
    return plan


def remove_source(session: Session, source_id: uuid.UUID) -> None:
    """Delete the rows of a locked source, and its texts in the runs that have read it."""
    runs = session.scalars(runs_on(source_id)).all()
    # The title of a step that reads a single source contains its name.
    session.execute(
        update(Step)
        .where(
            Step.run_id == RunSource.run_id,
            RunSource.source_id == source_id,
            func.split_part(Step.key, ".", 2) == func.concat("S", RunSource.position),
        )
        .values(title=func.regexp_replace(Step.title, "^(.*?): .*$", "\\1: a deleted source"))
        .execution_options(synchronize_session=False)
    )
    delete_texts(session, runs)
    delete_acknowledgements(session, source_id)
    _delete(session, Source, source_id)


def plan_document(session: Session, document_id: uuid.UUID) -> Plan:
    """Preview the deletion of a document with its versions, their reviews and the comments on them."""
    versions = select(DocumentVersion.id).where(DocumentVersion.document_id == document_id)
    reviews = select(Review.id).where(Review.document_id == document_id)
    comments = select(Comment.id).where(Comment.document_id == document_id)
    takes = count_things(session, versions=versions, reviews=reviews, comments=comments)
    return Plan(takes)


def delete_document(session: Session, document_id: uuid.UUID) -> Plan:
    """Delete a document with its versions. The runs that wrote them are kept.

    :returns: the plan that was executed
    :raises NotFound: there is no such document
    """
    try:
        lock_document(session, document_id)
    except NoResultFound as error:
        raise NotFound from error
    plan = plan_document(session, document_id)
    delete_documents(session, [document_id])
    return plan


def plan_run(session: Session, run_id: uuid.UUID) -> Plan:
    """Preview the deletion of a run with its calls, its versions, and documents without other versions."""
    written = DocumentVersion.run_id == run_id
    documents = select(DocumentVersion.document_id).where(written)
    others = select(DocumentVersion.document_id).where(
        # The run of a version that a person has edited is NULL.
        DocumentVersion.run_id.is_distinct_from(run_id)
    )
    takes = count_things(
        session,
        calls=select(Call.id).where(Call.run_id == run_id),
        versions=select(DocumentVersion.id).where(written),
        reviews=select(Review.id).join(DocumentVersion).where(written),
        comments=select(Comment.id).join(DocumentVersion).where(written),
        documents=select(Document.id).where(Document.id.in_(documents), Document.id.not_in(others)),
    )
    return Plan(takes, obstacle=obstacle_of(session, Run.id == run_id))


def delete_run(session: Session, run_id: uuid.UUID) -> Plan:
    """Delete a run with its calls and the versions that it wrote.

    A document keeps its other versions, the newest of which becomes its head.

    :returns: the plan that was executed
    :raises NotFound: there is no such run
    :raises Impossible: the run has not ended
    """
    locked = select(Run.id).where(Run.id == run_id).with_for_update()
    if session.scalar(locked) is None:
        raise NotFound
    plan = plan_run(session, run_id)
    plan.check_possible()
    delete_versions(session, DocumentVersion.run_id == run_id)
    _delete(session, Run, run_id)
    return plan


def runs_on(source_id: uuid.UUID) -> Select[uuid.UUID]:
    return select(RunSource.run_id).where(RunSource.source_id == source_id)


def revisions_of(source_id: uuid.UUID) -> Select[uuid.UUID]:
    """Select the ids of the revisions of the source except the newest."""
    return select(SourceRevision.id).where(SourceRevision.source_id == source_id)


def texts_of(source_id: uuid.UUID) -> Select[uuid.UUID]:
    """Select the ids of the calls that may contain text of the source."""
    return select(Call.id).where(Call.run_id.in_(runs_on(source_id)), Call.request.is_not(null()))


def made_from(session: Session, source_id: uuid.UUID) -> list[Reference]:
    """Return the documents with versions that were made from the source, up to ``MOST_LISTED``."""
    rows = session.execute(
        select(Document.id, Document.title, func.count())
        .join(DocumentVersion, DocumentVersion.document_id == Document.id)
        .join(VersionInput, VersionInput.version_id == DocumentVersion.id)
        .where(VersionInput.kind == "source", VersionInput.ref_id == source_id)
        .group_by(Document.id)
        .order_by(Document.id.desc())
        .limit(MOST_LISTED)
    )
    return [Reference(*row) for row in rows]


def obstacle_of(session: Session, *conditions: ColumnElement[bool]) -> str | None:
    """Return a message if one of the runs that meet the conditions has not ended."""
    live = session.scalar(
        select(func.count()).select_from(Run).where(Run.ended_at.is_(None), *conditions)
    )
    if not live:
        return None
    runs = "A run is" if live == 1 else f"{live} runs are"
    return f"{runs} still going on. Cancel {'it' if live == 1 else 'them'} first, or wait."


def count_things(session: Session, **ids: Select[uuid.UUID]) -> Mapping[str, int]:
    """Count the rows of each statement. Zeros are left out."""
    numbers = session.execute(
        select(
            *(
                select(func.count()).select_from(each.subquery()).scalar_subquery().label(kind)
                for kind, each in ids.items()
            )
        )
    ).one()
    return {kind: number for kind, number in zip(ids, numbers, strict=True) if number}


def _delete(session: Session, table: type[Project | Source | Run], row_id: uuid.UUID) -> None:
    session.execute(
        delete(table).where(table.id == row_id).execution_options(synchronize_session=False)
    )
