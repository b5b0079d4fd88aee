"""API endpoints for comments on statements, for mentions in the inbox, and for the user's mail."""

from __future__ import annotations

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNoContent
from pyramid.request import Request

from combine_core.access import CommentContext, DocumentContext, InboxContext
from combine_core.api.serializers import Json, show_comment
from combine_core.comments import (
    add_comment,
    delete_comment,
    list_comments,
    list_mentions,
    mark_read,
    read_comment,
    set_resolved,
)
from combine_core.users import Permission, is_mail_on, set_mail
from combine_core.web.endpoints import View, show_page


def list_of_document(context: DocumentContext, request: Request) -> Json:
    query = request.openapi_validated.parameters.query
    page = list_comments(request.dbsession, context.document_id, **query)
    return show_page(request, page, show_comment)


def add(context: DocumentContext, request: Request) -> Json:
    body = request.openapi_validated.body
    comment = add_comment(
        request.dbsession,
        context.document_id,
        context.identity.user_id,
        number=body["version"],
        pointer=body["pointer"],
        text=body["text"],
        notify=context.notify_add_ons,
    )
    request.response.status_int = 201
    request.response.location = request.route_path("api.comment", id=comment.id)
    return show_comment(comment)


def get_comment(context: CommentContext, request: Request) -> Json:
    return show_comment(read_comment(request.dbsession, context.comment_id))


def change(context: CommentContext, request: Request) -> Json:
    resolved = request.openapi_validated.body["resolved"]
    user_id = context.identity.user_id
    comment = set_resolved(request.dbsession, context.comment_id, user_id, resolved=resolved)
    return show_comment(comment)


def delete(context: CommentContext, request: Request) -> HTTPNoContent:
    delete_comment(
        request.dbsession,
        context.comment_id,
        context.identity.user_id,
        notify=context.notify_add_ons,
    )
    return HTTPNoContent()


def list_mentions_of_user(context: InboxContext, request: Request) -> Json:
    query = request.openapi_validated.parameters.query
    page = list_mentions(request.dbsession, context.identity.user_id, **query)
    return show_page(request, page, show_comment)


def mark_comment_read(context: CommentContext, request: Request) -> HTTPNoContent:
    mark_read(request.dbsession, context.comment_id, context.identity.user_id)
    return HTTPNoContent()


def get_mail(context: InboxContext, request: Request) -> Json:
    return {"enabled": is_mail_on(request.dbsession, context.identity.user_id)}


def put_mail(context: InboxContext, request: Request) -> Json:
    enabled = request.openapi_validated.body["enabled"]
    set_mail(request.dbsession, context.identity.user_id, on=enabled)
    return {"enabled": enabled}


def includeme(config: Configurator) -> None:
    """Add the endpoints."""
    config.add_endpoint(
        "api.document_comments",
        "/documents/{id}/comments",
        View("GET", list_of_document, Permission.DOCUMENTS_READ),
        View("POST", add, Permission.DOCUMENTS_WRITE),
        factory=DocumentContext,
        openapi=True,
    )
    config.add_endpoint(
        "api.comment",
        "/comments/{id}",
        View("GET", get_comment, Permission.DOCUMENTS_READ),
        View("PATCH", change, Permission.DOCUMENTS_WRITE, if_match=get_comment),
        View("DELETE", delete, Permission.DOCUMENTS_WRITE, if_match=get_comment),
        factory=CommentContext,
        openapi=True,
    )
    config.add_endpoint(
        "api.read_comment",
        "/comments/{id}/read",
        View("POST", mark_comment_read, Permission.DOCUMENTS_READ),
        factory=CommentContext,
        openapi=True,
    )
    config.add_endpoint(
        "api.mentions",
        "/inbox/mentions",
        View("GET", list_mentions_of_user, Permission.DOCUMENTS_READ),
        factory=InboxContext,
        openapi=True,
    )
    config.add_endpoint(
        "api.mail",
        "/inbox/mail",
        View("GET", get_mail, Permission.DOCUMENTS_READ),
        View("PUT", put_mail, Permission.DOCUMENTS_READ),
        factory=InboxContext,
        openapi=True,
    )
