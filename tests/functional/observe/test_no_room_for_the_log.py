"""Tests that requests succeed when the log cannot be written."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import free_port

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60

# Shell redirections of the output of pserve. /dev/full fails each write like a full disk. A limit
# on the file size and a reader that ends both fail during operation. (pserve itself does not start
# if it cannot print to stderr.)
PLACES = {
    "a disk that gets full": "ulimit -f 4; exec pserve {ini} >log 2>&1",
    "a full disk for the output": "exec pserve {ini} >/dev/full 2>/dev/null",
    "closed": "exec pserve {ini} >&- 2>&-",
    "a reader that goes away": "pserve {ini} 2>&1 | head -n 8 >log",
}


@pytest.fixture
def start(database_url, tmp_path):
    """``start(command)``: the address of the service that the shell command starts."""
    processes = []

    def start(command, **environment):
        ini = tmp_path / "production.ini"
        shutil.copy(ROOT / "production.ini", ini)
        port = free_port()
        log_everything = {"COMBINE_CORE_SLOW_REQUEST_MS": "1", "COMBINE_CORE_SLOW_QUERY_MS": "1"}
        process = subprocess.Popen(
            ["/bin/sh", "-c", command.format(ini=ini)],
            cwd=tmp_path,
            env={
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
                "HOME": str(tmp_path),
                "ENVIRONMENT": "test",
                "DATABASE_URL": database_url,
                "LISTEN": "127.0.0.1",
                "PORT": str(port),
                # With a limit on the file size, Python would leave truncated bytecode behind, for
                # all tests.
                "PYTHONDONTWRITEBYTECODE": "1",
                **log_everything,
                **environment,
            },
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        processes.append(process)
        return f"http://127.0.0.1:{port}"

    yield start
    for process in processes:
        os.killpg(process.pid, 9)
        process.wait()


def status_of(url):
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (urllib.error.URLError, ConnectionError):
        return None


def wait_for(url, status):
    deadline = time.monotonic() + PATIENCE_S
    while (found := status_of(url)) != status:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", ["text", "json"])
def test_requests_get_responses(start, tmp_path, place, form):
    url = start(PLACES[place], LOG_FORMAT=form)
    wait_for(f"{url}/health/ready", 200)
    for _ in range(20):
        assert status_of(f"{url}/auth/sign-in") == 200
        assert status_of(f"{url}/api/v1/projects") == 401
        assert status_of(f"{url}/nowhere") == 404
    assert status_of(f"{url}/health/ready") == 200
    log = tmp_path / "log"
    if log.exists():  # the log is incomplete
        assert 0 < log.stat().st_size <= 4096
        assert log.read_text().count("/auth/sign-in") < 20
