"""Tests that an application with its own ``main`` can include combine_core."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import Service, StartService
from tests.functional.health.served import until

BIN = Path(sys.executable).parent

HOST = """
from pyramid.config import Configurator
from pyramid.response import Response


def passing_on(global_config, **settings):
    return assemble({**global_config, **settings})


def plain(global_config, **settings):
    return assemble(settings)


def assemble(settings):
    with Configurator(settings=settings) as config:
        config.include("combine_health")
        config.include("combine_core")
        config.include("combine_auth")
        config.add_route("greeting", "/greeting")
        config.add_view(lambda request: Response("Hello"), route_name="greeting")
        return config.make_wsgi_app()
"""
INI = """
[app:main]
paste.app_factory = host:{main}
combine_core.environment = development
combine_core.worker = true

[server:main]
use = egg:pyramid-combine#waitress
drain_seconds = 0

[loggers]
keys = root
[logger_root]
level = INFO
handlers = console
[handlers]
keys = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
[formatters]
keys =
"""


@pytest.fixture
def serve(start_service: StartService, tmp_path: Path) -> Any:
    """``serve("passing_on", LOG_FORMAT="json")``: run pserve with the ``main`` of this name."""

    def serve(main: str, **environment: str) -> Service:
        (tmp_path / "host.py").write_text(HOST)
        ini = tmp_path / "host.ini"
        ini.write_text(INI.format(main=main))
        return start_service({"PYTHONPATH": str(tmp_path), **environment}, ini=ini)

    return serve


@pytest.mark.slow
def test_the_include_adds_worker_database_and_log(serve, run_folder: Path) -> None:
    service = serve(
        "passing_on",
        DATABASE_URL="",
        COMBINE_CORE_VAR_DIR=str(run_folder / "host"),
        LOG_FORMAT="json",
    )
    assert requests.get(f"{service.url}/greeting", timeout=30).text == "Hello"
    made = subprocess.run(
        [BIN / "combine", "token", "create", "-c", service.ini, "--user", "ada@example.org"],
        env=service.environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert made.returncode == 0, made.stderr
    api = requests.Session()
    api.headers["Authorization"] = f"Bearer {made.stdout.split()[-1]}"
    url = f"{service.url}/api/v1"
    api.post(f"{url}/projects", json={"name": "First"}, timeout=30).raise_for_status()
    text = {"name": "oven.md", "text": "We decided to replace the seal by Friday.\n"}
    source = api.post(f"{url}/projects/first/sources", json=text, timeout=30).json()
    run = {"line": "brief", "sources": [source["id"]]}
    started = api.post(f"{url}/projects/first/runs", json=run, timeout=30).json()
    # The worker in the web process executes the run.
    until(lambda: api.get(f"{url}/runs/{started['id']}", timeout=30).json()["ended_at"])
    assert api.get(f"{url}/runs/{started['id']}", timeout=30).json()["state"] == "succeeded"
    # LOG_FORMAT applies from the first request at the latest.
    (access,) = [line for line in service.log().splitlines() if "/greeting" in line]
    assert json.loads(access)["status"] == 200
    assert "does not know whether this process serves" not in service.log()
    assert service.stop() == 0


@pytest.mark.slow
def test_the_include_reports_what_the_host_must_set_up(serve) -> None:
    service = serve("plain", LOG_FORMAT="json")
    assert requests.get(f"{service.url}/greeting", timeout=30).text == "Hello"
    (warning,) = [
        line
        for line in service.log().splitlines()
        if "does not know whether this process serves" in line
    ]
    for named in (
        "no worker although combine_core.worker is true",
        "LOG_FORMAT",
        "secrets",
        "memory",
        "Configurator(settings={**global_config, **settings})",
        "combine_core.serving.start_service(app.registry)",
    ):
        assert named in warning
    assert service.stop() == 0
