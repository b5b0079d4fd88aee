"""The web layer that the API, the pages and other add-ons share: endpoints, errors, forms and tweens.

``config.include("combine_core.web")`` adds

* ``config.add_endpoint`` and a JSON renderer for it (:mod:`combine_core.web.endpoints`);
* ``config.add_problem``, which maps an exception to an error response (:mod:`combine_core.web.problems`).
  Every error below ``/api/`` becomes a problem document (RFC 9457);
* the tweens listed in :func:`includeme`.

Subscribers receive :class:`ServiceStarted` when the server starts to serve, and :class:`SecretPresented`
before a secret is looked up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyramid.config import Configurator
from pyramid.events import ApplicationCreated
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.threadlocal import RequestContext
from pyramid.tweens import EXCVIEW, INGRESS, MAIN

SECURITY_HEADERS = "combine_core.web.security_headers.security_headers_tween_factory"
PROBLEMS = "combine_core.web.problems.problem_tween_factory"
GUARD = "combine_core.web.guard.guard_tween_factory"
RESPONSE_CHECK = "combine_core.api.responses.response_check_tween_factory"
TRANSACTION = "pyramid_tm.tm_tween_factory"


@dataclass(frozen=True)
class ServiceStarted:
    """A Pyramid event: a server starts to serve. Commands, shells and tests do not send it.

    A subscriber must neither block nor raise: the server starts only after all subscribers return.
    """

    registry: Registry


@dataclass(frozen=True)
class SecretPresented:
    """A Pyramid event: a request contains a secret that a client could guess, such as an invitation token.

    It is sent before the secret is looked up. A subscriber raises an exception to reject the request.
    """

    request: Request


def _share_request_class(event: ApplicationCreated) -> None:
    """Make the application create its request class once.

    Pyramid creates a class for every request, to hold the properties of ``config.add_request_method``. That
    takes time, defeats Python's attribute caches, and leaves the class to the garbage collector. Subrequests
    still use Pyramid's own way.
    """
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
    config.add_subscriber(_share_request_class, ApplicationCreated)
    config.include("combine_core.web.paths")
    config.include("combine_core.web.guard")
    config.include("combine_core.web.problems")
    config.include("combine_core.web.memory_budget")
    config.include("combine_core.web.endpoints")

    # The tweens, outermost first. The tween of combine_core.observe wraps all of them. The response check of
    # the API is directly inside it. combine_auth adds the tweens for CORS and for the host.
    # Outside the transaction and the error views, so that their responses get the headers too.
    config.add_tween(SECURITY_HEADERS, under=(RESPONSE_CHECK, INGRESS), over=(TRANSACTION, EXCVIEW))
    # Inside Pyramid's error views: below /api/ every error becomes a problem document, even if an
    # application registers error views for its pages.
    config.add_tween(PROBLEMS, under=EXCVIEW, over=MAIN)
    # Inside PROBLEMS, so that a rejected request gets a problem document.
    config.add_tween(GUARD, under=PROBLEMS, over=MAIN)
