"""Runs modules of ours in processes of their own, with limits on time and memory, and without secrets.

A module for :func:`run_apart` begins with :func:`limit`, reads standard input, and writes standard output.
One for :class:`ProcessPool` calls :func:`serve`.
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

# How long a process of a pool waits for more work.
IDLE_S = 5.0

_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR", "LD_LIBRARY_PATH")


def run_apart(
    module: str, *arguments: str, given: bytes, seconds: float
) -> subprocess.CompletedProcess[bytes]:
    """Run ``python -m module`` until it ends.

    :param given: its standard input
    :param seconds: how long it may take
    :raises subprocess.TimeoutExpired: it took longer, and was killed
    """
    return subprocess.run(
        [sys.executable, "-m", module, *arguments, str(int(seconds) + 1)],
        input=given,
        capture_output=True,
        timeout=seconds,
        check=False,
        # Ctrl-C in a terminal is for the service, which lets this work finish.
        process_group=0,
        env=_environment(),
    )


def _environment() -> dict[str, str]:
    """What a process needs. A library that is taken over finds no secret there."""
    return {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}


def limit(memory: int) -> None:
    """Limit this process, for good, to so many bytes of memory and the time that its caller gave it."""
    seconds = int(sys.argv[-1])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    _limit_memory(memory)


def _limit_memory(memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def last_words(done: subprocess.CompletedProcess[bytes]) -> str:
    """How a process ended, for the log: its status, and the last line that it wrote to standard error."""
    line = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return f"{done.returncode}: {line[:300]}"


class ProcessEnded(Exception):
    """A process of a pool ended without an answer.

    :ivar returncode: as :class:`subprocess.Popen` has it
    """

    def __init__(self, returncode: int) -> None:
        super().__init__(f"The process ended with {returncode}.")
        self.returncode = returncode


@dataclass(eq=False, slots=True)
class _Member:
    """A process of a pool, which ends when its connection is closed."""

    process: subprocess.Popen[bytes]
    connection: Connection
    retirement: threading.Timer | None = None

    def end(self) -> int:
        self.connection.close()
        return self.process.wait()


class ProcessPool:
    """Processes that run a module of ours. Each does one piece of work after the other, while there are any.

    There are as many processes as threads that ask at once.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._idle: list[_Member] = []

    def ask(self, given: bytes, seconds: float) -> bytes:
        """What the module makes of ``given``.

        :param seconds: how long it may take
        :raises subprocess.TimeoutExpired: it took longer, and the process was killed
        :raises ProcessEnded: the process ended in another way
        """
        member = self._take()
        try:
            member.connection.send_bytes(given)
            if not member.connection.poll(seconds):
                member.process.kill()
                member.end()
                raise subprocess.TimeoutExpired(self._module, seconds)
            answer = member.connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise ProcessEnded(member.end()) from error
        self._keep(member)
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

    def _keep(self, member: _Member) -> None:
        member.retirement = threading.Timer(IDLE_S, self._retire, [member])
        member.retirement.daemon = True
        self._idle.append(member)
        member.retirement.start()

    def _retire(self, member: _Member) -> None:
        # It is not there if it was taken at this moment.
        with suppress(ValueError):
            self._idle.remove(member)
            member.end()


def serve(work: Callable[[bytes], bytes], memory: int) -> None:
    """Do the work that a :class:`ProcessPool` gives this process, within so many bytes of memory."""
    _limit_memory(memory)
    # Both errors mean that the pool has closed the connection, or that its process has ended.
    with Connection(int(sys.argv[-1])) as connection, suppress(EOFError, OSError):
        while True:
            connection.send_bytes(work(connection.recv_bytes()))


def limit_time(seconds: float) -> None:
    """Limit what this process does next to so many seconds of processor time."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + seconds) + 1, most))
