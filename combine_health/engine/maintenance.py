"""Reads and writes the maintenance file, with which an operator takes the service out of rotation.

The file contains ``{"reason": text, "owner": text, "until": time}``, with the time in ISO 8601 and its
offset. It applies to every process that can read it, so to a whole machine, or to all machines that
share the volume. Maintenance ends at ``until`` even if the file still exists.
"""

import json
import logging
import os
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import inf
from pathlib import Path

from combine_health.engine.check import HealthResult
from combine_health.engine.redaction import Redactor
from combine_health.engine.runner import Clock

FILE_NAME = "combine-health-maintenance.json"
LARGEST = 64 * 1024  # bytes


class MaintenanceFileError(Exception):
    """The file is invalid and is ignored; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A maintenance: its reason, its owner, and its end (with time zone)."""

    reason: str
    owner: str
    until: datetime


def default_file() -> Path:
    """Return the default path, in the system's temporary folder."""
    return Path(tempfile.gettempdir()) / FILE_NAME


def read_file(path: Path) -> Maintenance | None:
    """Read the file, or return ``None`` if it does not exist. The maintenance may have ended.

    Raises `MaintenanceFileError` if the content is invalid, or if the path is not a regular file of
    this process's user or root: every user can write to the temporary folder.
    """
    # A symbolic link could point to any file, and opening a named pipe waits for a writer.
    guarded = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | guarded)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise MaintenanceFileError(f"{path} is ignored: it is not a regular file")
            if hasattr(os, "geteuid") and status.st_uid not in {0, os.geteuid()}:
                raise MaintenanceFileError(f"{path} is ignored: it belongs to another user")
            text = file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        if path.is_symlink():
            raise MaintenanceFileError(
                f"{path} is ignored: it is a symbolic link. Set combine_health.maintenance_file to the"
                " target of the link"
            ) from error
        raise MaintenanceFileError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        content = json.loads(text)
        until = datetime.fromisoformat(content["until"])
        reason, owner = content["reason"], content["owner"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MaintenanceFileError(
            f"{path} is not a maintenance file: {type(error).__name__}. It must contain"
            ' {"reason": "...", "owner": "...", "until": "2026-01-31T12:00:00+00:00"}'
        ) from error
    if until.tzinfo is None or not isinstance(reason, str) or not isinstance(owner, str):
        raise MaintenanceFileError(
            f"{path} is not a maintenance file: reason and owner must be strings, and until must have"
            " an offset, such as +00:00"
        )
    return Maintenance(reason, owner, until)


def write_file(path: Path, maintenance: Maintenance) -> None:
    """Write the file atomically. Raises `OSError`."""
    content = {
        "reason": maintenance.reason,
        "owner": maintenance.owner,
        "until": maintenance.until.isoformat(timespec="seconds"),
    }
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
    written = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        written.chmod(0o644)  # readable for the service if root writes the file
        written.replace(path)
    except BaseException:
        written.unlink(missing_ok=True)
        raise


def remove_file(path: Path) -> bool:
    """Remove the file, and return whether it existed. Raises `OSError`."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


log = logging.getLogger("combine_health")

INTERVAL = 1.0  # seconds between two checks of the file
TIMEOUT = 1.0

_Signature = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Order:
    maintenance: Maintenance
    ends: float  # monotonic, so that a jump of the wall clock neither prolongs nor ends it


class MaintenanceWatch:
    """A background reader of the file, so that reading the state of the service needs no I/O."""

    def __init__(
        self, path: Path, clock: Clock, redactor: Redactor, changed: Callable[[], None]
    ) -> None:
        self._path = path
        self._clock = clock
        self._redactor = redactor
        self._changed = changed
        self._seen: _Signature | None = None
        self._order: _Order | None = None
        self.problem: str | None = None
        """The reason for which the existing file is ignored."""

    def order(self, now: float) -> Maintenance | None:
        order = self._order
        return order.maintenance if order is not None and now < order.ends else None

    @property
    def ends(self) -> float:
        """The monotonic time at which the current maintenance ends, infinite if there is none."""
        return self._order.ends if self._order is not None else inf

    def update(self, _registry: object = None) -> HealthResult:
        """Read the file if it has changed since the last call."""
        signature = self._signature()
        if signature != self._seen:
            self._read()
            self._seen = signature
        return HealthResult.healthy()

    def _signature(self) -> _Signature | None:
        try:
            status = self._path.lstat()
        except FileNotFoundError:
            return None
        except OSError:
            return 0, 0, 0  # reading the file will report the error
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _read(self) -> None:
        problem, order = None, None
        try:
            found = read_file(self._path)
        except MaintenanceFileError as error:
            problem = self._redactor.text(str(error))
            log.warning("maintenance: %s", problem)
        else:
            if found is not None:
                clean = Maintenance(
                    self._redactor.text(found.reason), self._redactor.text(found.owner), found.until
                )
                left = (found.until - self._clock.wall()).total_seconds()
                order = _Order(clean, self._clock.monotonic() + left)
        self.problem, self._order = problem, order
        self._changed()
