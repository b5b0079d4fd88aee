"""What a process does while it serves: a worker beside it, its log, watches over memory and connections.

``config.include("combine_core")`` includes it. It knows from ``__script__``, which ``pserve`` gives to the
application's ``main`` in its first argument, whether the process serves; a shell, alembic or a command
builds the same application and starts nothing. An application of its own passes it on::

    def main(global_config, **settings):
        with Configurator(settings={**global_config, **settings}) as config:

Under another server than ``pserve``, call :func:`start_service` in each process that serves.
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

# How long Ctrl-C waits for running steps of the worker inside the web process.
WORKER_GRACE_S = 2.0
_NOT_STARTED = (
    "Nobody has said that this process serves. Until combine_core.serving.start_service(app.registry) is"
    " called, it runs no worker%s, does not apply LOG_LEVEL and LOG_FORMAT, masks no secrets in its log, does"
    " not watch memory and connections, and does not record changed settings.%s"
)
_IN_MAIN = (
    " With pserve, write Configurator(settings={**global_config, **settings}) in main: that calls it, and"
    " finds the .env beside the ini file."
)


def start_service(registry: Registry) -> None:
    """Start what a serving process of this application needs, and tell ``ServiceStarted`` to subscribers."""
    loaded: LoadedSettings = registry[SETTINGS_KEY]
    core = loaded.get(CoreSettings)
    configure_logging(core, loaded.secrets())
    start_memory_watch(open_connections)
    start_leak_watch(core.connection_leak_seconds)
    registry.notify(ServiceStarted(registry))
    if core.worker:
        # Here, because most web processes have none beside them, and it loads a queue and its driver.
        from combine_core.runs.worker import make_worker

        worker = make_worker(core, providers_of(registry), grace=WORKER_GRACE_S)
        thread = worker.start()

        def stop() -> None:
            worker.stop()
            thread.join(WORKER_GRACE_S + 3)

        # Exit handlers run in reverse order, so this one runs before the embedded database stops.
        atexit.register(stop)
    # Pyramid has read the source of all views, for messages about conflicts.
    linecache.clearcache()
    # What is there by now stays. Python looks for garbage the later, the more there is to look at, so what
    # requests leave behind would be kept for longer.
    gc.freeze()


def _application_created(event: ApplicationCreated) -> None:
    registry = event.app.registry
    script = registry.settings.get("__script__")
    if script == "pserve":
        start_service(registry)
    elif script is None:
        asked = settings_of(registry, CoreSettings).worker
        log.warning(
            _NOT_STARTED,
            " although combine_core.worker is true" if asked else "",
            "" if registry.settings.get("__file__") else _IN_MAIN,
        )


def includeme(config: Configurator) -> None:
    """Start what serving needs as soon as the application is made."""
    config.add_subscriber(_application_created, ApplicationCreated)
