"""The service and its domain: sources, lines, runs and documents, with their API and pages.

Include it in a Pyramid application with ``config.include("combine_core")``. It brings

* settings (:mod:`combine_core.settings`), logging and the request id (:mod:`combine_core.observe`),
* the database (:mod:`combine_core.database`): ``request.dbsession``, joined to ``request.tm``,
* errors, endpoints and tweens for all faces (:mod:`combine_core.web`),
* the JSON API below ``/api/v1`` with its explorer at ``/docs`` (:mod:`combine_core.api`),
* the pages (:mod:`combine_core.pages`),
* mail about reviews and mentions (:mod:`combine_core.mail`), if a mail server is set,
* what runs beside the requests while the process serves (:mod:`combine_core.serving`): the worker of
  ``combine_core.worker``, the format and the masks of the log, watches over memory and connections.

The last one needs to know that the process serves. An application of its own passes on what ``pserve``
tells its ``main``, as ``Configurator(settings={**global_config, **settings})``; without that, a warning at
the start says what does not run.

It knows the user only by ``request.identity`` (a :class:`combine_core.users.Identity` or ``None``) and
``request.has_permission``. Without a security policy (``combine_auth``, or the application's own)
everything except ``/docs`` answers 401.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from combine_core.extras import require_core

if TYPE_CHECKING:
    from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    """Put the add-on together. Does no I/O, unless the database of development is to be started."""
    # First, because everything below would fail with a less helpful message.
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
    # What both faces share: errors, endpoints, and the list of the tweens.
    config.include("combine_core.web")
    # The two faces.
    config.include("combine_core.api")
    config.include("combine_core.pages")
    # Listens to what the faces do.
    config.include("combine_core.mail")
    # What runs beside the requests, once the application is made and if this process serves.
    config.include("combine_core.serving")
