"""The pages on which people ask for reviews and decide, and the inbox."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest, HTTPSeeOther
from pyramid.request import Request

from combine_core.access import DocumentContext, InboxContext, ReviewContext
from combine_core.comments import list_mentions
from combine_core.documents import read_version
from combine_core.pages.documents import document_page
from combine_core.reviews import (
    MAX_NEEDED,
    Decision,
    InvalidReview,
    OnExpiry,
    ReviewConflict,
    ReviewState,
    Terms,
    ask_for_review,
    count_waiting,
    decide,
    list_deciders,
    list_reviews,
    list_waiting,
    newest_review,
    obstacle_to_decide,
    read_review,
    withdraw,
)
from combine_core.settings import settings_of
from combine_core.settings.core import CoreSettings
from combine_core.text import InvalidText
from combine_core.users import Permission, Role, is_mail_on, set_mail
from combine_core.web.endpoints import View, or_not_found
from combine_core.web.forms import Form, ids_of, sentence, text_of

_TEMPLATE = "combine_core:pages/review.jinja2"
_LIST_TEMPLATE = "combine_core:pages/review_list.jinja2"
_INBOX_TEMPLATE = "combine_core:pages/inbox.jinja2"


# The reviews of a document.


def show_reviews(
    context: DocumentContext, request: Request, form: Form | None = None
) -> dict[str, Any]:
    session = request.dbsession
    version = or_not_found(read_version(session, context.document_id))
    current = newest_review(session, context.document_id)
    is_free = current is None or current.state not in (ReviewState.OPEN, ReviewState.APPROVED)
    may_change = bool(request.has_permission(Permission.DOCUMENTS_WRITE))
    may_ask = is_free and may_change
    cursor = request.GET.get("cursor")
    return {
        "project": context.project,
        "document": version.document,
        "reviews": list_reviews(session, context.document_id, cursor=cursor),
        "may_change": may_change,
        "may_ask": may_ask,
        "deciders": list_deciders(session, context.project.id) if may_ask else [],
        "most_needed": MAX_NEEDED,
        "form": form or Form(),
    }


def ask(context: DocumentContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Create a review, and redirect to it."""
    form = Form(
        {
            **{name: text_of(request, name) for name in ("who", "needed", "due", "reject")},
            "author_may_decide": text_of(request, "author_may_decide"),
            "people": [str(one) for one in ids_of(request, "person")],
        }
    )
    number = text_of(request, "version")
    if not re.fullmatch("[1-9][0-9]{0,8}", number):
        raise HTTPBadRequest("This version is unknown. Reload the page, and ask again.")
    try:
        review = ask_for_review(
            request.dbsession,
            context.document_id,
            int(number),
            context.identity.user_id,
            _terms(request),
            notify=context.notify_add_ons,
        )
    except (InvalidReview, ReviewConflict) as error:
        return show_reviews(context, request, _refused(request, form, error))
    return HTTPSeeOther(request.route_path("pages.review", id=review.id))


def _terms(request: Request) -> Terms:
    who = text_of(request, "who")
    people = ids_of(request, "person") if who == "people" else []
    if who == "people" and not people:
        raise InvalidReview("people", "Select the people who decide.")
    if who not in ("people", Role.REVIEWER, Role.OWNER):
        raise HTTPBadRequest("This choice is unknown. Reload the page, and ask again.")
    needed = text_of(request, "needed").strip()
    if not re.fullmatch("[0-9]{1,3}", needed) or not 1 <= int(needed) <= MAX_NEEDED:
        raise InvalidReview("needed", f"Enter a number from 1 to {MAX_NEEDED}.")
    return Terms(
        role=Role.REVIEWER if who == "people" else Role(who),
        people=people,
        needed=int(needed),
        author_may_decide=text_of(request, "author_may_decide") == "yes",
        due_at=_end_of_day(text_of(request, "due").strip()),
        on_expiry=OnExpiry.REJECT if text_of(request, "reject") == "yes" else OnExpiry.NOTHING,
    )


def _end_of_day(day: str) -> datetime | None:
    try:
        return datetime.combine(date.fromisoformat(day), time.max, UTC) if day else None
    except ValueError as error:
        raise InvalidReview("due_at", "Enter a date such as 2027-01-31, or none.") from error


# One review.


def show_review(
    context: ReviewContext, request: Request, form: Form | None = None
) -> dict[str, Any]:
    session, me = request.dbsession, context.identity.user_id
    review = read_review(session, context.review_id)
    version = read_version(session, review.document_id, review.number)
    assert version is not None
    return {
        **document_page(context.project, version, request),
        "current_review": review,
        "overdue": review.state == ReviewState.OPEN
        and review.due_at is not None
        and review.due_at < datetime.now(UTC),
        "obstacle": obstacle_to_decide(review, me, context.role),
        "approved": any(each.user_id == me for each in review.decisions),
        "may_withdraw": me == review.asked_by or context.role is Role.OWNER,
        "form": form or Form(),
    }


def add_decision(context: ReviewContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Approve, reject or ask for changes."""
    try:
        decision = Decision(text_of(request, "decision"))
    except ValueError as error:
        message = "This decision is unknown. Reload the page, and decide again."
        raise HTTPBadRequest(message) from error
    return _act(
        context,
        request,
        functools.partial(
            decide,
            decision=decision,
            sha256=text_of(request, "sha256"),
            comment=text_of(request, "comment"),
        ),
    )


def withdraw_review(context: ReviewContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    return _act(context, request, withdraw)


def _act(
    context: ReviewContext, request: Request, act: Callable[..., object]
) -> dict[str, Any] | HTTPSeeOther:
    form = Form({"comment": text_of(request, "comment")})
    try:
        act(
            request.dbsession,
            context.review_id,
            context.identity.user_id,
            context.role,
            notify=context.notify_add_ons,
        )
    except (InvalidReview, InvalidText, ReviewConflict) as error:
        return show_review(context, request, _refused(request, form, error))
    return HTTPSeeOther(request.route_path("pages.review", id=context.review_id))


def _refused(
    request: Request, form: Form, error: InvalidReview | InvalidText | ReviewConflict
) -> Form:
    """Return the form with the error, and set the status of the response."""
    if isinstance(error, ReviewConflict):
        request.response.status_int = 409
        return form.with_error("review", str(error))
    request.response.status_int = 400
    message = sentence(error) if isinstance(error, InvalidText) else str(error)
    return form.with_error(error.field, message)


# The inbox.


def show_inbox(context: InboxContext, request: Request) -> dict[str, Any]:
    session, me = request.dbsession, context.identity.user_id
    return {
        "reviews": list_waiting(session, me, cursor=request.GET.get("cursor")),
        "mentions": list_mentions(session, me, cursor=request.GET.get("mentions")),
        "mail_on": is_mail_on(session, me) if _sends_mail(request) else None,
    }


def change_mail(context: InboxContext, request: Request) -> HTTPSeeOther:
    set_mail(request.dbsession, context.identity.user_id, on=text_of(request, "mail") == "on")
    return HTTPSeeOther(request.route_path("pages.inbox"))


def _sends_mail(request: Request) -> bool:
    return settings_of(request.registry, CoreSettings).smtp_host is not None


def _waiting(request: Request) -> int:
    return count_waiting(request.dbsession, request.identity.user_id)


def includeme(config: Configurator) -> None:
    """Add the pages, and the link to the inbox."""
    config.add_endpoint(
        "pages.document_reviews",
        "/documents/{id}/reviews",
        View("GET", show_reviews, Permission.DOCUMENTS_READ, renderer=_LIST_TEMPLATE),
        View("POST", ask, Permission.DOCUMENTS_WRITE, form="ask", renderer=_LIST_TEMPLATE),
        factory=DocumentContext,
    )
    config.add_endpoint(
        "pages.review",
        "/reviews/{id}",
        View("GET", show_review, Permission.DOCUMENTS_READ, renderer=_TEMPLATE),
        View("POST", add_decision, Permission.DOCUMENTS_REVIEW, form="decide", renderer=_TEMPLATE),
        View(
            "POST",
            withdraw_review,
            Permission.DOCUMENTS_WRITE,
            form="withdraw",
            renderer=_TEMPLATE,
        ),
        factory=ReviewContext,
    )
    config.add_endpoint(
        "pages.inbox",
        "/inbox",
        View("GET", show_inbox, Permission.DOCUMENTS_READ, renderer=_INBOX_TEMPLATE),
        View("POST", change_mail, Permission.DOCUMENTS_READ, form="mail"),
        factory=InboxContext,
    )
    config.add_nav_item("Inbox", "pages.inbox", order=20, count=_waiting)
