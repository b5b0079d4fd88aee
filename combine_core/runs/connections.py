"""Defines the number of a worker's database connections and the timeout of its heartbeat.

The health checks import these values from here, so that a web process does not load the worker.
"""

from __future__ import annotations

from combine_core.heartbeat import SILENT_AFTER_S

# A worker without a heartbeat for this long counts as dead, and other workers claim its steps. If it is
# alive, a call may be charged twice, but the documents are correct: the epoch rejects the late attempt.
DEAD_AFTER_S = SILENT_AFTER_S
FINISHED_JOBS_KEPT_H = 72
# The pool of the queue, which fetches and finishes jobs and sends heartbeats.
POOL_SIZE = 4
# Procrastinate listens for new jobs on one connection outside of its pool.
LISTENING = 1
# The pool of the steps. A step needs a connection only briefly, so eight serve two hundred threads.
STEPS_POOL_SIZE = 8
STEPS_OVERFLOW = 2


def connections_of_worker(concurrency: int) -> int:
    """Return the maximum number of database connections of a worker."""
    return min(concurrency, STEPS_POOL_SIZE) + STEPS_OVERFLOW + POOL_SIZE + LISTENING
