"""Looking at something again and again, beside the work of the process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

_starting = threading.Lock()


def repeat(name: str, look: Callable[[], None], interval: float) -> None:
    """Call `look` every `interval` seconds on a daemon thread called `name`.

    Does nothing where that thread runs already. An error is logged with its traceback when it first
    occurs, and does not end the looking.
    """

    def run() -> None:
        failing = False
        pause = threading.Event()
        while True:
            try:
                look()
                failing = False
            except Exception:
                if not failing:
                    log.exception("%s failed; it is tried again every %g s", name, interval)
                failing = True
            pause.wait(interval)

    with _starting:
        if all(thread.name != name for thread in threading.enumerate()):
            threading.Thread(target=run, name=name, daemon=True).start()
