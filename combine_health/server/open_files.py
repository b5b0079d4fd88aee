"""How many connections the system lets this process open."""

import logging
from contextlib import suppress

log = logging.getLogger("combine_health")

RESERVE = 256  # descriptors for files, pools and plugins
FEWEST = 64


def room_for(connections: int) -> int:
    """Raise the soft limit of open files as far as ``connections`` need; returns how many fit.

    Without that, accepting one too many fails for ever, and so does every log file.
    """
    try:
        import resource
    except ImportError:  # not on Windows
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return connections
    wanted = connections + RESERVE
    if soft < wanted:
        best = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):  # a sandbox may forbid it: then the soft limit stands
            resource.setrlimit(resource.RLIMIT_NOFILE, (best, hard))
            soft = best
    if soft >= wanted:
        return connections
    fit = max(FEWEST, soft - RESERVE)
    log.info("at most %d connections: the limit of open files is %d", fit, soft)
    return fit
