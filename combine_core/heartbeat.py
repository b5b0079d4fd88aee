"""The heartbeat of a worker: a file that ``combine worker`` writes and ``combine probe worker`` reads.

The file is in a folder of the user below the temporary folder. A worker locks its file while it lives, so an
unlocked file is left over from a dead worker. Times are monotonic: they do not depend on changes of the
clock, and all processes of a machine share them.

This module imports only small modules, because a probe runs every few seconds.
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

BEAT_S = 1.0
# After this long without a heartbeat, other workers take the steps of the worker.
SILENT_AFTER_S = 15.0
# A worker looks for lost steps every few seconds, and retries soon while the database is unavailable.
STUCK_AFTER_S = 60.0

_LENGTH = 64
_RESTART = "Read its log, then restart it: docker-compose restart worker"


class UnsafeFolder(Exception):
    """A folder that another user owns or can write to."""


def default_folder() -> Path:
    """Return the private folder for small files of this user's processes."""
    return Path(tempfile.gettempdir()) / f"combine-{os.geteuid()}"


def make_private(folder: Path) -> Path:
    """Create the folder if it does not exist.

    :raises UnsafeFolder: the folder belongs to another user, or others can write to it
    :raises OSError: the folder cannot be created
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    _check_private(folder)
    return folder


class Heartbeat:
    """The heartbeat file of this process.

    :raises UnsafeFolder: the folder belongs to another user, or others can write to it
    :raises OSError: the file cannot be written
    """

    def __init__(self, folder: Path | None = None) -> None:
        folder = make_private(folder or default_folder())
        read_pulses(folder)  # removes the files of dead workers
        # A probe removes unlocked heartbeat files, so the file gets its name after it is locked.
        self._file, unnamed = tempfile.mkstemp(prefix="new-", dir=folder)
        self._path = Path(unnamed)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            now = time.monotonic()
            self.beat(now, now)
            # With the time, because process ids are reused.
            self._path = self._path.rename(folder / f"worker-{os.getpid()}-{time.monotonic_ns()}")
        except OSError:
            self.close()
            raise

    def beat(self, now: float, active: float) -> None:
        """Record that the loop of the worker runs at ``now`` and last polled for work at ``active``."""
        os.pwrite(self._file, f"{now:.3f} {active:.3f}".ljust(_LENGTH).encode(), 0)

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._file)


@contextmanager
def open_heartbeat(folder: Path | None = None) -> Iterator[Heartbeat | None]:
    """Open the heartbeat file of this process.

    A worker can run without the file, so an error is only logged.
    """
    try:
        heartbeat = Heartbeat(folder)
    except (UnsafeFolder, OSError) as error:
        log.warning("combine probe worker cannot see this worker: %s", error)
        yield None
        return
    try:
        yield heartbeat
    finally:
        heartbeat.close()


@dataclass(frozen=True, slots=True)
class Pulse:
    """The last heartbeat of a living worker, in monotonic seconds."""

    pid: int
    beat: float
    active: float


def read_pulses(folder: Path) -> list[Pulse]:
    """Return the heartbeats of this user's living workers, and remove the files of dead workers.

    :raises UnsafeFolder: the folder belongs to another user, or others can write to it
    """
    try:
        _check_private(folder)
    except FileNotFoundError:
        return []
    return sorted(_pulses(folder), key=lambda pulse: pulse.beat)


def _pulses(folder: Path) -> Iterator[Pulse]:
    for path in folder.glob("worker-*-*"):
        try:
            file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # the worker has just ended, or the file is no heartbeat
        try:
            if _is_free(file):
                path.unlink(missing_ok=True)
                continue
            beat, active = os.pread(file, _LENGTH, 0).split()
            yield Pulse(int(path.name.split("-")[1]), float(beat), float(active))
        except ValueError:
            continue  # the file is no heartbeat
        finally:
            os.close(file)


def _is_free(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared with other probes
    except BlockingIOError:
        return False
    return True


def probe(folder: Path | None = None, now: float | None = None) -> tuple[bool, str]:
    """Check every worker of this user on this machine. Return whether all of them work, and a message."""
    folder = folder or default_folder()
    try:
        pulses = read_pulses(folder)
    except (UnsafeFolder, OSError) as error:
        return False, f"no heartbeat: {error}"
    now = time.monotonic() if now is None else now
    if not pulses:
        return False, f"no worker of this user runs here ({folder}). Start one: combine worker"
    for pulse in pulses:
        silent, idle = now - pulse.beat, now - pulse.active
        if silent > SILENT_AFTER_S:
            fault = f"has had no heartbeat for {silent:.0f} s: it is frozen, or its loop hangs"
            return False, f"worker {pulse.pid} {fault}. {_RESTART}"
        if idle > STUCK_AFTER_S:
            fault = f"has not looked for work for {idle:.0f} s: its queue or its database hangs"
            return False, f"worker {pulse.pid} {fault}. {_RESTART}"
    names = ", ".join(str(pid) for pid in sorted(pulse.pid for pulse in pulses))
    return True, f"working: worker {names} (last heartbeat {now - pulses[0].beat:.1f} s ago)"


def _check_private(folder: Path) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise UnsafeFolder(f"{folder} is not a folder. Remove it.")
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise UnsafeFolder(f"{folder} is not private to this user. Remove it, or set TMPDIR.")
