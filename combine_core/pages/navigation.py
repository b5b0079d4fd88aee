"""The items of the page head: each add-on names its own with ``config.add_nav_item``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyramid.interfaces import IRoutesMapper

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.request import Request

_ITEMS = "combine_core.pages.nav_items"


@dataclass(frozen=True)
class NavItem:
    """A link in the page head; ``order`` counts from the left."""

    title: str
    route_name: str
    order: int


@dataclass(frozen=True)
class NavLink:
    """An item as this request sees it; ``current``: the request is on that page or below it."""

    title: str
    path: str
    current: bool


def add_nav_item(config: Configurator, title: str, route_name: str, *, order: int = 100) -> None:
    """Directive: show ``title`` in the head of every page of a signed-in user.

    :param route_name: a route without parameters
    :param order: smaller stands further left; Projects is 10
    """
    item = NavItem(title, route_name, order)

    def register() -> None:
        config.registry.setdefault(_ITEMS, []).append(item)

    intr = config.introspectable("combine nav items", route_name, title, "nav item")
    intr.update({"title": title, "route_name": route_name, "order": order})
    config.action(("combine nav item", route_name), register, introspectables=(intr,))


def nav_links(request: Request) -> list[NavLink]:
    """The items in their order, for the layout."""
    items: list[NavItem] = request.registry.get(_ITEMS, [])
    links = []
    for item in sorted(items, key=lambda item: (item.order, item.title)):
        path = request.route_path(item.route_name)
        current = request.path == path or request.path.startswith(path.rstrip("/") + "/")
        links.append(NavLink(item.title, path, current))
    return links


def path_if_routed(request: Request, route_name: str, **options: Any) -> str | None:
    """The path of a route that another add-on may bring; ``None`` where it has not."""
    routes = request.registry.queryUtility(IRoutesMapper)
    if routes is None or routes.get_route(route_name) is None:
        return None
    path: str = request.route_path(route_name, **options)
    return path
