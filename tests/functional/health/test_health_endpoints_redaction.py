"""Tests that secrets from every input never appear in any output."""

import base64
import itertools
import logging
import subprocess
import sys
import textwrap
import threading
import urllib.parse
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec

import pytest

from combine_health import HealthResult, hookimpl
from combine_health.engine.maintenance import Maintenance, write_file
from combine_health.engine.registry import health_of
from tests.functional.health.served import PATIENCE, until

LOCAL = {"REMOTE_ADDR": "127.0.0.1"}
CANARY = "c4n4ry/s3cr3t+v4lue"
PASSWORD = "c4n4ry-p4ssw0rd"
TOKEN = "c4n4ry-t0k3n-0123456789"
NEVER_REGISTERED = "c4n4ry-0ther"  # this one is only recognized by its context
PATHS = {
    "/health": 200,
    "/health/ready": 503,
    "/health/ready/all": 503,
    "/health/ready?check=raises": 503,
    "/health/ready?check=" + TOKEN: 404,
    "/health/ready/" + PASSWORD: 404,
    "/health/startup": 200,
    "/health/detailed": 200,
    "/health/detailed/schema": 200,
    # Without prometheus-client there is no such page. These tests also run in a bare installation.
    "/metrics": 200 if find_spec("prometheus_client") else 404,
    "/status": 200,
}
HEADERS = {
    "plain": {},
    "health+json": {"Accept": "application/health+json"},
    "token": {"X-Health-Token": TOKEN},
    "proxy": {"Authorization": f"Bearer {CANARY}", "Via": CANARY},
}
OTHER_STATUS = {("/health/detailed", "health+json"): 503, ("/metrics", "proxy"): 403}
PIECES = ("c4n4ry", urllib.parse.quote(CANARY, safe=""), base64.b64encode(CANARY.encode()).decode())


class Policy:
    def identity(self, request):
        return None

    authenticated_userid = identity

    def permits(self, *_args):
        raise RuntimeError(f"cannot connect to postgresql://u:{PASSWORD}@db/x with {CANARY}")


def raising(error):
    def check(_registry):
        raise error

    return check


def declare(config):
    config.add_health_secret(CANARY)
    config.add_health_secret(f"postgresql://combine:{PASSWORD}@db/combine")
    quoted = urllib.parse.quote(CANARY, safe="")
    checks = {
        "raises": raising(RuntimeError(f"with {CANARY} and {PASSWORD}")),
        "quoted": raising(OSError(f"GET /x?key={quoted}")),
        "chained": raising(ValueError(CANARY)),
        "dsn": raising(OSError(f"host=db password={NEVER_REGISTERED} user=x")),
        "url": raising(OSError(f"redis://:{NEVER_REGISTERED}@cache:6379/0")),
        "header": raising(OSError(f"sent Authorization: Bearer {NEVER_REGISTERED}")),
        "token": raising(OSError(f"token {TOKEN} was refused")),
        "detail": lambda _: HealthResult.failing("x", f"it is {CANARY}"),
        "data": lambda _: HealthResult.failing(
            "x", None, **{CANARY: CANARY, "api_key": NEVER_REGISTERED, "deep": [{"a": [PASSWORD]}]}
        ),
        "cause": lambda _: HealthResult.failing(PASSWORD),
        "long": raising(OSError("x" * 8180 + CANARY + "y" * 10_000)),
        "bytes": lambda _: HealthResult.failing("x", None, raw=CANARY.encode()),
        "degraded": lambda _: HealthResult.degraded("x", CANARY),
    }
    for name, check in checks.items():
        config.add_health_check(
            name,
            check,
            remedy=f"Log in with {CANARY}.",
            remedies={"x": f"psql postgresql://u:{PASSWORD}@db"},
            runbook=f"https://u:{NEVER_REGISTERED}@example.com/",
            groups=("all",),
            words=("up", "down"),
        )
    config.add_health_section(
        "pool", lambda _: {"dsn": f"http://u:{NEVER_REGISTERED}@h/", "x": CANARY}
    )
    config.add_health_section("broken", raising(RuntimeError(CANARY)))


class Telling:
    """A listener that raises an exception with the event in its message."""

    def __init__(self):
        self.heard = threading.Semaphore(0)

    @hookimpl
    def combine_health_status_changed(self, change):
        self.heard.release()
        raise RuntimeError(f"{change} {CANARY}")


class Keeping(logging.Handler):
    """Collects every line of every logger."""

    def __init__(self):
        super().__init__()
        self.lines = []
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record):
        self.lines.append(self.format(record))

    @property
    def text(self):
        return "\n".join(self.lines)


@pytest.fixture
def log():
    handler = Keeping()
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


def has_canary(text):
    return [piece for piece in PIECES if piece in text]


@pytest.mark.parametrize("details", ["always", "local", "authorized"])
def test_responses_metrics_page_and_log_contain_no_secrets(make_app, tmp_path, log, details, capfd):
    listener = Telling()

    def setup(config):
        config.set_security_policy(Policy())
        config.add_health_plugin(listener, "telling")
        declare(config)

    tomorrow = datetime.now(UTC) + timedelta(days=1)
    app = make_app(setup, details=details, token=TOKEN)
    for turn in range(2):
        for (path, status), (kind, headers) in itertools.product(PATHS.items(), HEADERS.items()):
            status = OTHER_STATUS.get((path, kind), status)
            answer = app.get(path, extra_environ=LOCAL, headers=headers, status=status)
            said = answer.text + str(answer.headers)
            if kind == "token" and status == 404 and TOKEN in path:
                assert "***" in said  # the request, masked
            assert has_canary(said) == [], (path, kind)
        write_file(
            tmp_path / "maintenance.json",
            Maintenance(f"because {CANARY}", f"{PASSWORD} of Bearer {NEVER_REGISTERED}", tomorrow),
        )
        health_of(app.app.registry).maintenance.update()
        assert turn == 0 or app.get("/health/ready", status=503).json["status"] == "maintenance"
    for _ in range(13):
        assert listener.heard.acquire(timeout=PATIENCE)
    # The log and the listener each have a thread. Wait for both.
    until(lambda: "health check raises: starting -> failing" in log.text)
    until(lambda: "health listener telling" in log.text)
    until(lambda: "-> maintenance" in log.text)
    text = log.text
    assert has_canary(text) == []
    printed = capfd.readouterr()
    assert has_canary(printed.out + printed.err) == []


APPLICATION = f"""
from pyramid.config import Configurator

def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include("combine_health")
        config.add_health_secret({CANARY!r})
        config.add_health_check("raises", raising, remedy="Ask {PASSWORD} for postgresql://u:{PASSWORD}@db")
        config.add_health_secret({PASSWORD!r})
        return config.make_wsgi_app()

def raising(registry):
    raise RuntimeError("with {CANARY} at redis://:{NEVER_REGISTERED}@cache")
"""


@pytest.mark.parametrize(
    "command", [["doctor", "-c", "app.ini"], ["list", "-c", "app.ini"], ["doctor", "-c", "bad.ini"]]
)
def test_the_command_line_shows_no_secrets(tmp_path, command):
    pytest.importorskip("plaster_pastedeploy", reason="PasteDeploy is not installed")
    (tmp_path / "canary_app.py").write_text(textwrap.dedent(APPLICATION))
    for name, more in (("app.ini", ""), ("bad.ini", "combine_health.backgrund = 1")):
        (tmp_path / name).write_text(
            "[app:main]\npaste.app_factory = canary_app:main\n"
            f"combine_health.token = {TOKEN}\ncombine_health.load_entry_points = false\n{more}\n"
        )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "combine_health", *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
    )
    assert done.returncode == (0 if command[0] == "list" else 1), done.stderr
    assert "raises" in done.stdout + done.stderr or "backgrund" in done.stdout + done.stderr
    assert has_canary(done.stdout + done.stderr) == []
