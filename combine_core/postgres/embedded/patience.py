"""How long to wait, and who may cut the wait short."""

from __future__ import annotations

import threading
import time


class GivenUpError(Exception):
    """Whoever waits was told to stop waiting."""


class Patience:
    """A deadline for a loop that polls, cut short by an event.

    :param seconds: how long the loop may take in all
    :param give_up: set by another thread to end the wait at once
    """

    def __init__(self, seconds: float, give_up: threading.Event | None = None) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._give_up = give_up or threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._end

    def pause(self, seconds: float = 0.02) -> None:
        """Wait a little. Raises :class:`GivenUpError` when the event is set."""
        if self._give_up.wait(seconds):
            raise GivenUpError
