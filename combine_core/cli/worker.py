"""``combine worker``: processes runs, beside the web processes and on as many machines as needed."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from types import FrameType

import click

from combine_core.settings.config_option import config_option


@click.command()
@config_option
@click.option(
    "--concurrency",
    type=click.IntRange(1, 100),
    help="Number of concurrent steps [default: combine_core.worker_concurrency].",
)
def worker(ini: str, concurrency: int | None) -> None:
    """Process runs until stopped with Ctrl-C or SIGTERM.

    It then finishes the steps in progress, or returns them to the queue.
    """
    from pyramid.paster import setup_logging

    from combine_core.cli.service import open_service
    from combine_core.database.pool import open_connections, start_leak_watch
    from combine_core.heartbeat import open_heartbeat
    from combine_core.llm import provider_registry
    from combine_core.observe import configure_logging
    from combine_core.observe.memory import start_memory_watch
    from combine_core.runs.worker import make_worker

    setup_logging(ini)
    with open_service(ini) as service, ExitStack() as stack:
        configure_logging(service.core, service.settings.secrets())
        core = service.core
        if concurrency is not None:
            core = core.model_copy(update={"worker_concurrency": concurrency})
        start_memory_watch(open_connections)
        start_leak_watch(core.connection_leak_seconds)
        heartbeat = stack.enter_context(open_heartbeat())
        running = make_worker(core, provider_registry(core), heartbeat=heartbeat)

        def stop(_signal: int, _frame: FrameType | None) -> None:
            running.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        click.echo(f"Processing runs with {core.worker_concurrency} concurrent steps.", err=True)
        running.run()
