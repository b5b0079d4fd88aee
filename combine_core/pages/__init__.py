"""The HTML pages. They contain no rules, which belong to the services.

``config.include("combine_core.pages")`` adds

* the layout ``combine_core:pages/layout.jinja2`` with the blocks ``title``, ``head`` and ``content``. The
  templates of add-ons extend it. It shows ``request.identity``. A view that must not load the user (an
  error page while the database is unavailable) passes ``identity=None`` to the template;
* ``config.add_nav_item("Title", "route.name", order=50)``, which adds a link to the head of every page;
* ``/static/`` with the style sheets and the script. Nothing is loaded from other sites;
* error pages, and the tweens of :mod:`combine_core.web`. They keep a ``Content-Security-Policy`` that a view
  has set.

Forms contain ``get_csrf_token()``, so the application needs a CSRF storage policy (``combine_auth`` has one)
or a session factory.
"""

from __future__ import annotations

from pyramid.config import Configurator
from pyramid.events import ContextFound

from combine_core.web.forms import reject_malformed_form


def includeme(config: Configurator) -> None:
    """Include the modules of the pages. It does no I/O."""
    config.include("combine_core.web")
    config.include("combine_core.problems")
    config.include("combine_core.pages.layout")
    config.add_subscriber(reject_malformed_form, ContextFound)
    for subject in (
        "errors",
        "projects",
        "members",
        "invitations",
        "sources",
        "runs",
        "documents",
        "editing",
        "comments",
        "reviews",
        "search",
        "register",
        "settings",
    ):
        config.include(f"combine_core.pages.{subject}")
    config.add_nav_item("Projects", "pages.projects", order=10)
