"""Log lines and the request id.

``config.include("combine_core.observe")`` gives each request an id: ``request.request_id``. It is the value
of the header ``X-Request-ID`` if that has 8 to 64 letters, digits, ``.``, ``_`` or ``-``, else a new one.
Every log line of the request contains it, and the response returns it in the same header.

The logger ``combine_core.access`` writes one line per request: method, path, status, duration and, if the
security policy has put it into ``request.environ["combine.user"]``, the user. Successful probes are logged
at debug level. A slow request, or one that repeats a statement, is logged with another line.
:mod:`combine_core.observe.statements` logs slow statements. docs/logging.md lists all lines.

A process calls :func:`configure_logging` after it has set up the logging of the ini file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from combine_core.observe.context import request_id
from combine_core.observe.logs import JsonFormatter, TextFormatter, configure_logging

if TYPE_CHECKING:
    from pyramid.config import Configurator

__all__ = [
    "JsonFormatter",
    "TextFormatter",
    "configure_logging",
    "includeme",
]


# Later than every add_tween of any add-on.
_AFTER_ALL_TWEENS = 100


def includeme(config: Configurator) -> None:
    config.add_request_method(request_id, "request_id", reify=True)
    # The tween that is added last is the outermost one. add_tween cannot wait for the tweens of other
    # add-ons, but an action can.
    config.action("combine_core request tween", _add_tween, (config,), order=_AFTER_ALL_TWEENS)


def _add_tween(config: Configurator) -> None:
    # Imported here because commands do not need the tween, and because it imports combine_core.web, which
    # imports the database, which imports this package.
    from pyramid.interfaces import ITweens
    from pyramid.tweens import EXCVIEW, INGRESS

    from combine_core.observe.tween import request_tween_factory

    tweens = config.registry.getUtility(ITweens)
    name = f"{request_tween_factory.__module__}.{request_tween_factory.__name__}"
    tweens.add_implicit(name, request_tween_factory, under=INGRESS, over=EXCVIEW)
