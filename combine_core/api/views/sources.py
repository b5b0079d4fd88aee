"""Sources of a project."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from pyramid.httpexceptions import HTTPNotFound

from combine_core.api.shapes import Json, show_page, show_source
from combine_core.api.upload import is_upload, read_upload
from combine_core.sources import add_source, list_sources, read_source
from combine_core.text import InvalidText

if TYPE_CHECKING:
    from pyramid.request import Request

    from combine_core.access import ProjectContext
    from combine_core.sources import Source


def list_(context: ProjectContext, request: Request) -> Json:
    """GET /projects/{slug}/sources."""
    page = list_sources(
        request.dbsession, context.project.id, **request.openapi_validated.parameters.query
    )
    return show_page(page, show_source)


def create(context: ProjectContext, request: Request) -> Json:
    """POST /projects/{slug}/sources: a text as JSON, or a file."""
    source = _add_upload(context, request) if is_upload(request) else _add_text(context, request)
    request.response.status_int = 201
    request.response.location = request.route_path(
        "api.source", slug=context.project.slug, id=source.id
    )
    return show_source(source)


def _add_text(context: ProjectContext, request: Request) -> Source:
    body = request.openapi_validated.body
    return add_source(
        request.dbsession, context.project.id, body["name"], body["text"], context.identity.user_id
    )


def _add_upload(context: ProjectContext, request: Request) -> Source:
    name, text = read_upload(request)
    try:
        return add_source(
            request.dbsession, context.project.id, name, text, context.identity.user_id
        )
    except InvalidText as error:
        # The client sent a file, no text.
        field = "file" if error.field == "text" else error.field
        raise type(error)(field, error.why) from error


def get(context: ProjectContext, request: Request) -> Json:
    """GET /projects/{slug}/sources/{id}."""
    source = read_source(request.dbsession, context.project.id, uuid.UUID(request.matchdict["id"]))
    if source is None:
        raise HTTPNotFound
    return {**show_source(source), "text": source.text}
