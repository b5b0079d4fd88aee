"""Tests the exit of a process with health checks."""

from __future__ import annotations

import subprocess
import sys

# Exit functions run in reverse order, so this one runs after those of combine_health.
PROGRAM = """
import atexit, logging, threading

go = threading.Event()
def write():
    go.wait()
    logging.getLogger("check").warning("a line while the process ends")
thread = threading.Thread(target=write, daemon=True)
def last():
    go.set()
    thread.join(0.5)
    print("still waiting" if thread.is_alive() else "has written", flush=True)
atexit.register(last)

from pyramid.config import Configurator
from combine_health import read_check

logging.basicConfig()
thread.start()
with Configurator(settings={}) as config:
    config.include("combine_health")
    config.add_health_check("any", lambda registry: None)
read_check(config.registry, "any")
logging.getLogger("main").warning("a line before")
"""


def test_no_thread_logs_during_the_shutdown_of_the_interpreter() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "still waiting\n"), done.stderr
    assert "a line before" in done.stderr
    assert "a line while the process ends" not in done.stderr
