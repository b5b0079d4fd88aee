"""Sets up the layout of all pages: navigation links, static files, and template filters and functions."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyramid.config import Configurator
from pyramid.interfaces import IRoutesMapper
from pyramid.path import AssetResolver
from pyramid.request import Request
from pyramid.static import QueryStringCacheBuster

from combine_core.pages.formats import FILTERS, line_range
from combine_core.pages.sources import evidence_path, statement_path

_STATIC = "combine_core:pages/static"
_STATIC_MAX_AGE_S = 86_400
_ITEMS = "combine_core.pages.nav_items"


@dataclass(frozen=True)
class NavItem:
    """A registered navigation link."""

    title: str
    route_name: str
    order: int
    count: Callable[[Request], int] | None


@dataclass(frozen=True)
class NavLink:
    """A navigation link of one request.

    :ivar current: whether the request is for that page or one below it
    :ivar count: the number of waiting items; 0 is not shown
    """

    title: str
    path: str
    current: bool
    count: int


def add_nav_item(
    config: Configurator,
    title: str,
    route_name: str,
    *,
    order: int = 100,
    count: Callable[[Request], int] | None = None,
) -> None:
    """Add a link to the head of every page of a signed-in user (a directive).

    :param route_name: a route without parameters
    :param order: the position; smaller numbers are further left, and Projects has 10
    :param count: returns the number of items that wait for the user. Every page calls it, so it must be
        fast
    """
    item = NavItem(title, route_name, order, count)

    def register() -> None:
        config.registry.setdefault(_ITEMS, []).append(item)

    intr = config.introspectable("combine nav items", route_name, title, "nav item")
    intr.update({"title": title, "route_name": route_name, "order": order})
    config.action(("combine nav item", route_name), register, introspectables=(intr,))


def nav_links(request: Request) -> list[NavLink]:
    """Return the links in their order."""
    items: list[NavItem] = request.registry.get(_ITEMS, [])
    links = []
    for item in sorted(items, key=lambda item: (item.order, item.title)):
        path = request.route_path(item.route_name)
        current = request.path == path or request.path.startswith(path.rstrip("/") + "/")
        count = item.count(request) if item.count else 0
        links.append(NavLink(item.title, path, current, count))
    return links


def path_if_routed(request: Request, route_name: str, **options: Any) -> str | None:
    """Return the path of a route, or ``None`` if no add-on has added the route."""
    routes = request.registry.queryUtility(IRoutesMapper)
    if routes is None or routes.get_route(route_name) is None:
        return None
    path: str = request.route_path(route_name, **options)
    return path


class ContentHash(QueryStringCacheBuster):  # type: ignore[misc]
    """A cache buster that adds ``?v=HASH`` to the URL of a file, so that browsers may cache it for a day."""

    def __init__(self) -> None:
        super().__init__(param="v")

    def tokenize(self, request: Request, subpath: str, kw: dict[str, Any]) -> str:  # noqa: ARG002
        """Return the hash of the file that ``kw["rawspec"]`` names, after overrides."""
        path = Path(AssetResolver().resolve(kw["rawspec"]).abspath())
        return _hash(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _hash(path: Path, mtime_ns: int) -> str:  # noqa: ARG001
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _set_up_templates(config: Configurator) -> None:
    environment = config.get_jinja2_environment()
    environment.filters.update(FILTERS)
    environment.globals.update(
        evidence_path=evidence_path,
        line_range=line_range,
        nav_links=nav_links,
        path_if_routed=path_if_routed,
        statement_path=statement_path,
    )


def includeme(config: Configurator) -> None:
    """Set up the templates, serve the static files, and add the directive."""
    # A misspelt name in a template raises an error instead of rendering as empty.
    config.registry.settings.setdefault("jinja2.undefined", "strict")
    config.include("pyramid_jinja2")
    config.action(None, _set_up_templates, args=(config,), order=999)
    config.add_directive("add_nav_item", add_nav_item)
    config.add_static_view("static", _STATIC, cache_max_age=_STATIC_MAX_AGE_S)
    config.add_cache_buster(_STATIC, ContentHash())
