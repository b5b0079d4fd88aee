"""Throttles log lines that a failure could repeat by the thousand: one of a kind in ten seconds."""

import logging
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

EVERY = 10.0  # seconds


class ThrottledLog:
    """Logs the first line of each kind at once; the next one tells how many were left out.

    The kind of a line is its text before the arguments are inserted.
    """

    def __init__(
        self, logger: logging.Logger, every: float = EVERY, clock: Callable[[], float] = monotonic
    ) -> None:
        self._logger = logger
        self._every = every
        self._clock = clock
        self._lock = threading.Lock()
        self._said: dict[str, tuple[float, int]] = {}  # when last, and how many left out since

    def warning(self, text: str, *args: Any) -> None:
        self._log(logging.WARNING, text, args)

    def exception(self, text: str, *args: Any) -> None:
        self._log(logging.ERROR, text, args, exc_info=True)

    def _log(self, level: int, text: str, args: tuple[Any, ...], *, exc_info: bool = False) -> None:
        now = self._clock()
        with self._lock:
            last, left_out = self._said.get(text, (None, 0))
            if last is not None and now - last < self._every:
                self._said[text] = (last, left_out + 1)
                return
            self._said[text] = (now, 0)
        if left_out and last is not None:
            text = f"{text} (and {left_out} more such lines in {now - last:.0f} s)"
        self._logger.log(level, text, *args, exc_info=exc_info, stacklevel=3)
