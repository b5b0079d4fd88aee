"""Defines hooks for gunicorn that start the checks of each worker and drain it before it ends.

In ``gunicorn.conf.py``::

    from combine_health.gunicorn import post_worker_init, when_ready, worker_exit

A worker then accepts requests only after the checks have their first results. On SIGTERM, the
service reports *draining* and goes on serving for ``COMBINE_HEALTH_DRAIN_SECONDS`` (5) before gunicorn
ends its workers. A second SIGTERM ends them at once. If you have your own hooks, call these from them.
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

LONGEST_WAIT = 10.0  # seconds that a worker waits for the first results
LONGEST_DELIVERY = 1.0  # seconds to deliver the last events

_draining = mmap(-1, 1)  # memory that the master shares with its workers


def when_ready(_master: Any) -> None:
    """Make the master report draining before it ends the workers on SIGTERM."""
    seconds: float = read_server({})["drain_seconds"]
    end = signal.getsignal(signal.SIGTERM)
    if not seconds or not callable(end):
        return

    def drain(number: int, frame: Any) -> None:
        if _draining[0]:
            end(number, frame)
            return
        _draining[0] = 1
        second_signal = Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
        second_signal.daemon = True
        second_signal.start()

    signal.signal(signal.SIGTERM, drain)


def post_worker_init(worker: Any) -> None:
    """Start the checks in a worker that has loaded its application, and wait for the first results."""
    found = _health_of(worker)
    if not found:
        log.warning("the application does not include combine_health: add it to pyramid.includes")
    # The master kills a worker that sends no heartbeat for `timeout` seconds, unless it is 0.
    wait = min(LONGEST_WAIT, worker.timeout or LONGEST_WAIT)
    for health in found:
        health.read_draining = lambda: bool(_draining[0])
        health.start(wait)


def worker_exit(_master: Any, worker: Any) -> None:
    """Report draining to the listeners and the log when a worker ends."""
    for health in _health_of(worker):
        health.draining = True
    for health in _health_of(worker):
        health.outboxes.wait_until_delivered(LONGEST_DELIVERY)  # their threads end with the process


def _health_of(worker: Any) -> list[HealthRegistry]:
    application = getattr(worker, "wsgi", None)  # absent if the application could not be loaded
    return [mount.health for mount in mounts_of(application) if mount.health is not None]
