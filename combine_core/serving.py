"""Starts the background work of a serving process: a worker, logging, watches over memory and connections.

``config.include("combine_core")`` includes this module. A shell, alembic or a command builds the same
application without serving it, so nothing starts there. ``pserve`` passes ``__script__`` to the application's
``main`` in its first argument, which shows that the process serves. An application with its own ``main``
passes it on::

    def main(global_config, **settings):
        with Configurator(settings={**global_config, **settings}) as config:

Under a server other than ``pserve``, call :func:`start_service` in each process that serves.
"""

from __future__ import annotations

import atexit
import gc
import linecache
import logging
from typing import TYPE_CHECKING

from pyramid.events import ApplicationCreated

from combine_core.database.pool import open_connections, start_leak_watch
from combine_core.llm import providers_of
from combine_core.observe import configure_logging
from combine_core.observe.memory import start_memory_watch
from combine_core.settings import SETTINGS_KEY, CoreSettings, LoadedSettings, settings_of
from combine_core.web import ServiceStarted

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.registry import Registry

log = logging.getLogger(__name__)

# Ctrl-C waits this long for running steps of the worker inside the web process.
WORKER_GRACE_S = 2.0
_NOT_STARTED = (
    "combine_core does not know whether this process serves. Until"
    " combine_core.serving.start_service(app.registry) is called, this process runs no worker%s, ignores"
    " LOG_LEVEL and LOG_FORMAT, masks no secrets in its log, does not watch memory and connections, and does"
    " not record changed settings.%s"
)
_IN_MAIN = (
    " With pserve, write Configurator(settings={**global_config, **settings}) in main: then start_service is"
    " called for you, and the .env beside the ini file is read."
)


def start_service(registry: Registry) -> None:
    """Start the background work of a serving process, and send ``ServiceStarted`` to subscribers."""
    loaded: LoadedSettings = registry[SETTINGS_KEY]
    core = loaded.get(CoreSettings)
    configure_logging(core, loaded.secrets())
    start_memory_watch(open_connections)
    start_leak_watch(core.connection_leak_seconds)
    registry.notify(ServiceStarted(registry))
    if core.worker:
        # Imported here because most web processes run no worker, and the import loads Procrastinate.
        from combine_core.runs.worker import make_worker

        worker = make_worker(core, providers_of(registry), grace=WORKER_GRACE_S)
        thread = worker.start()

        def stop() -> None:
            worker.stop()
            thread.join(WORKER_GRACE_S + 3)

        # Exit handlers run in reverse order, so this one runs before the embedded database stops.
        atexit.register(stop)
    # Free the source code of all views, which Pyramid has read for messages about conflicts.
    linecache.clearcache()
    # The objects that exist by now stay. The more objects Python tracks, the later it collects garbage, so
    # the garbage of requests would be kept for longer.
    gc.freeze()


def _application_created(event: ApplicationCreated) -> None:
    registry = event.app.registry
    script = registry.settings.get("__script__")
    if script == "pserve":
        start_service(registry)
    elif script is None:
        wants_worker = settings_of(registry, CoreSettings).worker
        log.warning(
            _NOT_STARTED,
            " although combine_core.worker is true" if wants_worker else "",
            "" if registry.settings.get("__file__") else _IN_MAIN,
        )


def includeme(config: Configurator) -> None:
    config.add_subscriber(_application_created, ApplicationCreated)
