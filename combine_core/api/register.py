"""API endpoints for the register of a project and for decisions about its items."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from combine_core.access import ProjectContext
from combine_core.api.serializers import Json, show_item, show_whole_item
from combine_core.register import (
    Item,
    all_items,
    change_item,
    decide_sameness,
    find_item,
    list_items,
    lock_item,
    settle,
)
from combine_core.register.files import write_csv, write_icalendar
from combine_core.users import Permission
from combine_core.web.endpoints import View, attachment, or_not_found, show_page


def list_of_project(context: ProjectContext, request: Request) -> Json:
    query = request.openapi_validated.parameters.query
    return show_page(request, list_items(request.dbsession, context.project.id, **query), show_item)


def get_csv(context: ProjectContext, request: Request) -> Response:
    return register_file(context, request, "csv", request.openapi_validated.parameters.query)


def get_icalendar(context: ProjectContext, request: Request) -> Response:
    return register_file(context, request, "ics", request.openapi_validated.parameters.query)


def register_file(
    context: ProjectContext, request: Request, suffix: str, filters: dict[str, Any]
) -> Response:
    """Return the items as a file to download.

    :param filters: the filters of :func:`list_items`
    """
    project = context.project
    items = all_items(request.dbsession, project.id, **filters)
    disposition = attachment(f"{project.slug}-register.{suffix}")
    if suffix == "csv":
        content, kind = write_csv(items).encode(), "text/csv"
    else:
        content, kind = write_icalendar(items, project.name), "text/calendar"
    return Response(content, content_type=kind, charset="utf-8", content_disposition=disposition)


def get_item(context: ProjectContext, request: Request) -> Json:
    return _show(context, request, _id_of(request))


def _id_of(request: Request) -> uuid.UUID:
    return uuid.UUID(request.matchdict["item_id"])


def _show(context: ProjectContext, request: Request, item_id: uuid.UUID) -> Json:
    item = or_not_found(find_item(request.dbsession, context.project.id, item_id))
    return show_whole_item(item)


def _lock(context: ProjectContext, request: Request) -> Item:
    return or_not_found(lock_item(request.dbsession, context.project.id, _id_of(request)))


def change(context: ProjectContext, request: Request) -> Json:
    item = _lock(context, request)
    body = request.openapi_validated.body
    change_item(request.dbsession, item, context.identity.user_id, body)
    return _show(context, request, item.id)


def decide_same(context: ProjectContext, request: Request) -> Json:
    same = request.openapi_validated.body["same"]
    remaining_id = decide_sameness(
        request.dbsession, _lock(context, request), context.identity.user_id, same=same
    )
    return _show(context, request, remaining_id)


def settle_contradiction(context: ProjectContext, request: Request) -> Json:
    body = request.openapi_validated.body
    item = _lock(context, request)
    settle(
        request.dbsession,
        item,
        uuid.UUID(str(body["saying"])),
        context.identity.user_id,
        accept=body["accept"],
    )
    return _show(context, request, item.id)


def includeme(config: Configurator) -> None:
    """Add the endpoints."""
    add = partial(config.add_endpoint, factory=ProjectContext, openapi=True)
    path = "/projects/{slug}/register"
    for name, place, view in (
        ("api.register", path, list_of_project),
        ("api.register_csv", f"{path}/csv", get_csv),
        ("api.register_ics", f"{path}/ics", get_icalendar),
    ):
        add(name, place, View("GET", view, Permission.DOCUMENTS_READ))
    add(
        "api.register_item",
        f"{path}/{{item_id}}",
        View("GET", get_item, Permission.DOCUMENTS_READ),
        View("PATCH", change, Permission.DOCUMENTS_WRITE, if_match=get_item),
    )
    for name, post in (("same", decide_same), ("settle", settle_contradiction)):
        add(
            f"api.register_{name}",
            f"{path}/{{item_id}}/{name}",
            View("POST", post, Permission.DOCUMENTS_WRITE, if_match=get_item),
        )
