"""Tests that the processes of a deployment monitor their memory and log slow operations."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60
MEMORY = re.compile(r"memory: limit \d+ MiB \((?:container|machine)\), \d+ MiB in use")


def wait_for(read, pattern: str) -> str:
    """Return the first line of ``read()`` that matches the pattern."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for line in read().splitlines():
            if re.search(pattern, line):
                return line
        time.sleep(0.05)
    pytest.fail(f"{pattern} is not in\n{read()}")


@pytest.mark.slow
def test_a_server_logs_text(start_service):
    environment = {"COMBINE_CORE_SLOW_REQUEST_MS": "1", "COMBINE_CORE_SLOW_QUERY_MS": "1"}
    served = start_service(environment)
    assert MEMORY.search(wait_for(served.log, "memory"))
    address = f"{served.url}/auth/sign-in"
    request = urllib.request.Request(address, headers={"X-Request-ID": "slow-page-1"})
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
    line = wait_for(served.log, "slow request")
    assert " WARNING combine_core.observe.tween [slow-page-1] slow request: GET " in line


@pytest.mark.slow
def test_a_server_logs_json(start_service):
    served = start_service({"LOG_FORMAT": "json", "COMBINE_CORE_SLOW_REQUEST_MS": "1"})
    memory = json.loads(wait_for(served.log, "memory: limit"))
    assert MEMORY.fullmatch(memory["message"])
    with urllib.request.urlopen(f"{served.url}/auth/sign-in") as answer:
        known_as = answer.headers["X-Request-ID"]
    slow = json.loads(wait_for(served.log, "slow request"))
    assert (slow["request_id"], slow["status"]) == (known_as, 200)
    assert slow["duration"] >= 1


@pytest.mark.slow
def test_a_worker_logs_text(database_url, tmp_path):
    ini = tmp_path / "production.ini"
    ini.write_text((ROOT / "production.ini").read_text(encoding="utf-8"), encoding="utf-8")
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [str(Path(sys.executable).with_name("combine")), "worker", "-c", str(ini)],
            env={"PATH": os.environ["PATH"], "ENVIRONMENT": "test", "DATABASE_URL": database_url},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        line = wait_for(lambda: log.read_text(errors="replace"), "memory")
        assert MEMORY.search(line)
        worker.terminate()
        assert worker.wait(PATIENCE_S) in {0, -signal.SIGTERM}
    finally:
        worker.kill()
        worker.wait()
