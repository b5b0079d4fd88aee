"""What the API, the pages and other add-ons share: errors, endpoints, forms, and the tweens.

``config.include("combine_core.web")`` brings

* ``config.add_endpoint`` and a JSON renderer for it (:mod:`combine_core.web.endpoints`);
* ``config.add_problem``: how an error is answered (:mod:`combine_core.web.problems`). Every error below
  ``/api/`` is answered with a problem document (RFC 9457);
* the tweens listed below.

:class:`ServiceStarted` tells subscribers that the server begins to serve, :class:`SecretPresented` that a
secret will be looked up.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyramid.config import Configurator
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.tweens import EXCVIEW, INGRESS, MAIN

SECURITY_HEADERS = "combine_core.web.security_headers.security_headers_tween_factory"
PROBLEMS = "combine_core.web.problems.problem_tween_factory"
GUARD = "combine_core.web.guard.guard_tween_factory"
RESPONSE_CHECK = "combine_core.api.responses.response_check_tween_factory"
TRANSACTION = "pyramid_tm.tm_tween_factory"


@dataclass(frozen=True)
class ServiceStarted:
    """A Pyramid event: a server begins to serve. A command, a shell or a test does not send it.

    A subscriber must neither wait nor fail: the server starts when it returns.
    """

    registry: Registry


@dataclass(frozen=True)
class SecretPresented:
    """A Pyramid event: a request brings a secret that somebody may be guessing, such as that of a link.

    Sent before the secret is looked up. A subscriber refuses it by raising.
    """

    request: Request


def includeme(config: Configurator) -> None:
    config.include("combine_core.web.request_class")
    config.include("combine_core.web.paths")
    config.include("combine_core.web.guard")
    config.include("combine_core.web.problems")
    config.include("combine_core.web.memory_budget")
    config.include("combine_core.web.endpoints")

    # The tweens, outermost first. That of combine_core.observe stands around all of them, and the check of
    # the API's answers right inside it. combine_auth adds CORS and the check of the host.
    # Outside the transaction and the error views, so that their responses get the headers too.
    config.add_tween(SECURITY_HEADERS, under=(RESPONSE_CHECK, INGRESS), over=(TRANSACTION, EXCVIEW))
    # Inside the error views of Pyramid: below /api/ every error becomes a problem document, whichever
    # error views an application registers for its pages.
    config.add_tween(PROBLEMS, under=EXCVIEW, over=MAIN)
    # Inside the problem documents, so that a refused request becomes one.
    config.add_tween(GUARD, under=PROBLEMS, over=MAIN)
