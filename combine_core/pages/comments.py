"""The page of the comments on a document, and the handling of mentions in the inbox."""

from __future__ import annotations

import re
import uuid
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest, HTTPSeeOther
from pyramid.request import Request

from combine_core.access import CommentContext, DocumentContext, InboxContext
from combine_core.comments import (
    InvalidComment,
    delete_comment,
    list_comments,
    mark_read,
    read_comment,
    set_resolved,
)
from combine_core.documents import located_statements, read_version
from combine_core.submissions import add_comment_once
from combine_core.text import InvalidText
from combine_core.users import Permission
from combine_core.web.endpoints import View, or_not_found
from combine_core.web.forms import Form, sentence, text_of

_TEMPLATE = "combine_core:pages/comments.jinja2"


def show_comments(
    context: DocumentContext, request: Request, form: Form | None = None
) -> dict[str, Any]:
    """Show the comments on a document. ``?statement=/decisions/0`` adds a form for a new comment."""
    version = or_not_found(read_version(request.dbsession, context.document_id))
    pointer = request.GET.get("statement")
    statement = dict(located_statements(version.content)).get(pointer or "")
    cursor = request.GET.get("cursor")
    return {
        "project": context.project,
        "document": version.document,
        "version": version,
        "pointer": pointer,
        "statement": statement,
        "comments": list_comments(request.dbsession, context.document_id, cursor=cursor),
        "me": context.identity.user_id,
        "may_change": bool(request.has_permission(Permission.DOCUMENTS_WRITE)),
        "form": form or Form(),
    }


def add(context: DocumentContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Add a comment on the statement."""
    form = Form({"text": text_of(request, "text")})
    pointer, number = request.GET.get("statement", ""), text_of(request, "version")
    if not re.fullmatch("[1-9][0-9]{0,8}", number):
        raise HTTPBadRequest
    try:
        add_comment_once(
            request.dbsession,
            context.document_id,
            context.identity.user_id,
            number=int(number),
            pointer=pointer,
            text=text_of(request, "text"),
            notify=context.notify_add_ons,
        )
    except InvalidComment as error:
        request.response.status_int = 400
        return show_comments(context, request, form.with_error("text", str(error)))
    except InvalidText as error:
        request.response.status_int = 400
        return show_comments(context, request, form.with_error("text", sentence(error)))
    return _back(request, context.document_id)


def resolve(context: CommentContext, request: Request) -> HTTPSeeOther:
    comment = set_resolved(
        request.dbsession,
        context.comment_id,
        context.identity.user_id,
        resolved=text_of(request, "resolved") == "yes",
    )
    return _back(request, comment.document_id)


def delete(context: CommentContext, request: Request) -> HTTPSeeOther:
    document_id = read_comment(request.dbsession, context.comment_id).document_id
    delete_comment(
        request.dbsession,
        context.comment_id,
        context.identity.user_id,
        notify=context.notify_add_ons,
    )
    return _back(request, document_id)


def read(context: InboxContext, request: Request) -> HTTPSeeOther:
    """Remove a mention from the inbox."""
    try:
        comment_id = uuid.UUID(text_of(request, "comment"))
    except ValueError as error:
        raise HTTPBadRequest from error
    mark_read(request.dbsession, comment_id, context.identity.user_id)
    return HTTPSeeOther(request.route_path("pages.inbox"))


def _back(request: Request, document_id: uuid.UUID) -> HTTPSeeOther:
    return HTTPSeeOther(request.route_path("pages.comments", id=document_id))


def includeme(config: Configurator) -> None:
    """Add the pages."""
    config.add_endpoint(
        "pages.comments",
        "/documents/{id}/comments",
        View("GET", show_comments, Permission.DOCUMENTS_READ, renderer=_TEMPLATE),
        View("POST", add, Permission.DOCUMENTS_WRITE, form="add", renderer=_TEMPLATE),
        factory=DocumentContext,
    )
    config.add_endpoint(
        "pages.comment",
        "/comments/{id}",
        View("POST", resolve, Permission.DOCUMENTS_WRITE, form="resolve"),
        View("POST", delete, Permission.DOCUMENTS_WRITE, form="delete"),
        factory=CommentContext,
    )
    config.add_endpoint(
        "pages.mentions",
        "/inbox/mentions",
        View("POST", read, Permission.DOCUMENTS_READ, form="read"),
        factory=InboxContext,
    )
