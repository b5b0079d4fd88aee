"""Locks between processes. The kernel releases them, however their holder ends (flock(2))."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from combine_core.postgres.embedded.errors import EmbeddedPostgresError
from combine_core.postgres.embedded.patience import Patience


class FileLock:
    """A lock on a file, shared or exclusive.

    The lock belongs to the open file: a child process that inherits :attr:`fd` keeps it alive after
    this process has closed it.
    """

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def try_exclusive(self) -> bool:
        """Take the lock alone; False if another open file holds it."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def share(self) -> None:
        """Take the lock together with others; waits while somebody holds it alone."""
        fcntl.flock(self.fd, fcntl.LOCK_SH)

    def release(self) -> None:
        """Let go, for this process and for every child that inherited the file."""
        fcntl.flock(self.fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file. Children that inherited it keep the lock."""
        os.close(self.fd)


@contextmanager
def exclusively(path: Path, patience: Patience) -> Iterator[FileLock]:
    """Hold the lock on ``path`` alone while the block runs."""
    lock = FileLock(path)
    try:
        while not lock.try_exclusive():
            if patience.is_over:
                raise EmbeddedPostgresError(
                    f"Another process has been starting or stopping the database of {path.parent}"
                    f" for {patience.seconds:.0f} s. Find it with: fuser -v '{path}'"
                )
            patience.pause()
        yield lock
    finally:
        lock.close()


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock on ``path`` at this moment."""
    lock = FileLock(path)
    try:
        return lock.try_exclusive()
    finally:
        lock.close()
