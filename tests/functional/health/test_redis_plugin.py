"""Tests the example plugin, installed by pip, with a real Redis server."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from combine_health.testing import HealthApp, leaks

redis = pytest.importorskip("redis", reason="the package redis is not installed")
if shutil.which("redis-server") is None:
    pytest.skip("no redis-server (Debian: apt-get install redis-server)", allow_module_level=True)

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "combine-health-redis"
PATIENCE_S = 60
PASSWORD = "c4n4ry-redis-pw"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the installed plugin and its metadata."""
    folder = tmp_path_factory.mktemp("plugin")
    source = folder / "source"
    shutil.copytree(
        EXAMPLE, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    )
    target = folder / "site"
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
            "--no-build-isolation", "--disable-pip-version-check", "--target", target, source,
        ],
        # The options that `make` passes to pip are not meant for this call.
        env={name: value for name, value in os.environ.items() if not name.startswith("PIP_")},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return target


@pytest.fixture
def plugin(installed, monkeypatch):
    monkeypatch.syspath_prepend(installed)
    monkeypatch.delenv("REDIS_URL", raising=False)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "combine_health_redis"]:
        del sys.modules[name]


class Server:
    """A Redis server for one test."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process = None

    def start(self, *options, until="Ready to accept connections"):
        self.process = subprocess.Popen(
            [
                "redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
                "--dir", str(self.folder), "--save", "", "--appendonly", "no", *options,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        said = []
        for line in self.process.stdout:
            said.append(line)
            if until in line:
                return
        pytest.fail("Redis does not start:\n" + "".join(said))

    def signal(self, number):
        os.kill(self.process.pid, number)

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.communicate(timeout=PATIENCE_S)
            self.process = None


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.stop()


def make(url, **settings):
    return HealthApp(
        settings={
            "combine_health.load_entry_points": "true",
            "combine_health.redis_url": url,
            "combine_health.redis_critical": "true",
            **settings,
        }
    )


@pytest.mark.slow
def test_the_check_follows_a_stopped_server(plugin, server):
    server.start()
    app = make(server.url)
    assert app.get("/health/ready") == (200, {"status": "ready", "redis": "connected"})
    seen = app.run("redis")
    assert seen.status == "healthy"
    assert seen.data["latency_ms"] > 0
    server.stop()
    assert app.get("/health/ready") == (
        503,
        {"status": "unavailable", "redis": "disconnected"},
    )
    seen = app.run("redis")
    assert (seen.status, seen.cause) == ("failing", "refused")
    assert "systemctl start redis-server" in seen.remedy
    server.start()
    assert app.get("/health/ready") == (200, {"status": "ready", "redis": "connected"})


def test_the_password_is_used(plugin, server):
    server.start("--requirepass", PASSWORD)
    right = server.url.replace("//", f"//:{PASSWORD}@")
    assert make(right).run("redis").status == "healthy"
    for url in (server.url, server.url.replace("//", f"//:not-{PASSWORD}@")):
        app = make(url)
        seen = app.run("redis")
        assert (seen.status, seen.cause) == ("failing", "wrong_password")
        assert leaks(seen, [PASSWORD]) == []
        assert PASSWORD not in str(app.get("/health/detailed"))


def test_a_loading_server_is_reported(plugin, server):
    server.start("--enable-debug-command", "yes", "--rdbcompression", "no")
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("DEBUG", "POPULATE", 2000, "key", 4096)
        client.save()
    server.stop()
    # 0.02 s a key: it loads for 40 s, and responds after each key.
    server.start(
        "--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024",
        until="Loading RDB",
    )  # fmt: skip
    app = make(server.url)
    seen = app.run("redis")
    assert (seen.status, seen.cause) == ("failing", "loading")
    assert "wait" in seen.remedy


@pytest.mark.slow
def test_a_hung_server_is_reported_until_it_responds(plugin, server):
    server.start()
    app = make(server.url)
    assert app.run("redis").status == "healthy"
    server.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        seen = app.run("redis")
        assert time.monotonic() - began < PATIENCE_S
        assert (seen.status, seen.cause) == ("failing", "timeout")
        # The check has given up by itself and leaves nothing behind.
        assert seen.running_for is None
        assert app.get("/health/ready")[0] == 503
        assert app.get("/health")[0] == 200
    finally:
        server.signal(signal.SIGCONT)
    assert app.run("redis").status == "healthy"


def test_probes_leave_no_open_connection(plugin, server):
    server.start()
    app = make(server.url)
    for _ in range(20):
        assert app.run("redis").status == "healthy"
    with redis.Redis.from_url(server.url) as client:
        assert len(client.client_list()) == 1  # this connection
        assert client.info("stats")["total_connections_received"] == 21


def test_the_environment_wins_over_the_ini_file(plugin, server, monkeypatch):
    server.start()
    monkeypatch.setenv("REDIS_URL", server.url)
    monkeypatch.setenv("COMBINE_HEALTH_CHECK_REDIS_INTERVAL", "9")
    seen = make("redis://127.0.0.1:1/").run("redis")
    assert (seen.status, seen.check.interval) == ("healthy", 9)


def test_a_missing_setting_becomes_a_failing_check(plugin):
    app = make("")
    assert app.get("/health/ready") == (200, {"status": "ready"})
    seen = app.run("plugin-redis")
    assert (seen.status, seen.cause) == ("failing", "plugin_broken")
    assert "combine_health.redis_url is not set" in seen.detail


def test_the_plugin_can_be_disabled(plugin):
    app = make("", **{"combine_health.disabled_plugins": "redis"})
    with pytest.raises(LookupError):
        app.run("plugin-redis")


@pytest.mark.slow
def test_the_tests_of_the_plugin_pass(installed, tmp_path):
    tests = shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{installed}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


def test_a_check_may_keep_an_async_client(server):
    server.start()

    async def cache(registry):
        if not hasattr(registry, "cache"):
            registry.cache = redis.asyncio.Redis.from_url(server.url)
        await registry.cache.ping()

    app = HealthApp(
        settings={"combine_health.check.cache.timeout": str(PATIENCE_S)},
        setup=lambda config: config.add_health_check("cache", cache),
    )
    assert [app.run("cache").status for _ in range(4)] == ["healthy"] * 4
    with redis.Redis.from_url(server.url) as client:
        assert len(client.client_list()) == 2  # the connection of the check, and this one
