"""Maps the errors of the domain to HTTP problems, for the API and the pages."""

from __future__ import annotations

from pyramid.config import Configurator

from combine_core.comments import InvalidComment, MayNotDelete
from combine_core.deletion import Impossible, NotFound, SourceInUse
from combine_core.documents import InvalidContent, NotNewest, NotStale
from combine_core.exports import NotExported
from combine_core.lines import UnknownLine
from combine_core.llm import UnknownModel
from combine_core.portability.archive import InvalidArchive
from combine_core.projects.invitations import (
    InvitationEnded,
    TooManyInvitations,
    UnknownInvitation,
)
from combine_core.projects.members import LastOwner, NoMember
from combine_core.register import NothingProposed
from combine_core.reviews import InvalidReview, MayNotDecide, ReviewConflict
from combine_core.runs import InvalidRun, QueueFull
from combine_core.sources import UnsupportedFile
from combine_core.web.problems import DETAILS, FieldError, ProblemError, invalid_content

QUEUE_RETRY_S = 30


def _queue_full(error: QueueFull) -> ProblemError:
    headers = {"Retry-After": str(QUEUE_RETRY_S)}
    return ProblemError(503, str(error), kind="queue-full", headers=headers)


def _source_in_use(error: SourceInUse) -> ProblemError:
    documents = [FieldError(f"documents/{one.id}", one.title) for one in error.documents]
    return ProblemError(409, str(error), kind="source-in-use", errors=documents)


def _invalid_content_of_document(error: InvalidContent) -> ProblemError:
    return invalid_content(
        *(FieldError(f"content{pointer}", why) for pointer, why in error.problems)
    )


def includeme(config: Configurator) -> None:
    config.add_problem(
        UnsupportedFile,
        lambda error: invalid_content(FieldError("file", str(error)), status=415),
    )
    for invalid in (InvalidComment, InvalidRun, InvalidReview):
        config.add_problem(
            invalid, lambda error: invalid_content(FieldError(error.field, str(error)))
        )
    config.add_problem(
        InvalidArchive, lambda error: invalid_content(FieldError("file", str(error)))
    )
    for forbidden in (MayNotDecide, MayNotDelete):
        config.add_problem(forbidden, lambda error: ProblemError(403, str(error)))
    config.add_problem(InvalidContent, _invalid_content_of_document)
    config.add_problem(UnknownLine, lambda error: invalid_content(FieldError("line", str(error))))
    config.add_problem(UnknownModel, lambda error: invalid_content(FieldError("model", str(error))))
    config.add_problem(QueueFull, _queue_full)
    config.add_problem(NotExported, lambda error: ProblemError(422, str(error)))
    for missing in (NoMember, NotFound, UnknownInvitation):
        config.add_problem(missing, lambda _error: ProblemError(404, DETAILS[404]))
    config.add_problem(SourceInUse, _source_in_use)
    for conflict in (
        Impossible,
        LastOwner,
        InvitationEnded,
        NotNewest,
        NotStale,
        NothingProposed,
        ReviewConflict,
        TooManyInvitations,
    ):
        config.add_problem(conflict, lambda error: ProblemError(409, str(error)))
