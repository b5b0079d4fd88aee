"""The pages that people see in a browser. They hold no rules; the services do.

``config.include("combine_core.pages")`` brings

* the layout ``combine_core:pages/layout.jinja2`` with the blocks ``title`` and ``content``: the
  template of an add-on extends it and looks like the rest. It shows ``request.identity``. A view
  that must not ask for the user (an error page while the database is away) passes
  ``identity=None`` to the template;
* ``config.add_nav_item("Title", "route.name", order=50)``, a link in the head of every page;
* ``/static/``: the style sheets and the script. Nothing is loaded from other sites;
* error pages, and the tweens of :mod:`combine_core.web`. A ``Content-Security-Policy`` that a view
  sets itself stays.

Forms carry ``get_csrf_token()``: the application needs a CSRF storage policy (``combine_auth``
brings one) or a session factory.
"""

from __future__ import annotations

from pyramid.config import Configurator
from pyramid.events import ContextFound

from combine_core.web.forms import reject_malformed_form


def includeme(config: Configurator) -> None:
    """Put the pages together. Does no I/O."""
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
        "calls",
        "documents",
        "versions",
        "editing",
        "comments",
        "reviews",
        "search",
        "register",
        "settings",
    ):
        config.include(f"combine_core.pages.{subject}")
    config.add_nav_item("Projects", "pages.projects", order=10)
