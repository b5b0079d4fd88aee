"""The pages: what people see in a browser. They hold no rules; the services do.

``config.include("combine_core.pages")`` brings

* the layout ``combine_core:pages/layout.jinja2`` with the blocks ``title`` and ``content``: the
  template of an add-on extends it and looks like the rest. It shows ``request.identity``; a view
  that must not ask who is there (an error page while the database is away) hands
  ``identity=None`` to the template;
* ``config.add_nav_item("Title", "route.name", order=50)``, a link in the head of every page;
* ``/static/``: the style sheets and the script. Nothing is loaded from elsewhere;
* security headers on every response but the probes (:mod:`combine_core.web.security_headers`).
  A ``Content-Security-Policy`` that a view sets itself stays.

Forms carry ``get_csrf_token()``: the application needs a CSRF storage policy (``combine_auth``
brings one) or a session factory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyramid.events import ContextFound
from pyramid.tweens import EXCVIEW

from combine_core.pages.formats import FILTERS, line_range
from combine_core.pages.navigation import add_nav_item, nav_links, path_if_routed
from combine_core.pages.sources import evidence_path
from combine_core.pages.static_files import MAX_AGE_S, ContentHash
from combine_core.web.forms import refuse_unreadable

if TYPE_CHECKING:
    from pyramid.config import Configurator

_STATIC = "combine_core:pages/static"


def includeme(config: Configurator) -> None:
    """Put the pages together. Does no I/O."""
    # A misspelt name in a template fails instead of showing nothing.
    config.registry.settings.setdefault("jinja2.undefined", "strict")
    config.include("pyramid_jinja2")
    config.action(None, _set_up_templates, args=(config,), order=999)

    config.add_directive("add_nav_item", add_nav_item)
    config.add_subscriber(refuse_unreadable, ContextFound)

    config.add_static_view("static", _STATIC, cache_max_age=MAX_AGE_S)
    config.add_cache_buster(_STATIC, ContentHash())

    # Outside the transaction and the error views, so that their answers have the headers too.
    config.add_tween(
        "combine_core.web.security_headers.security_headers_tween_factory",
        over=("pyramid_tm.tm_tween_factory", EXCVIEW),
    )

    config.include("combine_core.pages.routes")
    for views in ("errors", "project_list", "project", "members", "sources", "runs", "documents"):
        config.include(f"combine_core.pages.{views}")
    config.add_nav_item("Projects", "pages.projects", order=10)


def _set_up_templates(config: Configurator) -> None:
    environment = config.get_jinja2_environment()
    environment.filters.update(FILTERS)
    environment.globals.update(
        evidence_path=evidence_path,
        line_range=line_range,
        nav_links=nav_links,
        path_if_routed=path_if_routed,
    )
