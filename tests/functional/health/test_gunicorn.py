"""Tests the hooks of docs/servers.md with a real gunicorn."""

import os
import re
import signal
import subprocess
import sys
import textwrap

import pytest

from tests.functional.health.served import APP, PATIENCE, ROOT, Connection, Served, until

PAGE = (ROOT / "docs/servers.md").read_text()
HOOKS = re.search(r"<!-- gunicorn -->\n```python\n(.*?)```", PAGE, re.DOTALL).group(1)
CONF = """
bind = "127.0.0.1:0"
workers = 2
worker_class = "gthread"
threads = 2
"""
WITHOUT_HOOKS = ""


class Gunicorn(Served):
    """A gunicorn process with the interface of our server process."""

    def __init__(self, folder, conf, hooks=HOOKS, slow=0):
        folder.mkdir()
        self.folder = folder
        (folder / "served_app.py").write_text(textwrap.dedent(APP))
        (folder / "gunicorn.conf.py").write_text(hooks + CONF + conf)
        self.errors = folder / "log"
        settings = (
            f"gates={str(folder)!r}, slow='{slow}', **{{'combine_health.load_entry_points': 'no'}}"
        )
        (folder / "wsgi.py").write_text(
            "import logging, served_app\n"
            "logging.basicConfig(level='INFO')\n"
            f"app = served_app.main({{}}, {settings})\n"
        )
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "wsgi:app"],
                cwd=folder,
                env={
                    **os.environ,
                    "PYTHONPATH": f"{folder}:{ROOT}",
                    "PYTHONWARNINGS": "ignore",
                    "COMBINE_HEALTH_DRAIN_SECONDS": "60",  # this is longer than a test takes
                },
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        until(lambda: "Listening at: " in self.log)
        self.port = int(re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", self.log).group(1))


@pytest.fixture
def serve(tmp_path):
    started = []

    def serve(*args, **keys):
        server = Gunicorn(tmp_path / f"server-{len(started)}", *args, **keys)
        started.append(server)
        return server

    yield serve
    for server in started:
        server.kill()


@pytest.mark.parametrize("conf", ["", "preload_app = True\n"], ids=["loaded late", "preloaded"])
def test_a_worker_is_ready_from_its_first_probe(serve, conf):
    assert serve(conf, hooks=WITHOUT_HOOKS, slow=5).ask("/health/ready").status == 503
    server = serve(conf, slow=0.3)
    for _ in range(10):
        assert server.ask("/health/ready").json == {"status": "ready", "database": "connected"}
    # New workers after a reload are ready from the first probe, too.
    server.process.send_signal(signal.SIGHUP)
    # The former workers log that they are shutting down.
    until(lambda: server.log.count("health service: healthy -> draining") >= 2)
    for _ in range(10):
        assert server.ask("/health/ready").status == 200
    server.process.send_signal(signal.SIGTERM)
    until(lambda: server.ask("/health/ready").status == 503)


@pytest.mark.slow
def test_gunicorn_drains(serve):
    server = serve("")
    assert server.ask("/health/ready").status == 200
    with server.held(1) as (held,):
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.ask("/health/ready").status == 503)
        for _ in range(10):  # both workers
            assert server.ask("/health/ready").json["status"] == "draining"
            assert server.ask("/health").status == 200
            assert server.ask("/echo").body == b"GET 0"
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "Handling signal: term" in server.log)
        held = Connection.of(held.socket.dup())
    assert held.answer().body == b"held"
    held.close()
    assert server.process.wait(PATIENCE) == 0
