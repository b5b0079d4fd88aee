"""Locks between processes, deadlines for polling loops, and the errors of this package."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class EmbeddedPostgresError(Exception):
    """An error of the embedded server. The message has the reason and the remedy, but no password."""


class StillRecoveringError(EmbeddedPostgresError):
    """The error for a server that is alive but not ready yet. It keeps running, for the next start."""


class GivenUpError(Exception):
    """The error for a wait that was cancelled."""


class Deadline:
    """A deadline for a polling loop, which an event can cancel.

    :param seconds: the time for the whole loop
    :param give_up: an event that another thread sets to end the wait at once
    """

    def __init__(self, seconds: float, give_up: threading.Event | None = None) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._give_up = give_up or threading.Event()

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._end

    def pause(self, seconds: float = 0.02) -> None:
        """Wait between two polls.

        :raises GivenUpError: the event is set
        """
        if self._give_up.wait(seconds):
            raise GivenUpError


class FileLock:
    """A lock on a file, shared or exclusive.

    The lock belongs to the open file: a child process that inherits :attr:`fd` keeps it alive after
    this process has closed it.
    """

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def try_exclusive(self) -> bool:
        """Take the lock exclusively; return False if another open file holds it."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def share(self) -> None:
        """Take the lock shared. Waits while another process holds it exclusively."""
        fcntl.flock(self.fd, fcntl.LOCK_SH)

    def release(self) -> None:
        """Release the lock, also for every child that inherited the file."""
        fcntl.flock(self.fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file. Children that inherited it keep the lock."""
        os.close(self.fd)


@contextmanager
def exclusively(path: Path, deadline: Deadline) -> Iterator[FileLock]:
    """Hold the exclusive lock on ``path`` while the block runs.

    :raises EmbeddedPostgresError: another process holds it until the deadline
    """
    lock = FileLock(path)
    try:
        while not lock.try_exclusive():
            if deadline.is_over:
                raise EmbeddedPostgresError(
                    f"Another process has been starting or stopping the database of {path.parent}"
                    f" for {deadline.seconds:.0f} s. Find it with: fuser -v '{path}'"
                )
            deadline.pause()
        yield lock
    finally:
        lock.close()


def is_free(path: Path) -> bool:
    """Check that no process holds the lock on ``path``."""
    lock = FileLock(path)
    try:
        return lock.try_exclusive()
    finally:
        lock.close()
