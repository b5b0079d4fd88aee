"""The maintenance file, with which an operator takes the service out of rotation.

It holds ``{"reason": text, "owner": text, "until": time}``, the time in ISO 8601 with its offset.
Every process that can read the file obeys it, so it applies to a whole machine, or to all machines
that share the volume. Maintenance ends at ``until`` even if the file is still there.
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
    """The file exists but cannot be used, so it is ignored; the message says why."""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """The reason, the person who ordered it, and the end (with time zone)."""

    reason: str
    owner: str
    until: datetime


def default_file() -> Path:
    """The path without the setting: in the system's temporary folder."""
    return Path(tempfile.gettempdir()) / FILE_NAME


def read_file(path: Path) -> Maintenance | None:
    """Read the file; returns ``None`` if there is none. The order may be over already.

    Raises `MaintenanceFileError` if the content is invalid, or if it is not a regular file of this
    process's user or root: everybody can write to the temporary folder.
    """
    # A symbolic link could lead anywhere, and the opening of a named pipe waits for a writer.
    guarded = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | guarded)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise MaintenanceFileError(f"{path} is not a regular file; it is not obeyed")
            if hasattr(os, "geteuid") and status.st_uid not in {0, os.geteuid()}:
                raise MaintenanceFileError(f"{path} belongs to another user; it is not obeyed")
            text = file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        if path.is_symlink():
            raise MaintenanceFileError(
                f"{path} is a symbolic link; it is not obeyed. Name the file itself in"
                " combine_health.maintenance_file"
            ) from error
        raise MaintenanceFileError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        said = json.loads(text)
        until = datetime.fromisoformat(said["until"])
        reason, owner = said["reason"], said["owner"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MaintenanceFileError(
            f"{path} is not a maintenance file: {type(error).__name__}. It must hold"
            ' {"reason": "...", "owner": "...", "until": "2026-01-31T12:00:00+00:00"}'
        ) from error
    if until.tzinfo is None or not isinstance(reason, str) or not isinstance(owner, str):
        raise MaintenanceFileError(
            f"{path} is not a maintenance file: reason and owner must be texts, and until must have"
            " its offset, such as +00:00"
        )
    return Maintenance(reason, owner, until)


def write_file(path: Path, maintenance: Maintenance) -> None:
    """Write the file atomically; a reader never sees half of it. Raises `OSError`."""
    said = {
        "reason": maintenance.reason,
        "owner": maintenance.owner,
        "until": maintenance.until.isoformat(timespec="seconds"),
    }
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
    written = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(said, file)
            file.flush()
            os.fsync(file.fileno())
        written.chmod(0o644)  # root may write it for a service that runs as another user
        written.replace(path)
    except BaseException:
        written.unlink(missing_ok=True)
        raise


def remove_file(path: Path) -> bool:
    """Remove the file; returns whether there was one. Raises `OSError`."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


log = logging.getLogger("combine_health")

INTERVAL = 1.0  # seconds between two looks
TIMEOUT = 1.0

_Signature = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Order:
    maintenance: Maintenance
    ends: float  # monotonic, so that a jump of the wall clock neither prolongs nor ends it


class MaintenanceWatch:
    """Reads the file in the background, so that reading the state of the service needs no I/O."""

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
        """Why the existing file is ignored."""

    def order(self, now: float) -> Maintenance | None:
        order = self._order
        return order.maintenance if order is not None and now < order.ends else None

    @property
    def ends(self) -> float:
        """The monotonic time at which the maintenance in force ends; infinite if there is none."""
        return self._order.ends if self._order is not None else inf

    def look(self, _registry: object = None) -> HealthResult:
        """Read the file if it has changed since the last look."""
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
