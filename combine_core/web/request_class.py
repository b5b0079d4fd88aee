"""Creates one request class for each application.

Pyramid creates a class for every request, to hold the properties of ``config.add_request_method``. That
takes time, defeats Python's attribute caches, and leaves the class to the garbage collector. This module
creates the class once, when the application is created. Subrequests still use Pyramid's own way.
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
    # A host application may use any function as request factory.
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
