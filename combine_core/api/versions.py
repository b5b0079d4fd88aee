"""API endpoints that edit, restore and compare versions of documents."""

from __future__ import annotations

from functools import partial

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from combine_core.access import DocumentContext
from combine_core.api.documents import list_versions_of, show_newest
from combine_core.api.serializers import Json, show_comparison
from combine_core.documents import (
    DocumentComparison,
    DocumentVersion,
    action_of,
    compare_contents,
    comparison_markdown,
    edit_document,
    read_version,
    restore_version,
)
from combine_core.users import Permission
from combine_core.web.endpoints import View, or_not_found
from combine_core.web.memory_budget import hold_memory


def edit(context: DocumentContext, request: Request) -> Json:
    body = request.openapi_validated.body
    version = edit_document(
        request.dbsession,
        context.document_id,
        body["content"],
        base=body["version"],
        author_id=context.identity.user_id,
        note=body.get("note"),
        before_texts=partial(hold_memory, request),
    )
    return _show_added(context, request, version)


def restore(context: DocumentContext, request: Request) -> Json:
    number = int(request.matchdict["number"])
    version = restore_version(
        request.dbsession, context.document_id, number, author_id=context.identity.user_id
    )
    return _show_added(context, request, version)


def _show_added(context: DocumentContext, request: Request, added: DocumentVersion | None) -> Json:
    """Return the newest version, with 201 if one was added. Without a difference, none is."""
    if added is not None:
        context.notify_add_ons(action_of(added))
        request.response.status_int = 201
        request.response.location = request.route_path(
            "api.version", id=context.document_id, number=added.number
        )
    request.dbsession.expire_all()
    return show_newest(context, request)


def get_comparison(context: DocumentContext, request: Request) -> Json:
    comparison, old, new = _compare(context, request)
    return show_comparison(comparison, old.number, new.number)


def get_comparison_markdown(context: DocumentContext, request: Request) -> Response:
    comparison, old, new = _compare(context, request)
    text = comparison_markdown(
        comparison, title=new.document.title, old_number=old.number, new_number=new.number
    )
    return Response(text, content_type="text/markdown", charset="utf-8")


def _compare(
    context: DocumentContext, request: Request
) -> tuple[DocumentComparison, DocumentVersion, DocumentVersion]:
    """Compare the versions ``?from=1`` and ``?to=2``. Return the comparison and both versions."""
    query = request.openapi_validated.parameters.query
    versions = []
    for name in ("from", "to"):
        version = or_not_found(read_version(request.dbsession, context.document_id, query[name]))
        versions.append(version)
    old, new = versions
    return compare_contents(old.content, new.content), old, new


def includeme(config: Configurator) -> None:
    """Add the endpoints."""
    add = partial(config.add_endpoint, factory=DocumentContext, openapi=True)
    add(
        "api.versions",
        "/documents/{id}/versions",
        View("GET", list_versions_of, Permission.DOCUMENTS_READ),
        View("POST", edit, Permission.DOCUMENTS_WRITE, if_match=show_newest),
    )
    add(
        "api.version_restore",
        "/documents/{id}/versions/{number}/restore",
        View("POST", restore, Permission.DOCUMENTS_WRITE, if_match=show_newest),
    )
    add(
        "api.comparison",
        "/documents/{id}/comparison",
        View("GET", get_comparison, Permission.DOCUMENTS_READ),
    )
    add(
        "api.comparison_markdown",
        "/documents/{id}/comparison/markdown",
        View("GET", get_comparison_markdown, Permission.DOCUMENTS_READ),
    )
