"""The end of a process with health checks."""

from __future__ import annotations

import subprocess
import sys

# Functions that are registered first run last, so this one runs after combine_health's own.
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


def test_no_other_thread_writes_to_the_log_while_the_interpreter_shuts_down() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "still waiting\n"), done.stderr
    assert "a line before" in done.stderr
    assert "a line while the process ends" not in done.stderr
