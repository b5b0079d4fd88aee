"""API endpoints for documents and their versions."""

from __future__ import annotations

import json
import math
import uuid
from functools import partial

import orjson
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNoContent
from pyramid.request import Request
from pyramid.response import Response

from combine_core.access import DocumentContext, ProjectContext
from combine_core.api.responses import IS_DESCRIBED
from combine_core.api.serializers import (
    Json,
    show_citation,
    show_document,
    show_plan,
    show_version,
    show_whole_document,
)
from combine_core.deletion import delete_document, plan_document
from combine_core.documents import (
    DocumentVersion,
    acknowledge,
    change_document,
    list_citations,
    list_documents,
    list_stale_reasons,
    list_versions,
    read_authors,
    read_stored,
    read_version,
)
from combine_core.exports import FORMATS
from combine_core.exports.service import export_version, file_name_of
from combine_core.portability.provenance import read_provenance
from combine_core.reviews import newest_review, newest_reviews
from combine_core.sources import find_source
from combine_core.users import Permission, UserAction, report_action
from combine_core.web.endpoints import View, attachment, or_not_found, show_page
from combine_core.web.memory_budget import hold_memory


def list_documents_of(context: ProjectContext, request: Request) -> Json:
    page = list_documents(
        request.dbsession, context.project.id, **request.openapi_validated.parameters.query
    )
    reviews = newest_reviews(request.dbsession, [document.id for document in page.items])
    return show_page(request, page, lambda one: show_document(one, reviews.get(one.id)))


def list_versions_of(context: DocumentContext, request: Request) -> Json:
    page = list_versions(
        request.dbsession, context.document_id, **request.openapi_validated.parameters.query
    )
    return show_page(request, page, show_version)


def get_document(context: DocumentContext, request: Request) -> Json | Response:
    """Return the version whose number is in the path, or the newest one."""
    if request.openapi_validated.parameters.query["format"] == "md":
        # Deprecated in favour of .../markdown. The OpenAPI document has only JSON, for generated clients.
        request.environ[IS_DESCRIBED] = False
        return get_markdown(context, request)
    return _show(context, request, _number_in_path(request))


def show_newest(context: DocumentContext, request: Request) -> Json:
    return _show(context, request, None)


def _show(context: DocumentContext, request: Request, number: int | None) -> Json:
    session = request.dbsession
    version = or_not_found(read_stored(session, context.document_id, number))
    text = version.content
    shown = show_whole_document(
        version,
        read_authors(session, context.project.id, json.loads(text))
        if '"author_id"' in text
        else {},
        newest_review(session, context.document_id, version.number),
        list_stale_reasons(session, [version.id]).get(version.id, []),
        read_provenance(session, context.project.id, version),
    )
    # The stored JSON is sent as it is, without parsing and serializing it.
    shown["content"] = orjson.Fragment(text)
    return shown


def change(context: DocumentContext, request: Request) -> Json:
    body = request.openapi_validated.body
    change_document(request.dbsession, read_requested(context, request).document, **body)
    report_action(request, _action("change", context, changed=list(body)))
    return show_newest(context, request)


def acknowledge_change(context: DocumentContext, request: Request) -> Json:
    """Acknowledge a changed input, so that the document may stay as it is."""
    body = request.openapi_validated.body
    acknowledge(
        request.dbsession,
        read_requested(context, request),
        body["input_id"],
        user_id=context.identity.user_id,
        note=body["note"],
    )
    return show_newest(context, request)


def get_deletion(context: DocumentContext, request: Request) -> Json:
    return show_plan(plan_document(request.dbsession, context.document_id))


def delete(context: DocumentContext, request: Request) -> HTTPNoContent:
    plan = delete_document(request.dbsession, context.document_id)
    report_action(request, _action("delete", context, **plan.takes))
    return HTTPNoContent()


def _action(action: str, context: DocumentContext, **details: object) -> UserAction:
    return UserAction(f"document-{action}", f"document:{context.document_id}", details)


def get_markdown(context: DocumentContext, request: Request) -> Response:
    return export_requested(context, request, "md")


def get_docx(context: DocumentContext, request: Request) -> Response:
    return export_requested(context, request, "docx")


def get_pdf(context: DocumentContext, request: Request) -> Response:
    return export_requested(context, request, "pdf")


def export_requested(context: DocumentContext, request: Request, extension: str) -> Response:
    """Send the version whose number is in the path, or the newest one, as a file."""
    version = read_requested(context, request)
    return Response(
        export_version(request.dbsession, version, extension, partial(hold_memory, request)),
        content_type=FORMATS[extension],
        content_disposition=attachment(file_name_of(version, extension)),
    )


def _number_in_path(request: Request) -> int | None:
    number = request.matchdict.get("number")
    return None if number is None else int(number)


def read_requested(context: DocumentContext, request: Request) -> DocumentVersion:
    """Return the version whose number is in the path, or the newest one."""
    number = _number_in_path(request)
    return or_not_found(read_version(request.dbsession, context.document_id, number))


def list_statements_of_source(context: ProjectContext, request: Request) -> Json:
    source_id = uuid.UUID(request.matchdict["id"])
    source = or_not_found(find_source(request.dbsession, context.project.id, source_id))
    query = request.openapi_validated.parameters.query
    revision = query.get("revision", source.revision)
    citations = list_citations(request.dbsession, context.project.id, source_id, revision)
    first, last = query.get("line_from", 1), query.get("line_to", math.inf)
    return {
        "items": [
            show_citation(each)
            for each in citations.items
            if each.line_from <= last and each.line_to >= first
        ],
        "complete": citations.complete,
    }


def includeme(config: Configurator) -> None:
    """Add the endpoints."""
    add = partial(config.add_endpoint, factory=DocumentContext, openapi=True)
    config.add_endpoint(
        "api.documents",
        "/projects/{slug}/documents",
        View("GET", list_documents_of, Permission.DOCUMENTS_READ),
        factory=ProjectContext,
        openapi=True,
    )
    add(
        "api.document",
        "/documents/{id}",
        View("GET", get_document, Permission.DOCUMENTS_READ),
        View("PATCH", change, Permission.DOCUMENTS_WRITE, if_match=show_newest),
        View("DELETE", delete, Permission.DOCUMENTS_WRITE, if_match=show_newest),
    )
    add(
        "api.document_acknowledgements",
        "/documents/{id}/acknowledgements",
        View("POST", acknowledge_change, Permission.DOCUMENTS_WRITE),
    )
    add(
        "api.document_deletion",
        "/documents/{id}/deletion",
        View("GET", get_deletion, Permission.DOCUMENTS_READ),
    )
    for name, view in (("markdown", get_markdown), ("docx", get_docx), ("pdf", get_pdf)):
        for route, path in (
            ("document", "/documents/{id}"),
            ("version", "/documents/{id}/versions/{number}"),
        ):
            add(
                f"api.{route}_{name}",
                f"{path}/{name}",
                View("GET", view, Permission.DOCUMENTS_READ),
            )
    add(
        "api.version",
        "/documents/{id}/versions/{number}",
        View("GET", get_document, Permission.DOCUMENTS_READ),
    )
    config.add_endpoint(
        "api.source_statements",
        "/projects/{slug}/sources/{id}/statements",
        View("GET", list_statements_of_source, Permission.DOCUMENTS_READ),
        factory=ProjectContext,
        openapi=True,
    )
