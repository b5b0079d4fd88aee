"""Health checks for any Pyramid application.

Include it, and these endpoints answer::

    config.include("combine_health")

    GET /health            200 {"status": "healthy"} while the process is alive
    GET /health/ready      200 {"status": "ready"}, 503 while the service should get no requests
    GET /health/startup    200 {"status": "started"}, 503 until the service has started
    GET /health/detailed   200, the full status, for authorized clients
    GET /metrics           for Prometheus
    GET /status            a page for people

They need no sign-in and use neither session nor transaction. They are answered before the tweens,
the subscribers and the request factory of the application. The add-on depends only on pyramid and
pluggy.

A check
=======

::

    def redis(registry):
        return registry.redis.ping()        # False and exceptions mean failing

    config.add_health_check("redis", redis, remedies={"exception": "Start Redis."})

A check is ``check(registry) -> HealthResult | bool | None``, plain or ``async def``. ``None`` and
``True`` are healthy, ``False`` and exceptions are failing; a `HealthResult` carries more::

    from combine_health import HealthResult

    def queue(registry):
        waiting = registry.queue.depth()
        if waiting > 1000:
            return HealthResult.degraded("queue_long", f"{waiting} jobs wait", waiting=waiting)
        return HealthResult.healthy(waiting=waiting)

A check gets the application's registry, never a request. It runs in the background on a thread of
its own, ``async`` ones on one event loop, and no probe waits for it. It should open its own short
connection with its own timeout, a little below `current_check`'s ``timeout``.

``config.add_health_check(name, check, *, ...)`` takes (times are seconds):

``kind``      ``"ready"`` decides /health/ready; ``"live"`` decides /health, for faults that only a
              restart fixes; ``"startup"`` is like ready until it has passed once, then it is not
              run again; ``"info"`` is shown and decides nothing
``critical``  True: failing means not ready. False: failing means degraded, which is ready
``timeout``   1.0: a run that takes longer fails, whether the check honours the timeout or not. The
              check is not started again while it hangs
``interval``  2.0: time from one run to the next. A check is *unknown*, and not ready if it is critical,
              when its result is older than three intervals (or three timeouts if these are longer)
``fall``      1: failures in a row that make a healthy check failing
``rise``      1: passes in a row that make a failing check healthy again
``words``     the pair of public words in the body of /health/ready, under the check's name:
              ``("connected", "disconnected")``; before the first result it is ``"unknown"``
``remedy``    the action to take when the check fails; ``remedies={cause: action}`` if it depends on
              the cause. Causes of the framework (``exception``, ``timeout``, ...) have their own
``runbook``   a link
``groups``    names of groups: the check decides /health/ready/GROUP
``endpoints`` URIs of the application (RFC 6570 templates) that a failure affects

``config.use_health_check(name, use, ...)`` declares a built-in one (disk, memory, TLS, HTTP, ...);
see `combine_health.checks`.

The check may be a dotted name. Two declarations of one name are a configuration conflict and stop
the start; the application itself may override the checks of add-ons and plugins. Declaring a check
after the application has been made is an error.

Responses
=========

/health/ready returns 503 with ``Retry-After`` and the first of these words that is true:
``draining`` (the server is shutting down), ``maintenance`` (an operator switched it on),
``unavailable`` (a critical check fails or is unknown, or the worker threads of the server have been
saturated for a minute) and ``starting`` (a critical check has no result yet). The body also has the
public words of the checks that declare them. A degraded service is ready.

/health returns 503 ``{"status": "unhealthy"}`` while a critical ``live`` check fails, or after
requests have waited for ten minutes and none has finished.

``?check=NAME`` (repeated, or with commas) limits the response to these checks, and
/health/ready/GROUP to the checks of a group. Each of them then counts, critical or not, whatever its
kind. An unknown name returns 404, which lists the known names for clients that may see details.

/health/detailed follows the JSON Schema at /health/detailed/schema. With ``Accept:
application/health+json`` the probes and the full status use the format of
draft-inadarei-api-health-check; in that format a failing full status returns 503 too. /metrics needs
prometheus-client (the extra ``metrics`` of the distribution pyramid-combine) and runs no check.

``config.add_health_section(name, section)`` adds what ``section(registry)`` returns to
/health/detailed. It is called during the request: read memory, do no I/O. ``config.add_health_secret``
registers a value to mask. `read_check` returns the latest result of a check.

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

    @combine_health.hookimpl
    def combine_health_declare_settings(declare): # COMBINE_HEALTH_REDIS_URL, combine_health.redis_url
        declare("redis_url", str, "The server.", "redis://127.0.0.1", secret=True)

``settings`` are the application's settings, and those that plugins declare.
``config.add_health_plugin(module)`` adds one without an entry point. A plugin that does not load or
register becomes a failing check (``plugin-NAME``, not critical) and does not affect the others. A
hook that does not exist stops the start.

Listeners are called on threads of their own, so one that hangs or raises does not delay the others.
Each transition of a check or of the service is a line in the log ``combine_health`` with cause and
remedy.

Settings
========

In the ini as ``combine_health.details``, in the environment, which wins, as
``COMBINE_HEALTH_DETAILS``. `combine_health.declarations` declares them all with their help;
docs/health-plugins.md explains who counts as local behind a proxy. An unknown name stops the start.

Running
=======

The checks start with the first probe, or with `start_health`. After a fork they start again in the
child, with its first probe. `stop_health` reports that the server drains. All threads are daemons: a
hung check never delays the exit.

``combine_health.server.waitress`` is a server for ini files (``use = egg:pyramid-combine#waitress``), which
answers the probes even when every worker thread is busy, and drains on SIGTERM.
`combine_health.gunicorn` has the hooks for gunicorn.
``combine_health.testing`` helps to test a check.
"""

from typing import TYPE_CHECKING, Any

from combine_health.engine.check import HealthResult, Status
from combine_health.engine.execute import current_check
from combine_health.engine.registry import HealthRegistry, IHealthRegistry, health_of
from combine_health.engine.state import Change, CheckRun, Reading
from combine_health.hookspecs import hookimpl
from combine_health.settings import read_settings, verify_checks, verify_names
from combine_health.version import __version__

if TYPE_CHECKING:
    from combine_health.environment_error import HealthEnvironmentError

__all__ = [
    "Change",
    "CheckRun",
    "HealthEnvironmentError",
    "HealthResult",
    "Reading",
    "Status",
    "__version__",
    "current_check",
    "hookimpl",
    "includeme",
    "read_check",
    "start_health",
    "stop_health",
]


def __getattr__(name: str) -> Any:
    # Imported late because the error loads Pyramid, which commands that only read settings do not need.
    if name == "HealthEnvironmentError":
        from combine_health.environment_error import HealthEnvironmentError

        return HealthEnvironmentError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def includeme(config: Any) -> None:
    """Add the settings, directives, endpoints and plugins. Loading the plugins is the only I/O."""
    if config.registry.queryUtility(IHealthRegistry) is not None:
        return
    # Imported here because commands that only read settings need neither the endpoints nor Pyramid.
    from pyramid.events import ApplicationCreated

    from combine_health.directives import (
        add_health_check,
        add_health_counter,
        add_health_secret,
        add_health_section,
        make_add_health_plugin,
        use_configured,
        use_health_check,
    )
    from combine_health.endpoints.conflicts import verify_routes
    from combine_health.endpoints.views import add_views, install_execution_policy
    from combine_health.engine.plugins import Plugins

    settings = read_settings(config.registry.settings or {})
    health = HealthRegistry(config.registry, settings)
    prefixes = [(config.route_prefix or "").strip("/"), settings.route_prefix]
    health.prefix = "".join(f"/{prefix}" for prefix in prefixes if prefix)
    config.registry.registerUtility(health, IHealthRegistry)
    if settings.token is not None:
        health.redactor.add(settings.token.reveal())

    config.add_directive("add_health_check", add_health_check)
    config.add_directive("use_health_check", use_health_check)
    config.add_directive("add_health_section", add_health_section)
    config.add_directive("add_health_counter", add_health_counter)
    config.add_directive("add_health_secret", add_health_secret)
    with config.route_prefix_context(settings.route_prefix):
        add_views(config, settings)

    # Plugins register now and not in an action, because an action cannot add further actions.
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

    def finish(event: ApplicationCreated) -> None:
        # Only now are all checks and plugins known.
        plugins.verify()
        verify_names(config.registry.settings or {}, plugins.declared)
        verify_routes(config.registry)
        verify_checks(settings, {*health.checks, *health.disabled})
        for listener in plugins.listeners(config.registry):
            health.outboxes.add(listener)
        _ = health.runner  # creates the runner, after which no check can be added
        install_execution_policy(event.app)

    config.add_subscriber(finish, ApplicationCreated)


def start_health(registry: Any, wait: float = 0.0) -> None:
    """Start the checks of an application. Servers call this before they accept requests.

    Waits at most ``wait`` seconds for the first results: without them the service is not ready.
    Raises `zope.interface.interfaces.ComponentLookupError` if the add-on is not included.
    """
    health_of(registry).start(wait)


def stop_health(registry: Any) -> None:
    """Report *draining* (alive but not ready). Servers call this when they begin to shut down."""
    health_of(registry).draining = True


def read_check(registry: Any, name: str) -> Reading | None:
    """Return the current reading of the check ``name``, or ``None`` if there is no such check."""
    return health_of(registry).runner.reading(name)
