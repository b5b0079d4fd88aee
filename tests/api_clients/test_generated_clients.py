"""Tests that generated clients work unmodified: project, source, run, document, deletion."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.conftest import Service, cloned_database, starting_services

FOLDER = Path(__file__).parent
NODE_PROGRAMS = FOLDER / "node_modules" / ".bin"
BIN = Path(sys.executable).parent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Live:
    """A running service and the data that a client needs.

    :ivar description: the file with the API description, as the service returns it
    """

    service: Service
    token: str
    description: Path


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: str, _template: str
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("service")
    with (
        cloned_database(postgres_url, "api_clients", _template) as database_url,
        starting_services(folder, lambda: database_url) as start,
    ):
        service = start()
        words = ("token", "create", "--user", "ada@example.org", "-c", service.ini)
        token = run(BIN / "combine", *words, cwd=folder, **service.environment).split()[-1]
        description = folder / "openapi.yaml"
        described = requests.get(f"{service.url}/api/v1/openapi.yaml", timeout=60)
        description.write_text(described.text)
        yield Live(service, token, description)


def run(*words: str | Path, cwd: Path, **environment: str) -> str:
    """Run a program and return its output. If it fails, the test fails with the output."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_client_of_openapi_python_client(live: Live, tmp_path: Path) -> None:
    generate = ("generate", "--path", live.description, "--meta", "none")
    output = ("--output-path", tmp_path / "combine_client", "--fail-on-warning")
    # The generator formats its files with the ruff that it finds.
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    run(BIN / "openapi-python-client", *generate, *output, cwd=tmp_path, PATH=path)
    walk = (sys.executable, FOLDER / "walk.py", live.service.url, live.token)
    run(*walk, cwd=tmp_path, PYTHONPATH=str(tmp_path))


@pytest.mark.skipif(
    shutil.which("node") is None or not (NODE_PROGRAMS / "tsc").exists(),
    reason="the npm clients are not installed (make node-modules)",
)
def test_client_of_openapi_typescript(live: Live, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(FOLDER / "node_modules")
    shutil.copy(FOLDER / "walk.ts", tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    generator = NODE_PROGRAMS / "openapi-typescript"
    run(generator, live.description, "--output", "schema.d.ts", cwd=tmp_path)
    strict = ("--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes")
    target = ("--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom,dom.iterable")
    run(NODE_PROGRAMS / "tsc", *strict, *target, "walk.ts", cwd=tmp_path)
    run("node", "walk.js", live.service.url, live.token, cwd=tmp_path)
