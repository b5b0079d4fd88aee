"""Runs modules of Combine in child processes, with limits on time and memory and without secrets.

A module for :func:`run_module` calls :func:`limit` first, reads standard input and writes standard output.
A module for :class:`ProcessPool` calls :func:`serve`.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe

# An idle process of a pool ends after this time.
IDLE_S = 5.0

# A parser that a hostile file has taken over must find no secret in its environment.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR", "LD_LIBRARY_PATH")


def run_module(
    module: str, *arguments: str, stdin: bytes, timeout: float
) -> subprocess.CompletedProcess[bytes]:
    """Run ``python -m module`` until it ends.

    :param timeout: seconds
    :raises subprocess.TimeoutExpired: the process took longer and was killed
    """
    return subprocess.run(
        [sys.executable, "-m", module, *arguments, str(int(timeout) + 1)],
        input=stdin,
        capture_output=True,
        timeout=timeout,
        check=False,
        # Ctrl-C in a terminal is for the service, which lets this work finish.
        process_group=0,
        env=_environment(),
    )


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}


def limit(memory: int) -> None:
    """Limit this process to ``memory`` bytes, and to the processor time that its caller passed."""
    seconds = int(sys.argv[-1])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    _limit_memory(memory)


def _limit_memory(memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def describe_exit(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return the exit status and the last line of standard error, for a log line."""
    line = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return f"{done.returncode}: {line[:300]}"


class ProcessEnded(Exception):
    """A process of a pool ended without an answer.

    :ivar returncode: as in :class:`subprocess.Popen`
    """

    def __init__(self, returncode: int) -> None:
        super().__init__(f"The process ended with {returncode}.")
        self.returncode = returncode


@dataclass(eq=False, slots=True)
class _Member:
    """A process of a pool. It ends when its connection is closed."""

    process: subprocess.Popen[bytes]
    connection: Connection
    retirement: threading.Timer | None = None

    def end(self) -> int:
        self.connection.close()
        return self.process.wait()


class ProcessPool:
    """A pool of processes that run one module. A process is reused while there is more work.

    The pool has as many processes as there are threads that call :meth:`run` at the same time.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._idle: list[_Member] = []

    def run(self, data: bytes, timeout: float) -> bytes:
        """Send ``data`` to a process and return its answer.

        :param timeout: seconds
        :raises subprocess.TimeoutExpired: the process took longer and was killed
        :raises ProcessEnded: the process ended in another way
        """
        member = self._take()
        timed_out = threading.Event()

        def kill() -> None:
            timed_out.set()
            member.process.kill()

        # Killing the process also ends a send or a receive that the process has blocked.
        watchdog = threading.Timer(timeout, kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            member.connection.send_bytes(data)
            answer = member.connection.recv_bytes()
        except (EOFError, OSError) as error:
            returncode = member.end()
            if timed_out.is_set():
                raise subprocess.TimeoutExpired(self._module, timeout) from error
            raise ProcessEnded(returncode) from error
        finally:
            watchdog.cancel()
            # Without the wait, a kill that has begun could hit the next work of this process.
            watchdog.join()
        if timed_out.is_set():
            member.end()
        else:
            self._release(member)
        return answer

    def _take(self) -> _Member:
        try:
            member = self._idle.pop()
        except IndexError:
            return self._start()
        assert member.retirement is not None
        member.retirement.cancel()
        return member

    def _start(self) -> _Member:
        ours, theirs = Pipe()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", self._module, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,
                env=_environment(),
            )
        return _Member(process, ours)

    def _release(self, member: _Member) -> None:
        member.retirement = threading.Timer(IDLE_S, self._retire, [member])
        member.retirement.daemon = True
        self._idle.append(member)
        member.retirement.start()

    def _retire(self, member: _Member) -> None:
        # A thread may have taken the process at this moment; then it is not in the list.
        with suppress(ValueError):
            self._idle.remove(member)
            member.end()


def serve(work: Callable[[bytes], bytes], memory: int) -> None:
    """Answer the requests of a :class:`ProcessPool` in this process, within ``memory`` bytes."""
    _limit_memory(memory)
    # Both errors mean that the pool has closed the connection, or that its process has ended.
    with Connection(int(sys.argv[-1])) as connection, suppress(EOFError, OSError):
        while True:
            connection.send_bytes(work(connection.recv_bytes()))


def limit_time(seconds: float) -> None:
    """Limit the processor time that this process may still use."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + seconds) + 1, most))
