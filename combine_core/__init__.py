"""The service and its domain: sources, lines, runs, documents, their API and pages.

Include it in a Pyramid application with ``config.include("combine_core")``. It brings

* settings (:mod:`combine_core.settings`), logging and the request id (:mod:`combine_core.observe`),
* the database (:mod:`combine_core.database`): ``request.dbsession``, joined to ``request.tm``,
* the JSON API below ``/api/v1`` with its explorer at ``/docs`` (:mod:`combine_core.api`),
* the pages (:mod:`combine_core.pages`).

It asks who is there by ``request.identity`` (a :class:`combine_core.users.Identity` or ``None``) and
``request.has_permission`` alone. Without a security policy (``combine_auth``, or the application's own)
everything but ``/docs`` answers 401.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from combine_core.extras import require_core

if TYPE_CHECKING:
    from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    """Put the add-on together. Does no I/O."""
    # Before anything that would fail with a less helpful message.
    require_core()
    # Settings first: every line below reads them.
    config.include("combine_core.settings")
    # The request id and the access line wrap everything else, so their tween comes before all others.
    config.include("combine_core.observe")
    # Templates before the views that name them.
    config.include("pyramid_jinja2")
    config.include("combine_core.database")
    # Providers are plugins; their registry stands on the settings.
    config.include("combine_core.llm")
    # The two faces. The API first: its error views are limited to its own paths.
    config.include("combine_core.api")
    config.include("combine_core.pages")
