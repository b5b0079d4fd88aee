"""Installs an execution policy that answers the endpoints before any code of the application runs.

A subscriber, a tween or a request factory of the application may raise or hang, for example while
its database is down. If the probes failed too, the platform would restart every instance.
"""

from typing import Any

from pyramid.threadlocal import RequestContext

from combine_health.endpoints.access import EarlyRequest, MustAskApplication, log_undecided
from combine_health.endpoints.views import ANSWERED, find_route, not_found, respond
from combine_health.engine.registry import health_of


def install_execution_policy(router: Any) -> None:
    """Make ``router``, the WSGI application of Pyramid, answer the endpoints itself.

    The execution policy is the outermost code of the router, independent of the WSGI server.
    """
    application = router.execution_policy
    registry = router.registry
    health = health_of(registry)
    ours = tuple(health.prefix + path for path in ("/health", "/metrics", "/status"))

    def policy(environ: dict[str, Any], router: Any) -> Any:
        raw = environ.get("PATH_INFO", "").encode("latin-1", "replace")
        path = raw.decode(errors="replace")
        if not path.startswith(ours):
            return application(environ, router)
        found = find_route(registry, path)
        if found is None:
            # Pyramid raises for a path that is not UTF-8.
            return application(environ, router) if path.encode() == raw else not_found()
        request = EarlyRequest(environ.copy())
        request.registry = registry
        request.matched_route, request.matchdict = found
        with RequestContext(request):
            try:
                return respond(request)
            except MustAskApplication:
                pass
        answered = environ[ANSWERED] = []  # a list, because the application may copy the environ
        try:
            response = application(environ, router)
            if answered:
                return response
        except Exception as error:  # noqa: BLE001 - logged; the client gets a response
            log_undecided(health, error)
        request.may_see_details = False
        with RequestContext(request):
            return respond(request)

    router.execution_policy = policy
