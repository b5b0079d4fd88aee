"""The service's entry point for ini files: ``[app:main] use = egg:pyramid-combine``."""

from __future__ import annotations

import atexit
from pathlib import Path
from typing import Any

from pyramid.config import Configurator
from pyramid.router import Router

from combine_core.extras import require_core

# How long Ctrl-C waits for running steps of the worker inside the web process.
WORKER_GRACE_S = 2.0


def main(global_config: dict[str, str], **settings: Any) -> Router:
    """Assemble the service that an ini file describes.

    The Configurator includes the add-ons that ``pyramid.includes`` names, in that order.

    :raises ConfigurationEnvironmentError: names every setting that is missing or wrong
    """
    # Imported below, so that a missing extra is named before an import fails.
    require_core()
    from combine_core.database.pool import open_connections, start_leak_watch
    from combine_core.llm import providers_of
    from combine_core.observe import configure_logging
    from combine_core.observe.memory import start_memory_watch
    from combine_core.postgres import with_database
    from combine_core.runs.worker import make_worker
    from combine_core.settings import SETTINGS_KEY, load_all
    from combine_core.settings.core import CoreSettings
    from combine_core.web import ServiceStarted

    ini = global_config.get("__file__")
    serving = global_config.get("__script__") == "pserve"
    # All settings are checked together, before any add-on is included.
    loaded = load_all(settings, Path(ini) if ini else None)
    if serving:
        configure_logging(loaded.get(CoreSettings), loaded.secrets())
    loaded = with_database(loaded)
    if serving:
        # Again, because only now the password of an embedded database is known and can be masked.
        configure_logging(loaded.get(CoreSettings), loaded.secrets())
    assembled = {**settings, **loaded.overlay, SETTINGS_KEY: loaded}
    with Configurator(settings=assembled) as config:
        application = config.make_wsgi_app()
    core = loaded.get(CoreSettings)
    if serving:
        start_memory_watch(open_connections)
        start_leak_watch(core.connection_leak_seconds)
        application.registry.notify(ServiceStarted(application.registry))
    # Only a server starts a worker. A shell, alembic or a test that builds the application does not.
    if core.worker and serving:
        worker = make_worker(core, providers_of(config.registry), grace=WORKER_GRACE_S)
        thread = worker.start()

        def stop() -> None:
            worker.stop()
            thread.join(WORKER_GRACE_S + 3)

        # Exit handlers run in reverse order, so this one runs before the embedded database stops.
        atexit.register(stop)
    return application
