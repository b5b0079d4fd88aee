"""Keeps the embedded server running for as long as a process uses it."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from combine_core.postgres.embedded import cluster, locks, server
from combine_core.postgres.embedded.data_folder import find_data_folder
from combine_core.postgres.embedded.locks import (
    Deadline,
    EmbeddedPostgresError,
    GivenUpError,
    StillRecoveringError,
)
from combine_core.postgres.embedded.startup import Site, bring_up, settled

logger = logging.getLogger(__package__)

# A recovery after a crash may take long, and another process may hold the lock while it waits for one.
_READY_SECONDS = 60.0
_TURN_SECONDS = 90.0
_SETTLE_SECONDS = 10.0

_WATCH_INTERVAL = 0.25
# The database is checked twice a second, so readiness reports an outage of this length on any machine.
_RESTART_DELAY = 1.0
_LONGEST_RETRY_INTERVAL = 30.0


class EmbeddedPostgres:
    """A PostgreSQL server that is shared by all processes that name the same folder.

    The first process to call :meth:`start` starts the server; the others use the same one. The last process
    to call :meth:`stop`, or to end, stops it. In the meantime a thread restarts the server if it dies.

    :param data_dir: the state folder; created if it does not exist
    :param durable: False trades the safety of the data in a crash for speed, in tests
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._state = Path(os.path.realpath(data_dir))
        self._durable = durable
        self._one_at_a_time = threading.Lock()
        self._hold: _Hold | None = None

    def start(self) -> str:
        """Start the server or attach to it, wait until it is ready, and return its URL.

        The URL, ``postgresql://combine:<password>@127.0.0.1:<port>/combine``, does not change while any
        process uses the server. A second call returns the same URL.

        :raises EmbeddedPostgresError: the server cannot run; the message contains the reason and the remedy
        """
        with self._one_at_a_time:
            if self._hold is None:
                try:
                    self._hold = _Hold(self._state, durable=self._durable)
                except OSError as error:
                    raise EmbeddedPostgresError(
                        f"The embedded database in {self._state} cannot be used: {error}. Give this"
                        " account the right to read and write there, choose another var_dir, or set"
                        " DATABASE_URL."
                    ) from error
                atexit.register(self.stop)
            return self._hold.url

    def stop(self) -> None:
        """Release the server. The last process to do so waits until it has stopped."""
        with self._one_at_a_time:
            hold, self._hold = self._hold, None
        if hold is not None:
            atexit.unregister(self.stop)
            hold.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class _Hold:
    """This process's use of a server that is ready."""

    def __init__(self, state: Path, *, durable: bool) -> None:
        self._owner = os.getpid()
        self._released = threading.Event()
        self._turn = state / "lock"
        state.mkdir(parents=True, exist_ok=True)
        with locks.exclusively(self._turn, Deadline(_TURN_SECONDS)) as deciding:
            self._site = Site(state, find_data_folder(state), durable)
            self._holders = locks.FileLock(state / "holders")
            # A lock instead of a list of processes, because the kernel releases the lock of a killed process.
            alone = self._holders.try_exclusive()
            self._holders.share()
            try:
                self._server = bring_up(
                    self._site,
                    deciding,
                    Deadline(_READY_SECONDS),
                    # Other processes already use this port.
                    keep_port=None if alone else self._site.last_port(),
                )
            except StillRecoveringError:
                self._holders.close()
                raise
            except BaseException:
                self._stop_if_last()
                raise
        self.url = (
            f"postgresql://{server.USER}:{cluster.read_password(self._site.folder)}"
            f"@{server.HOST}:{self._server.port}/{server.DATABASE}"
        )
        self._watcher = threading.Thread(
            target=self._watch, name="embedded-postgres-watch", daemon=True
        )
        self._watcher.start()

    def release(self) -> None:
        """Release the server, and stop it if no other process uses it."""
        if os.getpid() != self._owner:
            # In a forked child, the parent still uses the server.
            self._holders.close()
            return
        self._released.set()
        self._watcher.join()
        try:
            with locks.exclusively(self._turn, Deadline(_TURN_SECONDS)):
                self._stop_if_last()
        except FileNotFoundError:
            logger.warning("%s was deleted while its database was in use.", self._site.state)
            self._holders.close()
            server.end(self._server)

    def _stop_if_last(self) -> None:
        self._holders.release()
        is_last = self._holders.try_exclusive()
        self._holders.close()
        running = settled(self._site, Deadline(_SETTLE_SECONDS)) if is_last else None
        if running is not None:
            logger.info("stopping PostgreSQL on port %d", running.port)
            server.end(running)

    def _watch(self) -> None:
        interval = _WATCH_INTERVAL
        while not self._released.wait(interval):
            if self._server.is_alive():
                continue
            try:
                self._revive()
                interval = _WATCH_INTERVAL
            except GivenUpError:
                return
            except Exception:
                interval = min(max(1.0, 2 * interval), _LONGEST_RETRY_INTERVAL)
                logger.exception(
                    "PostgreSQL could not be restarted. The next attempt is in %.0f s.", interval
                )

    def _revive(self) -> None:
        logger.warning("PostgreSQL on port %d died and is being restarted.", self._server.port)
        if self._released.wait(_RESTART_DELAY):
            return
        with locks.exclusively(self._turn, Deadline(_TURN_SECONDS, self._released)) as deciding:
            self._server = bring_up(
                self._site,
                deciding,
                Deadline(_READY_SECONDS, self._released),
                keep_port=self._server.port,
            )
        logger.warning("PostgreSQL on port %d runs again.", self._server.port)
