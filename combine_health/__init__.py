"""Health checks for any Pyramid application.

Include it, and these endpoints answer::

    config.include("combine_health")

    GET /health            200 {"status": "healthy"}: the process is alive
    GET /health/ready      200 {"status": "ready"}, 503 while requests should not come here
    GET /health/startup    200 {"status": "started"}, 503 until it has come up
    GET /health/detailed   200, the full status, for those who may see it
    GET /metrics           for Prometheus
    GET /status            a page for people

They need no sign-in and touch neither session nor transaction. It needs nothing but pyramid and
pluggy.

A check
=======

::

    def redis(registry):
        registry.redis.ping()               # raising is failing

    config.add_health_check("redis", redis, remedy="Start Redis: systemctl start redis")

A check is ``check(registry) -> HealthResult | bool | None``, plain or ``async def``. ``None`` and
``True`` are healthy, ``False`` and raising are failing; a `HealthResult` says more::

    from combine_health import HealthResult

    def queue(registry):
        waiting = registry.queue.depth()
        if waiting > 1000:
            return HealthResult.degraded("queue_long", f"{waiting} jobs wait", waiting=waiting)
        return HealthResult.healthy(waiting=waiting)

It gets the application's registry, never a request, and opens its own short connection with its own
time-out: it runs on a thread of its own, in the background, and no probe waits for it.

``config.add_health_check(name, check, *, ...)`` takes (times are seconds):

``kind``      ``"ready"`` decides /health/ready; ``"live"`` decides /health, for faults that only a
              restart mends; ``"startup"`` is as ready until it has passed once, then it is not run
              again; ``"info"`` is shown and decides nothing
``critical``  True: failing means not ready. False: failing means degraded, which is ready
``timeout``   1.0: a run that takes longer has failed, whether the check honours it or not. It is
              not started again while it still hangs
``interval``  2.0: from one run to the next. A result is *unknown*, and an unknown critical check not
              ready, once it is older than three intervals, or three time-outs where these are longer
``fall``      1: failures in a row that make a healthy check failing
``rise``      1: passes in a row that make a failing check healthy again
``words``     the pair of public words in the body of /health/ready, under the check's name:
              ``("connected", "disconnected")``; before the first result it is ``"unknown"``
``remedy``    what to do when it fails; ``remedies={cause: what to do}`` where that depends
``runbook``   a link
``groups``    names of groups: the check decides /health/ready/GROUP
``endpoints`` URIs of the application (RFC 6570 templates) that suffer when it fails

``config.use_health_check(name, use, ...)`` declares a built-in one (disk, memory, TLS, HTTP, ...);
see `combine_health.checks`.

The check may be a dotted name. Two declarations of one name are a conflict, which stops the start;
the application itself may override what an add-on or a plugin declared. Once the application is
made, it is too late to declare one, and that is an error.

What the endpoints say
======================

/health/ready answers 503 with ``Retry-After`` and the first of these words that is true:
``draining`` (the server is about to end), ``maintenance`` (an operator ordered it),
``unavailable`` (a critical check fails or is unknown, or the worker threads of the server have been
saturated for a minute) and ``starting`` (a critical check has no result yet). Beside it stand the
words of the checks that have some. A degraded service is ready.

/health answers 503 ``{"status": "unhealthy"}`` while a critical ``live`` check fails, or requests
wait and the server has finished none for ten minutes.

``?check=NAME``, several by commas or repeated, asks about these checks alone; each counts then,
critical or not. /health/ready/GROUP asks about a group. An unknown name is a 404, which names those
there are to whoever may see details.

/health/detailed follows the JSON Schema at /health/detailed/schema: status, cause and remedy; per
check status, cause, remedy, age, duration and the last transitions; the worker threads of the
server; how the watching itself does (hung checks, skipped runs, listeners).

With ``Accept: application/health+json`` the probes and the full status say the same in the format
of draft-inadarei-api-health-check; there a full status that fails is a 503 too.

/metrics needs prometheus-client (the extra ``metrics`` of the distribution pyramid-combine). A
scrape reads what is known and runs nothing. The names begin with
``combine_health_``; labels are names and statuses only.

More for the full status
========================

``config.add_health_section(name, section)`` adds what ``section(registry)`` returns to
/health/detailed. It is called at the request: read memory, do no I/O. What a check found last is in
`read_check`. ``version`` and ``environment`` can be given as sections; ``contacts`` has its place
on the page.

``config.add_health_secret(value)`` registers a secret value. Whatever a check says is shortened and
passes a redactor that knows these values, the user part of URLs and ``password=`` in connection
strings.

Plugins
=======

A distribution announces a module in the entry-point group ``combine_health``::

    import combine_health

    @combine_health.hookimpl
    def combine_health_register_checks(register, settings):
        register("redis", check, timeout=0.5)     # takes what add_health_check takes

    @combine_health.hookimpl
    def combine_health_status_changed(change):    # a `Change`, of a check or of the service
        page_somebody(change.check, change.after, change.cause, change.remedy)

    @combine_health.hookimpl
    def combine_health_result(result):            # a `CheckRun`, after each run
        ...

``settings`` are the application's settings. ``config.add_health_plugin(module)`` adds one without
an entry point. A plugin that does not load, or fails to register, is itself a failing check
(``plugin-NAME``, not critical) and hides no other. A hook that does not exist stops the start.

Listeners are called on threads of their own: one that hangs or raises delays nobody else. Each
transition, of a check or the service, is a line in the log ``combine_health``, with cause and
remedy.

Settings
========

In the ini as ``combine_health.details``, in the environment, which wins, as
``COMBINE_HEALTH_DETAILS``. `combine_health.settings.declared` lists them. A misspelt one stops the
start.

``details``            who sees more than names and statuses at /health/detailed and /status:
                       ``never``, ``local`` (the default: loopback and private addresses),
                       ``authorized`` (the permission ``health:details``), ``always``
``token``              a secret; who sends it as ``Authorization: Bearer`` or ``X-Health-Token``
                       sees details and metrics too, unless that is ``never``
``behind_proxy``       ``true`` where all clients come through a proxy; see below
``metrics``            who may read /metrics: ``never``, ``local`` (the default), ``always``
``status_page``        ``false``: no /status
``background``         ``false`` runs the checks at the request, with the same deadlines
``disabled``           names of checks not to run
``disabled_plugins``   names of plugins not to load
``load_entry_points``  ``false`` loads no installed plugin
``version``, ``environment``  what /health/detailed shows as such
``maintenance_file``   where an operator's order is; see `combine_health.maintenance`
``saturated_after``    60: seconds of saturated worker threads until it is not ready
``stuck_after``        600: seconds without a finished request until it is not alive
``group.NAME``         checks that decide /health/ready/NAME, instead of those that say so themselves
``check.NAME.timeout`` and ``interval``, ``fall``, ``rise``, ``critical`` of one check

Local, and proxies
==================

A client is local by the address that the server gives, ``REMOTE_ADDR``. Behind a proxy that is the
proxy's own, which is private, so that everybody would be local. Tell the server to trust the proxy
(``egg:pyramid-combine#waitress``: ``trusted_proxy``, or ``COMBINE_HEALTH_TRUSTED_PROXY``; with several in a
row ``trusted_proxy_count``), and set ``combine_health.behind_proxy = true``: then a client is local only
by a forwarded address, and what comes without one is not local at all. Without these settings,
requests that bear a proxy's headers (``Via``, ``X-Real-IP``, ...) are not local either; but waitress
removes X-Forwarded-For of a proxy that it does not trust, so a proxy that sends nothing else cannot
be told.

Running
=======

The checks start with the first probe, or with `start_health`. After a fork they start anew in the
child, again with its first probe. All threads are daemons: a hung check never holds the exit.

``combine_health.server.waitress`` is a server for ini files (``use = egg:pyramid-combine#waitress``), which
answers the probes even when every worker thread is busy, and drains. ``combine_health.testing``
helps to test a check.
"""

from typing import Any

from pyramid.events import ApplicationCreated

from combine_health.directives import (
    add_health_check,
    add_health_secret,
    add_health_section,
    make_add_health_plugin,
    use_configured,
    use_health_check,
)
from combine_health.endpoints.views import add_views
from combine_health.engine.check import HealthResult, Status
from combine_health.engine.plugins import Plugins
from combine_health.engine.registry import HealthRegistry, IHealthRegistry, health_of
from combine_health.engine.state import Change, CheckRun, Reading
from combine_health.hookspecs import hookimpl
from combine_health.settings import HealthEnvironmentError, read_settings
from combine_health.version import __version__

__all__ = [
    "Change",
    "CheckRun",
    "HealthEnvironmentError",
    "HealthResult",
    "Reading",
    "Status",
    "__version__",
    "hookimpl",
    "includeme",
    "read_check",
    "start_health",
]


def includeme(config: Any) -> None:
    """Set the add-on up: settings, directives, endpoints, plugins (loading them is all its I/O)."""
    if config.registry.queryUtility(IHealthRegistry) is not None:
        return
    settings = read_settings(config.registry.settings or {})
    health = HealthRegistry(config.registry, settings)
    health.prefix = "/" + config.route_prefix.strip("/") if config.route_prefix else ""
    config.registry.registerUtility(health, IHealthRegistry)
    if settings.token is not None:
        health.redactor.add(settings.token.reveal())

    config.add_directive("add_health_check", add_health_check)
    config.add_directive("use_health_check", use_health_check)
    config.add_directive("add_health_section", add_health_section)
    config.add_directive("add_health_secret", add_health_secret)
    add_views(config, settings)

    # Plugins register at once, by the directive itself: an action could not add further actions.
    plugins = Plugins(
        config.add_health_check,
        config.registry.settings or {},
        settings.disabled_plugins,
        health.redactor,
    )
    config.add_directive("add_health_plugin", make_add_health_plugin(plugins))
    if settings.load_entry_points:
        plugins.load_entry_points()
    use_configured(config, settings.built_in)

    def finish(_event: ApplicationCreated) -> None:
        # Only now are all checks and plugins known.
        plugins.verify()
        health.verify()
        for listener in plugins.listeners():
            health.outboxes.add(listener)
        _ = health.runner  # from here on the checks are fixed

    config.add_subscriber(finish, ApplicationCreated)


def start_health(registry: Any) -> None:
    """Start to run the checks of this registry's application; for servers, before they serve.

    Raises `zope.interface.interfaces.ComponentLookupError` when the add-on is not included.
    """
    health_of(registry).runner.start()


def read_check(registry: Any, name: str) -> Reading | None:
    """What the check ``name`` found last, as it stands now; ``None`` if there is no such check."""
    return health_of(registry).runner.reading(name)
