"""One class for all requests of an application.

Pyramid makes a class for each request, to hold what ``config.add_request_method`` adds as properties. That
takes time, defeats Python's caches of attributes, and leaves the class as garbage. Here it is made once, when
the application is. Subrequests go Pyramid's way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyramid.events import ApplicationCreated
from pyramid.threadlocal import RequestContext

if TYPE_CHECKING:
    from pyramid.config import Configurator


def _make_class(event: ApplicationCreated) -> None:
    router = event.app
    factory, added = router.request_factory, router.request_extensions
    # The factory of a host application may be any function.
    if added is None or not isinstance(factory, type):
        return
    content = {"__module__": factory.__module__, **added.methods, **added.descriptors}
    request_class = type(factory.__name__, (factory,), content)

    def request_context(environ: dict[str, Any]) -> RequestContext:
        request = request_class(environ)
        request.registry = router.registry
        request.invoke_subrequest = router.invoke_subrequest
        return RequestContext(request)

    router.request_context = request_context


def includeme(config: Configurator) -> None:
    config.add_subscriber(_make_class, ApplicationCreated)
