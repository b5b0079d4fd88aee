"""The page of the register with its filters, and the page of an item with the decisions about it."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest, HTTPSeeOther
from pyramid.request import Request

from combine_core.access import ProjectContext
from combine_core.register import (
    Item,
    ItemKind,
    ItemState,
    NothingProposed,
    change_item,
    decide_sameness,
    find_item,
    list_items,
    lock_item,
    settle,
)
from combine_core.text import MAX_NAME, InvalidText
from combine_core.users import Permission
from combine_core.web.endpoints import View, or_not_found
from combine_core.web.forms import Form, ids_of, sentence, text_of

_LIST_TEMPLATE = "combine_core:pages/register.jinja2"
_TEMPLATE = "combine_core:pages/register_item.jinja2"
_FIELDS = ("text", "owner", "due", "state")
_FILTERS = ("kind", "state", "owner", "due_after", "due_before", "undecided")


def show_register(context: ProjectContext, request: Request) -> dict[str, Any]:
    values = {name: request.GET.get(name, "").strip() for name in _FILTERS}
    values = {name: value for name, value in values.items() if value}
    cursor = request.GET.get("cursor")
    form = Form(values)
    filters = {}
    for name, value in values.items():
        try:
            filters[name] = _filter(name, value)
        except ValueError:
            request.response.status_int = 400
            form = form.with_error(name, "This value is invalid. Choose another one.")
    if form.errors:
        filters = {}
    items = list_items(request.dbsession, context.project.id, cursor=cursor, **filters)
    return {
        "project": context.project,
        "items": items,
        "form": form,
        "filters": {} if form.errors else values,
        "kinds": list(ItemKind),
        "states": list(ItemState),
        "may_change": bool(request.has_permission(Permission.DOCUMENTS_WRITE)),
    }


def _filter(name: str, value: str) -> Any:
    """Parse the value of a filter. Raise ValueError if it is invalid."""
    match name:
        case "kind":
            return ItemKind(value)
        case "state":
            return ItemState(value)
        case "undecided":
            return value == "true"
        case "owner" if len(value) <= MAX_NAME and "\0" not in value:
            return value
        case "due_after" | "due_before":
            return datetime.date.fromisoformat(value)
    raise ValueError


def show_item(
    context: ProjectContext, request: Request, form: Form | None = None
) -> dict[str, Any]:
    item = or_not_found(
        find_item(request.dbsession, context.project.id, uuid.UUID(request.matchdict["item_id"]))
    )
    return {
        "project": context.project,
        "item": item,
        "states": list(ItemState),
        "may_change": bool(request.has_permission(Permission.DOCUMENTS_WRITE)),
        "form": form or Form(_values(item)),
    }


def _values(item: Item) -> Mapping[str, str]:
    return {name: getattr(item, name) or "" for name in _FIELDS}


def change(context: ProjectContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    item = _lock(context, request)
    sent = {name: text_of(request, name) for name in _FIELDS}
    if sent["state"] not in list(ItemState):
        raise HTTPBadRequest("This state is unknown. Reload the page, and choose again.")
    try:
        change_item(request.dbsession, item, context.identity.user_id, sent)
    except InvalidText as error:
        request.response.status_int = 400
        return show_item(context, request, Form(sent).with_error(error.field, sentence(error)))
    return _back(context, request, item.id)


def decide_same(context: ProjectContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Decide whether the item is the same as the proposed one."""
    item = _lock(context, request)
    same = text_of(request, "same") == "yes"
    try:
        remaining_id = decide_sameness(request.dbsession, item, context.identity.user_id, same=same)
    except NothingProposed as error:
        return _refuse(context, request, error)
    return _back(context, request, remaining_id)


def settle_contradiction(
    context: ProjectContext, request: Request
) -> dict[str, Any] | HTTPSeeOther:
    """Accept or reject a later statement that contradicts the item."""
    item = _lock(context, request)
    accept = text_of(request, "accept") == "yes"
    try:
        for saying_id in ids_of(request, "saying"):
            settle(request.dbsession, item, saying_id, context.identity.user_id, accept=accept)
    except NothingProposed as error:
        return _refuse(context, request, error)
    return _back(context, request, item.id)


def _lock(context: ProjectContext, request: Request) -> Item:
    item_id = uuid.UUID(request.matchdict["item_id"])
    return or_not_found(lock_item(request.dbsession, context.project.id, item_id))


def _refuse(context: ProjectContext, request: Request, error: NothingProposed) -> dict[str, Any]:
    request.response.status_int = 409
    page = show_item(context, request)
    return {**page, "form": page["form"].with_error("item", str(error))}


def _back(context: ProjectContext, request: Request, item_id: uuid.UUID) -> HTTPSeeOther:
    slug = context.project.slug
    return HTTPSeeOther(request.route_path("pages.register_item", slug=slug, item_id=item_id))


def includeme(config: Configurator) -> None:
    """Add the pages."""
    config.add_endpoint(
        "pages.register",
        "/projects/{slug}/register",
        View("GET", show_register, Permission.DOCUMENTS_READ, renderer=_LIST_TEMPLATE),
        factory=ProjectContext,
    )
    write = Permission.DOCUMENTS_WRITE
    config.add_endpoint(
        "pages.register_item",
        "/projects/{slug}/register/{item_id}",
        View("GET", show_item, Permission.DOCUMENTS_READ, renderer=_TEMPLATE),
        View("POST", change, write, form="change", renderer=_TEMPLATE),
        View("POST", decide_same, write, form="same", renderer=_TEMPLATE),
        View("POST", settle_contradiction, write, form="settle", renderer=_TEMPLATE),
        factory=ProjectContext,
    )
