"""Runs a module of ours in a process of its own, with limits on time and memory, and without secrets.

A module for it begins with :func:`limit`, reads standard input, and writes standard output.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys

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
        # A library that is taken over finds no secret.
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
    )


def limit(memory: int) -> None:
    """Limit this process, for good, to so many bytes of memory and the time that its caller gave it."""
    seconds = int(sys.argv[-1])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def last_words(done: subprocess.CompletedProcess[bytes]) -> str:
    """How a process ended, for the log: its status, and the last line that it wrote to standard error."""
    line = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return f"{done.returncode}: {line[:300]}"
