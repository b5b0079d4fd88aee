"""Documents and their versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyramid.httpexceptions import HTTPNotFound
from pyramid.response import Response

from combine_core.api.shapes import (
    Json,
    show_document,
    show_page,
    show_version,
    show_whole_document,
)
from combine_core.documents import DocumentVersion, list_documents, read_version
from combine_core.documents import list_versions as versions_of
from combine_core.projects import slugify

if TYPE_CHECKING:
    from pyramid.request import Request

    from combine_core.access import DocumentContext, ProjectContext


def list_(context: ProjectContext, request: Request) -> Json:
    """GET /projects/{slug}/documents."""
    page = list_documents(
        request.dbsession, context.project.id, **request.openapi_validated.parameters.query
    )
    return show_page(page, show_document)


def list_versions(context: DocumentContext, request: Request) -> Json:
    """GET /documents/{id}/versions."""
    page = versions_of(
        request.dbsession, context.document_id, **request.openapi_validated.parameters.query
    )
    return show_page(page, show_version)


def get(context: DocumentContext, request: Request) -> Json | Response:
    """GET /documents/{id} and /documents/{id}/versions/{number}, as JSON or Markdown."""
    number = request.matchdict.get("number")
    version = read_version(
        request.dbsession, context.document_id, None if number is None else int(number)
    )
    if version is None:
        raise HTTPNotFound
    if request.openapi_validated.parameters.query["format"] == "md":
        return _as_markdown(version)
    return show_whole_document(version)


def _as_markdown(version: DocumentVersion) -> Response:
    name = f"{slugify(version.document.title)}-v{version.number}.md"
    response = Response(version.markdown, content_type="text/markdown", charset="utf-8")
    response.content_disposition = f'attachment; filename="{name}"'
    return response
