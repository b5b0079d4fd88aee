"""Health checks for any Pyramid application.

Include it, and three endpoints answer::

    config.include("combine_health")

    GET /health            200 {"status": "healthy"}
    GET /health/ready      200 {"status": "ready"}, 503 while a critical check fails
    GET /health/detailed   200, the full status of every check

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
``interval``  2.0: from one run to the next. A result older than three intervals is *unknown*, and
              an unknown critical check is not ready
``fall``      1: failures in a row that make a healthy check failing
``rise``      1: passes in a row that make a failing check healthy again
``words``     the pair of public words in the body of /health/ready, under the check's name:
              ``("connected", "disconnected")``; before the first result it is ``"unknown"``
``remedy``    what to do when it fails; ``remedies={cause: what to do}`` where that depends
``runbook``   a link

The check may be a dotted name. Two declarations of one name are a conflict, which stops the start;
the application itself may override what an add-on or a plugin declared.

More for the full status
========================

``config.add_health_section(name, section)`` adds what ``section(registry)`` returns to
/health/detailed. It is called at the request: read memory, do no I/O. What a check found last is in
`read_check`. ``version`` and ``environment`` can be given as sections.

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

``settings`` are the application's settings. ``config.add_health_plugin(module)`` adds one without
an entry point. A plugin that does not load, or fails to register, is itself a failing check
(``plugin-NAME``, not critical) and hides no other. A hook that does not exist stops the start.

Settings
========

In the ini as ``combine_health.details``, in the environment, which wins, as
``COMBINE_HEALTH_DETAILS``. `combine_health.settings.declared` lists them. A misspelt one stops the
start.

``details``            who sees more than names and statuses at /health/detailed: ``never``,
                       ``local`` (the default: loopback and private addresses), ``authorized`` (the
                       permission ``health:details``), ``always``
``background``         ``false`` runs the checks at the request, with the same deadlines
``disabled``           names of checks not to run
``disabled_plugins``   names of plugins not to load
``load_entry_points``  ``false`` loads no installed plugin
``version``, ``environment``  what /health/detailed shows as such
``check.NAME.timeout`` and ``interval``, ``fall``, ``rise``, ``critical`` of one check
``check.NAME.use``     makes a built-in check (disk, memory, open_files, clock, tls, tcp, http, dns):
                       see `combine_health.checks`

Running
=======

The checks start with the first probe, or with `start_health`. After a fork they start anew in the
child, again with its first probe. All threads are daemons: a hung check never holds the exit.

``combine_health.waitress`` is a server for ini files (``use = egg:combine#waitress``), and
``combine_health.testing`` helps to test a check.
"""

from typing import Any

from pyramid.events import ApplicationCreated

from .checks.use import use_configured, use_health_check
from .directives import (
    add_health_check,
    add_health_secret,
    add_health_section,
    make_add_health_plugin,
)
from .history import Change, CheckRun
from .hookspecs import hookimpl
from .plugins import Plugins
from .registry import HealthRegistry, IHealthRegistry, health_of
from .result import HealthResult, Status
from .settings import HealthEnvironmentError, read_settings
from .state import Reading
from .version import __version__
from .views import add_views

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
