"""The pages of documents: a version with its sections and evidence, comparisons, and downloads."""

from __future__ import annotations

import json
import re
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest, HTTPNotFound, HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response

from combine_core.access import DocumentContext
from combine_core.api.documents import export_requested, read_requested
from combine_core.api.serializers import show_review, show_sums, show_whole_document
from combine_core.comments import list_comments, place_comments
from combine_core.documents import (
    DocumentVersion,
    NotStale,
    acknowledge,
    action_of,
    compare_contents,
    list_stale_reasons,
    list_versions,
    located_statements,
    read_authors,
    read_version,
    restore_version,
    sections_of,
    step_of,
)
from combine_core.exports.service import costs_of, file_name_of
from combine_core.portability.provenance import read_provenance
from combine_core.projects import OwnProject
from combine_core.reviews import ReviewSummary, list_reviews, newest_review
from combine_core.text import InvalidText
from combine_core.users import Permission
from combine_core.web.endpoints import View, attachment, json_value
from combine_core.web.forms import Form, ids_of, sentence, text_of

_TEMPLATE = "combine_core:pages/document.jinja2"
_COMPARISON = "combine_core:pages/comparison.jinja2"


def show_document(context: DocumentContext, request: Request) -> dict[str, Any]:
    """Show the version whose number is in the path, or the newest one."""
    return document_page(context.project, read_requested(context, request), request)


def document_page(
    project: OwnProject, version: DocumentVersion, request: Request, form: Form | None = None
) -> dict[str, Any]:
    """Return the variables with which the template shows this version."""
    cursor = request.GET.get("versions")
    pointers = {id(each): pointer for pointer, each in located_statements(version.content)}
    return {
        "project": project,
        "document": version.document,
        "version": version,
        "authors": read_authors(request.dbsession, version.document.project_id, version.content),
        "stale": list_stale_reasons(request.dbsession, [version.id]).get(version.id, []),
        "may_run": bool(request.has_permission(Permission.RUNS_WRITE)),
        "form": form or Form(),
        "pointer_of": lambda statement: pointers[id(statement)],
        "sections": list(sections_of(version, step_of(request.dbsession, version))),
        "sources": {str(entry.ref_id): entry for entry in version.inputs if entry.kind == "source"},
        "line": next(entry for entry in version.inputs if entry.kind == "line"),
        "review": _review_of(request, version),
        "provenance": read_provenance(request.dbsession, version.document.project_id, version),
        "may_change": bool(request.has_permission(Permission.DOCUMENTS_WRITE)),
        "comments": place_comments(
            version.content,
            list_comments(request.dbsession, version.document_id, only_open=True, limit=200).items,
        ),
        "versions": list_versions(request.dbsession, version.document_id, cursor=cursor),
    }


def download(context: DocumentContext, request: Request) -> Response:
    """Send the version as a file."""
    extension = request.matchdict["format"]
    if extension != "json":
        return export_requested(context, request, extension)
    version = read_requested(context, request)
    return Response(
        _as_json(request, version),
        content_type="application/json",
        content_disposition=attachment(file_name_of(version, extension)),
    )


def acknowledge_change(context: DocumentContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Acknowledge a changed input, so that the document may stay as it is."""
    form = Form({name: text_of(request, name) for name in ("input", "note")})
    input_ids = ids_of(request, "input")
    if len(input_ids) != 1:
        raise HTTPBadRequest
    user_id = context.identity.user_id
    version = read_requested(context, request)
    try:
        acknowledge(
            request.dbsession, version, input_ids[0], user_id=user_id, note=form.value("note")
        )
    except InvalidText as error:
        request.response.status_int = 400
        form = form.with_error("note", sentence(error))
        return document_page(context.project, version, request, form)
    except NotStale:
        # Another user has run the line again in the meantime, as the page shows.
        pass
    return HTTPSeeOther(request.route_path("pages.document", id=context.document_id))


def restore(context: DocumentContext, request: Request) -> HTTPSeeOther:
    """Make the version in the path the newest one."""
    number = int(request.matchdict["number"])
    version = restore_version(
        request.dbsession, context.document_id, number, author_id=context.identity.user_id
    )
    if version is not None:
        context.notify_add_ons(action_of(version))
    return HTTPSeeOther(request.route_path("pages.document", id=context.document_id))


def _review_of(request: Request, version: DocumentVersion) -> ReviewSummary | None:
    return newest_review(request.dbsession, version.document_id, version.number)


def _as_json(request: Request, version: DocumentVersion) -> bytes:
    """Return the document in the format of the API, with sorted sections, its reviews and its costs."""
    step = step_of(request.dbsession, version)
    authors = read_authors(request.dbsession, version.document.project_id, version.content)
    provenance = read_provenance(request.dbsession, version.document.project_id, version)
    shown = show_whole_document(
        version, authors, _review_of(request, version), provenance=provenance
    )
    reviews = list_reviews(request.dbsession, version.document_id, version.number)
    exported = shown | {
        "content": {one.key: one.value for one in sections_of(version, step)},
        "reviews": [show_review(one) for one in reviews.items],
        "run_costs": show_sums(costs_of(request.dbsession, version)),
    }
    text = json.dumps(exported, default=json_value, ensure_ascii=False, indent=2) + "\n"
    return text.encode()


def show_comparison(context: DocumentContext, request: Request) -> dict[str, Any]:
    """Show the differences between the versions ``?from=1`` and ``?to=2``."""
    versions = []
    for name in ("from", "to"):
        number = request.GET.get(name, "")
        version = None
        if re.fullmatch(r"[1-9][0-9]{0,8}", number):
            version = read_version(request.dbsession, context.document_id, int(number))
        if version is None:
            raise HTTPNotFound
        versions.append(version)
    old, new = versions
    return {
        "project": context.project,
        "document": new.document,
        "old": old,
        "new": new,
        "comparison": compare_contents(old.content, new.content),
    }


def includeme(config: Configurator) -> None:
    """Add the pages and the downloads, each for the newest version and for a numbered one."""
    show = View("GET", show_document, Permission.DOCUMENTS_READ, renderer=_TEMPLATE)
    acknowledge_view = View(
        "POST",
        acknowledge_change,
        Permission.DOCUMENTS_WRITE,
        form="acknowledge",
        renderer=_TEMPLATE,
    )
    restore_view = View("POST", restore, Permission.DOCUMENTS_WRITE, form="restore")
    download_view = View("GET", download, Permission.DOCUMENTS_READ)
    for name, path, views in (
        ("pages.document", "/documents/{id}", [show, acknowledge_view]),
        ("pages.version", "/documents/{id}/versions/{number}", [show, restore_view]),
        ("pages.download", "/documents/{id}.{format}", [download_view]),
        ("pages.version_download", "/documents/{id}/versions/{number}.{format}", [download_view]),
    ):
        config.add_endpoint(name, path, *views, factory=DocumentContext)
    config.add_endpoint(
        "pages.comparison",
        "/documents/{id}/comparison",
        View("GET", show_comparison, Permission.DOCUMENTS_READ, renderer=_COMPARISON),
        factory=DocumentContext,
    )
