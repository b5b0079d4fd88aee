"""The service and its domain: sources, lines, runs and documents, with their API and pages.

Include it in a Pyramid application with ``config.include("combine_core")``. It brings

* settings (:mod:`combine_core.settings`), logging and the request id (:mod:`combine_core.observe`),
* the database (:mod:`combine_core.database`): ``request.dbsession``, joined to ``request.tm``,
* errors, endpoints and tweens for all faces (:mod:`combine_core.web`),
* the JSON API below ``/api/v1`` with its explorer at ``/docs`` (:mod:`combine_core.api`),
* the pages (:mod:`combine_core.pages`),
* mail about reviews and mentions (:mod:`combine_core.mail`), if a mail server is set,
* background work of a serving process (:mod:`combine_core.serving`): the worker of ``combine_core.worker``,
  log format and masking, and watches over memory and connections.

Background work starts only in a process that serves. To tell the add-on that the process serves, an
application with its own ``main`` passes on what it gets from ``pserve``:
``Configurator(settings={**global_config, **settings})``. Without that, a warning at start-up lists what does
not run.

The add-on knows the user only by ``request.identity`` (a :class:`combine_core.users.Identity` or ``None``)
and ``request.has_permission``. Without a security policy (``combine_auth``, or the application's own),
everything except ``/docs`` responds with 401.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from combine_core.app import require_core

if TYPE_CHECKING:
    from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    """Assemble the add-on. Does no I/O, except to start the embedded database in development."""
    # First, because everything below would fail with a less helpful message.
    require_core()
    # Before the rest, because every line below reads the settings.
    config.include("combine_core.settings")
    # The request id and the access line wrap everything else, so their tween comes before all others.
    config.include("combine_core.observe")
    # Templates before the views that name them.
    config.include("pyramid_jinja2")
    config.include("combine_core.database")
    # The registry of LLM providers, which are plugins, needs the settings.
    config.include("combine_core.llm")
    # The errors, endpoints and tweens that both faces share.
    config.include("combine_core.web")
    # The two faces.
    config.include("combine_core.api")
    config.include("combine_core.pages")
    # Subscribes to the events that the faces send.
    config.include("combine_core.mail")
    # Starts background work when the application is created, if this process serves.
    config.include("combine_core.serving")
