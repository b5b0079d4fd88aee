"""Tests that the server, the worker, alembic and every command load all models before using the
database.

Each runs in a process of its own, because a process that has imported everything hides missing
imports. For months no deployed worker could write a document, and every test passed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from combine_core.database import Model, load_models
from tests.conftest import free_port

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
PATIENCE_S = 60

# Python imports this module at its start. At the end of the process it records which tables are
# mapped, and whether the process used sessions or compared a schema.
REPORTER = """
import atexit, json, os, sys

def report():
    metadata = sys.modules.get("combine_core.database.metadata")
    orm = sys.modules.get("sqlalchemy.orm.session")
    migrated = "alembic.runtime.environment" in sys.modules and "combine_core.database.undo" in sys.modules
    with open(os.environ["REPORT"], "w") as file:
        json.dump({
            "modules": sorted(sys.modules),
            "tables": [m.local_table.name for m in metadata.Model.registry.mappers] if metadata else [],
            "works": bool(orm and orm._sessions) or migrated or made,
        }, file)

made = []

def watch():
    import sqlalchemy.orm
    original = sqlalchemy.orm.sessionmaker.__init__
    def init(self, *args, **kwargs):
        made.append(True)
        original(self, *args, **kwargs)
    sqlalchemy.orm.sessionmaker.__init__ = init

if os.environ.get("REPORT"):
    atexit.register(report)
    watch()
"""

# The arguments with which each command opens the service. Commands that never use its tables have
# None, with the reason.
WORDS: dict[str, list[str] | None] = {
    "run": ["run", "-c", "INI", "brief", "NOTES"],
    "worker": ["worker", "-c", "INI"],
    "project": ["project", "export", "-c", "INI", "nowhere", "nowhere.zip"],
    "migrate": ["migrate", "-c", "INI"],
    "audit": ["audit", "-c", "INI"],
    "token": None,  # It works only on users and tokens: test_tokens_need_few_modules
    "user": ["user", "create", "-c", "INI", "bea@example.org"],
    "rename": ["rename", "-c", "INI", "project", "nowhere", "Somewhere"],
    "archive": ["archive", "-c", "INI", "project", "nowhere"],
    "delete": ["delete", "-c", "INI", "project", "nowhere"],
    "erase": ["erase", "-c", "INI", "project", "nowhere"],
    "client": ["client", "list", "-c", "INI"],
    "doctor": ["doctor", "-c", "INI"],
    "list": ["list", "-c", "INI"],
    "settings": None,  # It reads settings.
    "init": None,  # It writes files.
    "probe": None,  # It sends HTTP requests.
    "maintenance": None,  # It writes a file.
    "login": None,  # It sends HTTP requests to a service.
    "logout": None,  # It sends HTTP requests to a service.
}


@pytest.fixture
def box(tmp_path: Path) -> Path:
    (tmp_path / "sitecustomize.py").write_text(REPORTER)
    (tmp_path / "notes.md").write_text("We decided to replace the seal by Friday.\n")
    return tmp_path


def environment(box: Path, url: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(box),
        "PYTHONPATH": str(box),
        "REPORT": str(box / "report.json"),
        "DATABASE_URL": url,
        "PORT": str(free_port()),
    }


def assert_all_loaded(box: Path) -> None:
    report = json.loads((box / "report.json").read_text())
    assert report["works"], "this process used no sessions, so the test proves nothing"
    load_models()
    expected = sorted(mapper.local_table.name for mapper in Model.registry.mappers)
    assert sorted(report["tables"]) == expected


def test_every_command_is_listed() -> None:
    assert {point.name for point in entry_points(group="combine.commands")} == set(WORDS)


# Each of these opens the database in its own way. The other commands use one of these ways.
WAYS = {"worker", "migrate", "doctor"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in WAYS else [pytest.mark.slow])
        for name, words in sorted(WORDS.items())
        if words
    ],
)
@pytest.mark.slow
def test_a_command_loads_all_models(name: str, box: Path, database_url: str) -> None:
    words = WORDS[name]
    assert words is not None
    replaced = {"INI": str(ROOT / "development.ini"), "NOTES": str(box / "notes.md")}
    process = subprocess.Popen(
        [BIN / "combine", *(replaced.get(word, word) for word in words)],
        cwd=box,
        env=environment(box, database_url),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if name == "worker":
        assert process.stdout is not None
        # It prints this once it handles signals.
        while "Processing runs" not in (line := process.stdout.readline()):
            assert line, "the process ended before it was ready"
        process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE_S)
    # The exit status of the doctor reports the service, which is not running. There is no project
    # either.
    absent = "Nothing with this id or name was found" in output or "There is no project" in output
    refused = name == "doctor" or absent
    assert process.returncode == 0 or refused, output
    assert_all_loaded(box)


# Tokens do not need these modules, which would take most of the time of the command.
NOT_FOR_TOKENS = {
    "alembic",
    "combine_core.api",
    "combine_core.documents",
    "combine_core.pages",
    "combine_core.runs",
    "jsonschema_rs",
    "pkg_resources",
    "procrastinate",
    "psutil",
    "psycopg",
    "pyramid.config",
    "pyramid.request",
    "transaction",
    "webob",
    "yaml",
}


def output_of(box: Path, url: str, *command: Path | str) -> str:
    done = subprocess.run(
        command,
        cwd=box,
        env=environment(box, url),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_tokens_need_few_modules(box: Path, database_url: str) -> None:
    def run(*words: str) -> str:
        command = [BIN / "combine", "token", *words, "-c", ROOT / "development.ini"]
        output = output_of(box, database_url, *command)
        report = json.loads((box / "report.json").read_text())
        assert report["works"]
        assert set(report["modules"]) & NOT_FOR_TOKENS == set()
        return output

    assert run("create", "--user", "ada@example.org").startswith("cmb_pat_")
    [_, row] = run("list", "--user", "ada@example.org").splitlines()
    run("revoke", row.split()[0])


@pytest.mark.slow
def test_the_server_loads_all_models(box: Path, database_url: str) -> None:
    variables = environment(box, database_url)
    process = subprocess.Popen(
        [BIN / "pserve", ROOT / "production.ini"],
        cwd=box,
        env={
            **variables,
            "SECRET_KEY": "0f1e2d3c4b5a69788796a5b4c3d2e1f0" * 2,
            "PUBLIC_URL": "https://combine.example.org",
            "ALLOWED_ORIGINS": "https://combine.example.org",
            "COMBINE_HEALTH_DRAIN_SECONDS": "0",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + PATIENCE_S
    url = f"http://127.0.0.1:{variables['PORT']}/health"
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                break
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    assert_all_loaded(box)


@pytest.mark.parametrize("words", [["upgrade", "head"], ["current"]], ids=" ".join)
@pytest.mark.slow
def test_alembic_loads_all_models(words: list[str], box: Path, database_url: str) -> None:
    output_of(box, database_url, BIN / "alembic", "-c", ROOT / "development.ini", *words)
    assert_all_loaded(box)
