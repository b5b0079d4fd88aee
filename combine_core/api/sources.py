"""API endpoints for the sources of a project and their revisions."""

from __future__ import annotations

import uuid
from functools import partial
from typing import TYPE_CHECKING

from pyramid.httpexceptions import HTTPNoContent

from combine_core.access import ProjectContext
from combine_core.api.serializers import (
    Json,
    show_plan,
    show_revision,
    show_revision_text,
    show_source,
)
from combine_core.api.upload import is_upload, read_files, read_form
from combine_core.deletion import delete_source, plan_source
from combine_core.sources import (
    ListedSource,
    RevisionText,
    Source,
    UnsupportedFile,
    add_file,
    add_file_revision,
    add_source,
    add_text_revision,
    compare_texts,
    find_source,
    list_revisions,
    list_sources,
    lock_source,
    read_original,
    read_source,
    rename_source,
)
from combine_core.text import InvalidText
from combine_core.users import Permission, UserAction, report_action
from combine_core.web.endpoints import View, attachment, or_not_found, show_page
from combine_core.web.memory_budget import hold_memory

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.request import Request
    from pyramid.response import Response


def list_sources_of(context: ProjectContext, request: Request) -> Json:
    page = list_sources(
        request.dbsession, context.project.id, **request.openapi_validated.parameters.query
    )
    return show_page(request, page, show_source)


def create(context: ProjectContext, request: Request) -> Json:
    """Add a text sent as JSON, or an uploaded file."""
    source = _add_upload(context, request) if is_upload(request) else _add_text(context, request)
    request.response.status_int = 201
    request.response.location = request.route_path(
        "api.source", slug=context.project.slug, id=source.id
    )
    return show_source(source)


def _add_text(context: ProjectContext, request: Request) -> ListedSource[uuid.UUID]:
    body = request.openapi_validated.body
    # Removed from the body, because the request may live until the next garbage collection.
    name, text = body["name"], body.pop("text")
    return add_source(request.dbsession, context.project.id, name, text, context.identity.user_id)


def _add_upload(context: ProjectContext, request: Request) -> Source | ListedSource[uuid.UUID]:
    name, upload = read_form(request)
    try:
        return add_file(
            request.dbsession, context.project.id, name, upload, context.identity.user_id
        )
    except InvalidText as error:
        raise _about_file(error) from error


def create_several(context: ProjectContext, request: Request) -> Json:
    """Add each file as a source. If one is rejected, none is added."""
    sources = []
    for upload in read_files(request):
        try:
            source = add_file(
                request.dbsession,
                context.project.id,
                upload.name,
                upload,
                context.identity.user_id,
            )
        except InvalidText as error:
            raise InvalidText("file", f"{upload.name}: {error.why}") from error
        except UnsupportedFile as error:
            raise UnsupportedFile(f"{upload.name}: {error}") from error
        sources.append(source)
    request.response.status_int = 201
    return {"items": [show_source(source) for source in sources]}


def _about_file(error: InvalidText) -> InvalidText:
    """Name the field ``file`` instead of ``text``, because the client has sent a file."""
    return type(error)("file" if error.field == "text" else error.field, error.why)


def get_source(context: ProjectContext, request: Request) -> Json:
    """Return the source with its newest text, or with the text of ``?revision=2``."""
    source = _find(context, request)
    number = request.openapi_validated.parameters.query.get("revision")
    return {**show_source(source), **show_revision_text(_read_text(request, source, number))}


def _source_id(request: Request) -> uuid.UUID:
    return uuid.UUID(request.matchdict["id"])


def _find(context: ProjectContext, request: Request) -> Source:
    return or_not_found(find_source(request.dbsession, context.project.id, _source_id(request)))


def _read_text(request: Request, source: Source, number: int | None) -> RevisionText:
    return or_not_found(
        read_source(request.dbsession, source, number, partial(hold_memory, request))
    )


def list_revisions_of(context: ProjectContext, request: Request) -> Json:
    source = _find(context, request)
    page = list_revisions(request.dbsession, source, **request.openapi_validated.parameters.query)
    return show_page(request, page, show_revision)


def add_revision(context: ProjectContext, request: Request) -> Json:
    """Add a corrected text or file. An unchanged text or file adds no revision."""
    upload = read_form(request)[1] if is_upload(request) else None
    source = or_not_found(lock_source(request.dbsession, context.project.id, _source_id(request)))
    session, user_id = request.dbsession, context.identity.user_id
    if upload is None:
        text = request.openapi_validated.body.pop("text")
        number = add_text_revision(session, source, text, user_id)
    else:
        try:
            number = add_file_revision(session, source, upload, user_id)
        except InvalidText as error:
            raise _about_file(error) from error
    newest = list_revisions(session, source, limit=1).items[0]
    if number is not None:
        request.response.status_int = 201
        request.response.location = request.route_path(
            "api.source",
            slug=context.project.slug,
            id=source.id,
            _query={"revision": str(number)},
        )
    return show_revision(newest)


def compare_revisions(context: ProjectContext, request: Request) -> Json:
    """Return the differences between the revisions ``?from=1`` and ``?to=2``, line by line."""
    query = request.openapi_validated.parameters.query
    source = _find(context, request)
    old, new = (_read_text(request, source, query[name]) for name in ("from", "to"))
    found = compare_texts(old.text, new.text)
    return {
        "from": old.revision,
        "to": new.revision,
        "added": found.added,
        "removed": found.removed,
        "complete": found.complete,
        "passages": [
            [{"old": line.old, "new": line.new, "text": line.text} for line in passage]
            for passage in found.passages
        ],
    }


def rename(context: ProjectContext, request: Request) -> Json:
    source = _find(context, request)
    rename_source(request.dbsession, source, request.openapi_validated.body["name"])
    report_action(request, _action("change", source.id, changed=["name"]))
    return get_source(context, request)


def get_deletion(context: ProjectContext, request: Request) -> Json:
    source_id = _source_id(request)
    return show_plan(plan_source(request.dbsession, context.project.id, source_id))


def delete(context: ProjectContext, request: Request) -> HTTPNoContent:
    source_id = _source_id(request)
    force = request.openapi_validated.parameters.query["force"]
    plan = delete_source(request.dbsession, context.project.id, source_id, force=force)
    report_action(request, _action("delete", source_id, **plan.takes))
    return HTTPNoContent()


def _action(action: str, source_id: uuid.UUID, **details: object) -> UserAction:
    return UserAction(f"source-{action}", f"source:{source_id}", details)


def get_original(context: ProjectContext, request: Request) -> Response:
    """Send the original file as an attachment, so that a browser never renders it."""
    found = or_not_found(
        read_original(
            request.dbsession,
            context.project.id,
            _source_id(request),
            request.openapi_validated.parameters.query.get("revision"),
            partial(hold_memory, request),
        )
    )
    name, data = found
    response = request.response
    response.content_type = "application/octet-stream"
    response.content_disposition = attachment(name)
    response.body = data
    return response


def includeme(config: Configurator) -> None:
    """Add the endpoints."""
    add = partial(config.add_endpoint, factory=ProjectContext, openapi=True)
    add(
        "api.sources",
        "/projects/{slug}/sources",
        View("GET", list_sources_of, Permission.SOURCES_READ),
        View("POST", create, Permission.SOURCES_WRITE),
    )
    add(
        "api.source_files",
        "/projects/{slug}/sources/files",
        View("POST", create_several, Permission.SOURCES_WRITE),
    )
    add(
        "api.source",
        "/projects/{slug}/sources/{id}",
        View("GET", get_source, Permission.SOURCES_READ),
        View("PATCH", rename, Permission.SOURCES_WRITE, if_match=get_source),
        View("DELETE", delete, Permission.SOURCES_WRITE, if_match=get_source),
    )
    add(
        "api.source_deletion",
        "/projects/{slug}/sources/{id}/deletion",
        View("GET", get_deletion, Permission.SOURCES_READ),
    )
    add(
        "api.source_revisions",
        "/projects/{slug}/sources/{id}/revisions",
        View("GET", list_revisions_of, Permission.SOURCES_READ),
        View("POST", add_revision, Permission.SOURCES_WRITE),
    )
    add(
        "api.source_changes",
        "/projects/{slug}/sources/{id}/changes",
        View("GET", compare_revisions, Permission.SOURCES_READ),
    )
    add(
        "api.source_original",
        "/projects/{slug}/sources/{id}/original",
        View("GET", get_original, Permission.SOURCES_READ),
    )
