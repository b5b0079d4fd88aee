"""The database connections of a worker, and how long it counts as alive: what the health checks know of it.

A module of its own, so that a web process need not load the worker.
"""

from __future__ import annotations

from combine_core.heartbeat import SILENT_AFTER_S

# A worker without a heartbeat for this long counts as dead, and other workers take its steps. If it was
# alive, a call may be paid twice, but no document is wrong: the epoch excludes the late attempt.
DEAD_AFTER_S = SILENT_AFTER_S
FINISHED_JOBS_KEPT_H = 72
# Connections of the queue's pool: to fetch and end jobs, and for heartbeats.
POOL_SIZE = 4
# Procrastinate listens for new jobs on a connection outside of its pool.
LISTENING = 1
# Connections of the steps. A step needs one only for moments, so eight serve two hundred threads.
STEPS_POOL_SIZE = 8
STEPS_OVERFLOW = 2


def connections_of_worker(concurrency: int) -> int:
    """Return the largest number of database connections that a worker holds at once."""
    return min(concurrency, STEPS_POOL_SIZE) + STEPS_OVERFLOW + POOL_SIZE + LISTENING
