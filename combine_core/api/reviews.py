"""API endpoints for reviews of documents, decisions and the inbox."""

from __future__ import annotations

import uuid
from functools import partial

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.request import Request

from combine_core.access import DocumentContext, InboxContext, ReviewContext
from combine_core.api.serializers import Json, show_review
from combine_core.reviews import (
    Decision,
    OnExpiry,
    Terms,
    ask_for_review,
    decide,
    edit_and_approve,
    list_reviews,
    list_waiting,
    read_review,
    withdraw,
)
from combine_core.users import Permission, Role
from combine_core.web.endpoints import View, show_page
from combine_core.web.memory_budget import hold_memory


def list_of_document(context: DocumentContext, request: Request) -> Json:
    query = request.openapi_validated.parameters.query
    return show_page(
        request, list_reviews(request.dbsession, context.document_id, **query), show_review
    )


def ask(context: DocumentContext, request: Request) -> Json:
    body = request.openapi_validated.body
    terms = Terms(
        role=Role(body.get("role", Role.REVIEWER)),
        people=[uuid.UUID(str(one)) for one in body.get("people", ())],
        needed=body.get("needed", 1),
        author_may_decide=body.get("author_may_decide", False),
        due_at=body.get("due_at"),
        on_expiry=OnExpiry(body.get("on_expiry", OnExpiry.NOTHING)),
    )
    review = ask_for_review(
        request.dbsession,
        context.document_id,
        body["version"],
        context.identity.user_id,
        terms,
        notify=context.notify_add_ons,
    )
    request.response.status_int = 201
    request.response.location = request.route_path("api.review", id=review.id)
    return show_review(review)


def get_review(context: ReviewContext, request: Request) -> Json:
    return show_review(read_review(request.dbsession, context.review_id))


def add_decision(context: ReviewContext, request: Request) -> Json:
    body = request.openapi_validated.body
    review = decide(
        request.dbsession,
        context.review_id,
        context.identity.user_id,
        context.role,
        Decision(body["decision"]),
        sha256=body["sha256"],
        comment=body.get("comment"),
        notify=context.notify_add_ons,
    )
    return show_review(review)


def edit(context: ReviewContext, request: Request) -> Json:
    allowed = request.has_permission(Permission.DOCUMENTS_WRITE)
    if not allowed:
        raise HTTPForbidden(result=allowed)
    body = request.openapi_validated.body
    review = edit_and_approve(
        request.dbsession,
        context.review_id,
        context.identity.user_id,
        context.role,
        body["content"],
        sha256=body["sha256"],
        comment=body.get("comment"),
        note=body.get("note"),
        before_texts=partial(hold_memory, request),
        notify=context.notify_add_ons,
    )
    request.response.content_location = request.route_path("api.review", id=review.id)
    return show_review(review)


def withdraw_review(context: ReviewContext, request: Request) -> Json:
    review = withdraw(
        request.dbsession,
        context.review_id,
        context.identity.user_id,
        context.role,
        notify=context.notify_add_ons,
    )
    return show_review(review)


def show_inbox(context: InboxContext, request: Request) -> Json:
    query = request.openapi_validated.parameters.query
    page = list_waiting(request.dbsession, context.identity.user_id, **query)
    return show_page(request, page, show_review)


def includeme(config: Configurator) -> None:
    """Add the endpoints."""
    add = partial(config.add_endpoint, factory=ReviewContext, openapi=True)
    config.add_endpoint(
        "api.document_reviews",
        "/documents/{id}/reviews",
        View("GET", list_of_document, Permission.DOCUMENTS_READ),
        View("POST", ask, Permission.DOCUMENTS_WRITE),
        factory=DocumentContext,
        openapi=True,
    )
    add("api.review", "/reviews/{id}", View("GET", get_review, Permission.DOCUMENTS_READ))
    add(
        "api.review_decisions",
        "/reviews/{id}/decisions",
        View("POST", add_decision, Permission.DOCUMENTS_REVIEW, if_match=get_review),
    )
    add(
        "api.edit_and_approve",
        "/reviews/{id}/edit-and-approve",
        View("POST", edit, Permission.DOCUMENTS_REVIEW, if_match=get_review),
    )
    add(
        "api.withdraw_review",
        "/reviews/{id}/withdraw",
        View("POST", withdraw_review, Permission.DOCUMENTS_WRITE, if_match=get_review),
    )
    config.add_endpoint(
        "api.inbox",
        "/inbox",
        View("GET", show_inbox, Permission.DOCUMENTS_READ),
        factory=InboxContext,
        openapi=True,
    )
