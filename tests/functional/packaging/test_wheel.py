"""Tests that the wheel alone is the service, installed in an empty environment outside the checkout."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.functional.packaging.installation import ROOT, environment_with, installed, run, wheel

__all__ = ["installed", "wheel"]  # the fixtures

# The first test installs everything, perhaps on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PATIENCE_S = 60


def test_the_wheel_contains_the_other_files(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "combine_core/lines/brief.yaml",
        "combine_core/lines/brief.md.jinja2",
        "combine_core/api/openapi.yaml",
        "combine_core/pages/layout.jinja2",
        "combine_core/pages/static/bootstrap.min.css",
        "combine_core/migrations/env.py",
        "combine_core/migrations/script.py.mako",
        "combine_core/migrations/versions/0001_domain.py",
        "combine_core/cli/starter/production.ini",
        "combine_core/cli/starter/development.ini",
        "combine_core/cli/starter/.env.example",
        "combine_health/py.typed",
        "combine_core/py.typed",
        "combine_auth/py.typed",
    ):
        assert name in names
    assert not [name for name in names if name.startswith(("tests/", "alembic/", "examples/"))]


def test_an_installation_without_extras_offers_health_and_a_hint(
    wheel: Path, tmp_path: Path
) -> None:
    binaries = environment_with(str(wheel), tmp_path)
    script = """
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.request import Request

with Configurator() as config:
    config.include("combine_health")
    app = config.make_wsgi_app()
print(Request.blank("/health").get_response(app).json_body)
for addon in ("combine_core", "combine_auth"):
    try:
        Configurator().include(addon)
    except ConfigurationError as error:
        print(error)
"""
    said = run(binaries / "python", "-c", script, cwd=tmp_path)
    assert "{'status': 'healthy'}" in said
    assert "pip install '.[core]' in the checkout" in said
    assert "pip install '.[auth]' in the checkout" in said
    installed = run(binaries / "python", "-m", "pip", "list", "--format=freeze", cwd=tmp_path)
    assert "sqlalchemy" not in installed.lower()


@contextmanager
def serving(binaries: Path, folder: Path) -> Iterator[str]:
    """Run a service of ``development.ini`` in ``folder``. Yield its URL once it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "service.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(binaries / "pserve"), "development.ini"],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "PORT": str(port)},
            stdout=output,
            stderr=output,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url, process, log)
            yield url
        finally:
            process.terminate()
            assert process.wait(timeout=PATIENCE_S) == 0


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health/ready") as answer:
                assert json.load(answer) == {"status": "ready", "database": "connected"}
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    pytest.fail(f"The service did not get ready:\n{log.read_text()}")


@pytest.mark.slow  # this needs an environment with all dependencies
def test_the_service_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "development.ini", tmp_path)
    (tmp_path / "notes.md").write_text("The oven runs at 180 °C.\nWe decided to keep it.\n")
    with serving(installed, tmp_path) as url:
        for path in ("/docs", "/auth/sign-in", "/api/v1/openapi.yaml", "/health/detailed"):
            with urllib.request.urlopen(url + path) as answer:
                assert answer.status == 200, path
        brief = run(
            installed / "combine", "run", "-c", "development.ini", "brief", "notes.md", cwd=tmp_path
        )
        assert "We decided to keep it." in brief
