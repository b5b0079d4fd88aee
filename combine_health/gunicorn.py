"""The hooks of gunicorn that let probes be right from a worker's first request to its last.

In ``gunicorn.conf.py``::

    from combine_health.gunicorn import post_worker_init, when_ready, worker_exit

A worker then accepts requests only after the checks have their first results. On SIGTERM, the
service reports *draining* and goes on serving for ``COMBINE_HEALTH_DRAIN_SECONDS`` (5) before gunicorn
ends its workers; a second SIGTERM ends them at once. If you have hooks of your own, call these in them.
"""

import logging
import os
import signal
from mmap import mmap
from threading import Timer
from typing import Any

from combine_health.engine.registry import HealthRegistry
from combine_health.server.mounts import mounts_of
from combine_health.settings import read_server

log = logging.getLogger("combine_health")

LONGEST_WAIT = 10.0  # seconds until a worker starts without the first results
LONGEST_DELIVERY = 1.0  # seconds for the last events

_draining = mmap(-1, 1)  # memory that the master shares with its workers


def when_ready(_master: Any) -> None:
    """Report draining before SIGTERM ends the workers; on the master."""
    seconds: float = read_server({})["drain_seconds"]
    end = signal.getsignal(signal.SIGTERM)
    if not seconds or not callable(end):
        return

    def drain(number: int, frame: Any) -> None:
        if _draining[0]:
            end(number, frame)
            return
        _draining[0] = 1
        again = Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
        again.daemon = True
        again.start()

    signal.signal(signal.SIGTERM, drain)


def post_worker_init(worker: Any) -> None:
    """Start the checks and wait for their first results; on a worker that has its application."""
    found = _health_of(worker)
    if not found:
        log.warning(
            "no health add-on is found in the application: write combine_health in pyramid.includes"
        )
    # The master kills a worker that gives no sign of life for this time, unless it is 0.
    wait = min(LONGEST_WAIT, worker.timeout or LONGEST_WAIT)
    for health in found:
        health.read_draining = lambda: bool(_draining[0])
        health.start(wait)


def worker_exit(_master: Any, worker: Any) -> None:
    """Report draining to listeners and the log; on a worker that ends."""
    for health in _health_of(worker):
        health.draining = True
    for health in _health_of(worker):
        health.outboxes.wait_until_delivered(LONGEST_DELIVERY)  # their threads end with the process


def _health_of(worker: Any) -> list[HealthRegistry]:
    application = getattr(worker, "wsgi", None)  # it has none if it could not be loaded
    return [mount.health for mount in mounts_of(application) if mount.health is not None]
