"""Runs a function at intervals in a daemon thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

_starting = threading.Lock()


def repeat(name: str, work: Callable[[], None], interval: float) -> None:
    """Call `work` every `interval` seconds in a daemon thread called `name`.

    Does nothing if that thread runs already. An error does not end the thread. Only the first of several
    consecutive errors is logged, with its traceback.
    """

    def run() -> None:
        failing = False
        pause = threading.Event()
        while True:
            try:
                work()
                failing = False
            except Exception:
                if not failing:
                    log.exception("%s failed. It is retried every %g s.", name, interval)
                failing = True
            pause.wait(interval)

    with _starting:
        if all(thread.name != name for thread in threading.enumerate()):
            threading.Thread(target=run, name=name, daemon=True).start()
