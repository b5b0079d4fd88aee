"""Throttles log lines that a failure could repeat thousands of times: one of a kind in ten seconds."""

import logging
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

EVERY = 10.0  # seconds


class ThrottledLog:
    """A logger that drops repeated lines; the next line it logs contains the number of dropped lines.

    Lines are of one kind if they have the same text before formatting.
    """

    def __init__(
        self, logger: logging.Logger, every: float = EVERY, clock: Callable[[], float] = monotonic
    ) -> None:
        self._logger = logger
        self._every = every
        self._clock = clock
        self._lock = threading.Lock()
        # By kind: the time of the last line, and the number of lines dropped since.
        self._kinds: dict[str, tuple[float, int]] = {}

    def warning(self, text: str, *args: Any) -> None:
        self._log(logging.WARNING, text, args)

    def exception(self, text: str, *args: Any) -> None:
        self._log(logging.ERROR, text, args, exc_info=True)

    def _log(self, level: int, text: str, args: tuple[Any, ...], *, exc_info: bool = False) -> None:
        now = self._clock()
        with self._lock:
            last, dropped = self._kinds.get(text, (None, 0))
            if last is not None and now - last < self._every:
                self._kinds[text] = (last, dropped + 1)
                return
            self._kinds[text] = (now, 0)
        if dropped and last is not None:
            text = f"{text} (and {dropped} more such lines in {now - last:.0f} s)"
        self._logger.log(level, text, *args, exc_info=exc_info, stacklevel=3)
