"""Tests that docs/runbook.md contains every command of the seed, and that every command works.

The commands run in order: unchanged on a real engine, and elsewhere on local processes without
``docker-compose exec SERVICE``. A command without an expected result fails the test.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from combine_core.database.migrations import upgrade
from combine_core.database.revisions import head_revision
from combine_core.postgres.embedded import EmbeddedPostgres
from combine_core.postgres.embedded.binaries import candidates
from combine_core.settings.database_url import parse_database_url
from tests.conftest import StartService
from tests.live.compose_stack import NEWER, ON_TOP, Stack, engine_answers

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
SEED = (ROOT / "tests" / "data" / "runbook-seed.md").read_text()
HEAD = head_revision()


def commands(text: str) -> list[str]:
    """Return every command in the shell blocks, in order. A command may have several lines."""
    found: list[str] = []
    for _, block in re.findall(r"(?ms)^( *)```bash\n(.*?)^\1```", text):
        unfinished = ""
        for line in textwrap.dedent(block).splitlines():
            if not unfinished and (not line.strip() or line.startswith("#")):
                continue
            unfinished += line + "\n"
            try:
                shlex.split(unfinished)
            except ValueError:  # inside quotes
                continue
            found.append(unfinished.strip())
            unfinished = ""
        assert not unfinished
    return found


@dataclass(frozen=True)
class Expected:
    """The expected result of a command. ``prints`` is a regular expression for its stdout and stderr."""

    prints: str
    fails: bool = False
    streams: bool = False  # this runs until it is stopped
    local: bool = True  # this also runs without an engine
    local_prints: str | None = None


HEALTHY, READY = '{"status": "healthy"}', '{"status": "ready", "database": "connected"}'
RESTORE = "docker-compose exec -T db psql -U combine combine < backup.sql"
ACTIVE = next(one for one in commands(SEED) if "pg_stat_activity" in one)

# The expected output. RESTORE occurs twice: over existing rows, and to an empty database.
EXPECTED: dict[str, list[Expected]] = {
    "cp .env.example .env && chmod 600 .env": [Expected("^$")],
    "docker-compose up -d": [
        Expected(r"app-\d +Started", local=False),
        Expected(r"app-\d +Started", local=False),
        Expected(r"app-\d +Started", local=False),
    ],
    "curl -f http://localhost:8000/health": [Expected(HEALTHY)],
    "curl http://localhost:8000/health/ready": [Expected(READY), Expected(READY)],
    "curl http://localhost:8000/health/detailed | jq .": [Expected('"migrations": {')],
    "docker-compose exec app combine doctor -c production.ini": [
        Expected("no_provider(?s:.*)healthy: database, migrations", local_prints="worker_absent")
    ],
    "docker-compose ps db": [Expected("db-1 .*healthy", local=False)],
    "docker-compose logs db": [Expected("ready to accept connections", local=False)],
    'docker-compose exec db psql -U combine -d combine -c "SELECT 1"': [Expected(r"\(1 row\)")],
    "echo $DATABASE_URL": [Expected("^$", local_prints="postgresql://")],
    "docker-compose logs app": [Expected("serving on http://")],
    'docker-compose exec app env | grep -E "(DATABASE|SECRET)"': [
        Expected("DATABASE_URL=postgresql://")
    ],
    'docker-compose run --rm --no-deps app env | grep -E "(DATABASE|SECRET)"': [
        Expected("SECRET_KEY=")
    ],
    "docker-compose run --rm --no-deps app combine settings -c production.ini": [
        Expected("DATABASE_URL")
    ],
    "echo $GOOGLE_CLIENT_ID": [Expected("^$")],
    "echo $MICROSOFT_CLIENT_ID": [Expected("^$")],
    "docker stats": [Expected("MEM USAGE", streams=True, local=False)],
    # There is no fault here. Tests of the log produce each of these words.
    "docker-compose logs app | grep -i memory": [Expected("")],
    r'docker-compose logs app | grep -i "slow\|timeout"': [Expected("")],
    ACTIVE: [Expected(r"pid .* duration .* query")],
    "docker-compose exec app alembic upgrade head": [Expected("")],
    "docker-compose exec app alembic current": [Expected(r"\(head\)")],
    "docker-compose exec app alembic downgrade -1": [
        Expected("Running downgrade"),
        Expected(f"Running downgrade new1 -> {HEAD}", local=False),
    ],
    "make rolling": [Expected("1 of 1 replicas updated", local=False)],
    "docker-compose logs --tail=100 app": [Expected("serving on http://")],
    "docker-compose logs -f app": [Expected("serving on http://", streams=True)],
    "docker-compose logs app > app.log": [Expected("^$")],
    "docker-compose exec db pg_dump -U combine combine > backup.sql": [Expected("^$")],
    RESTORE: [Expected("already exists", fails=True), Expected("COPY")],
    "docker-compose stop app worker": [Expected("Stopped", local=False)],
    "docker-compose exec db dropdb -U combine --force combine": [Expected("^$")],
    "docker-compose exec db createdb -U combine combine": [Expected("^$")],
    "docker-compose down": [Expected("Removed", local=False)],
    "git checkout <previous-tag>": [Expected("HEAD is now at", local=False)],
    "docker-compose up -d --scale app=3": [Expected("app-3 +Started", local=False)],
    "docker-compose -f docker-compose.yml -f docker-compose.staging.yml up -d": [
        Expected(r"app-\d +Started", local=False)
    ],
}


def test_the_runbook_contains_every_command_and_section_of_the_seed() -> None:
    ours = iter(commands(RUNBOOK))
    for command in commands(SEED):
        assert command in ours, f"missing, or in another order: {command}"
    headings = iter(re.findall(r"(?m)^#+ .*", re.sub(r"(?ms)^ *```.*?^ *```", "", RUNBOOK)))
    for heading in re.findall(r"(?m)^#+ .*", re.sub(r"(?ms)^ *```.*?^ *```", "", SEED)):
        assert heading in headings, heading


def test_every_command_is_run() -> None:
    unknown = [one for one in (*commands(RUNBOOK), *commands(SEED)) if one not in EXPECTED]
    assert unknown == []
    for command, expected in EXPECTED.items():
        assert commands(RUNBOOK).count(command) == len(expected), command


def walk(run_command: Callable[[str, Expected], str], *, engine: bool) -> None:
    """Run every command of the runbook in order, and check its output."""
    turns: dict[str, Iterator[Expected]] = {name: iter(them) for name, them in EXPECTED.items()}
    for command in commands(RUNBOOK):
        expected = next(turns[command])
        if not (engine or expected.local):
            continue
        output = run_command(command, expected)
        prints = expected.prints if engine else expected.local_prints or expected.prints
        assert re.search(prints, output), f"{command}\n{output}"


def shell(command: str, expected: Expected, folder: Path, environment: dict[str, str]) -> str:
    """Return the combined stdout and stderr of a command."""
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    if expected.streams:
        assert process.stdout is not None
        output = ""
        while not re.search(expected.prints, output):
            line = process.stdout.readline()
            assert line, f"{command} ended: {output}"
            output += line
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)
        return output
    output, _ = process.communicate(timeout=600)
    # grep exits with 1 if it finds nothing.
    allowed = {1, 3} if expected.fails else {0, 1} if "grep" in command else {0}
    assert process.returncode in allowed or not expected.prints, f"{command}\n{output}"
    return output


# This replaces the engine: it runs the command on this machine and reads the log of the local
# process.
WITHOUT_ENGINE = """#!/bin/bash
case "$1" in
  exec|run)
    shift
    while [ "${1:0:1}" = - ]; do shift; done
    shift
    exec "$@" ;;
  logs)
    shift
    case "$1" in
      -f) exec tail -n +1 -f "$SERVICE_LOG" ;;
      --tail=*) exec tail -n "${1#--tail=}" "$SERVICE_LOG" ;;
      *) exec cat "$SERVICE_LOG" ;;
    esac ;;
esac
echo "needs an engine: $*" >&2
exit 99
"""


@pytest.mark.slow
def test_the_commands_work_on_local_processes(tmp_path: Path, start_service: StartService) -> None:
    programs = next(folder for folder in candidates() if (folder / "pg_dump").exists())
    with EmbeddedPostgres(_opened(tmp_path) / "postgres", durable=False) as server:
        url = server.start()
        upgrade(parse_database_url(url).get_secret_value())
        where = urlsplit(url)
        settings = {"DATABASE_URL": url, "SECRET_KEY": "0f1e2d3c4b5a69788796a5b4c3d2e1f0" * 2}
        service = start_service(settings, ini="production.ini")
        folder = tmp_path / "checkout"
        (folder / "bin").mkdir(parents=True)
        for name in ("production.ini", ".env.example"):
            shutil.copy(ROOT / name, folder)
        (folder / "alembic").symlink_to(ROOT / "alembic")
        (folder / "bin" / "docker-compose").write_text(WITHOUT_ENGINE)
        (folder / "bin" / "docker-compose").chmod(0o755)
        path = [folder / "bin", Path(sys.executable).parent, programs]
        environment = {
            **settings,
            "PATH": os.pathsep.join([*map(str, path), os.environ["PATH"]]),
            "ALEMBIC_CONFIG": "production.ini",
            "PGHOST": str(where.hostname),
            "PGPORT": str(where.port),
            "PGPASSWORD": str(where.password),
            "PSQLRC": str(ROOT / "deploy" / "psqlrc"),
            "SERVICE_LOG": str(folder.parent / "service0" / "service.log"),
        }

        def run_command(command: str, expected: Expected) -> str:
            here = command.replace("http://localhost:8000", service.url)
            if "/health/ready" in here:
                # On the stack, `up -d` has applied the migrations again that the page undid before.
                upgrade(parse_database_url(url).get_secret_value())
                here = here.replace("curl ", "curl --retry 20 --retry-delay 1 --silent --fail ")
            return shell(here, expected, folder, environment)

        walk(run_command, engine=False)
        assert "serving on" in (folder / "app.log").read_text()


def _opened(tmp_path: Path) -> Path:
    """Return the folder, after opening it to the account that PostgreSQL runs as."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name.startswith("pytest-of-"):
            break
        folder.chmod(folder.stat().st_mode | 0o055)
    return tmp_path


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.xdist_group("compose")
@pytest.mark.skipif(
    not engine_answers(),
    reason="no container engine answers: the runbook is typed on local processes only",
)
def test_the_commands_work_on_the_stack(tmp_path: Path) -> None:
    stack = Stack.clone(tmp_path / "checkout")
    stack.sh("git tag v-older")
    (stack.folder / "alembic" / "versions" / "new1.py").write_text(NEWER)
    stack.sh("git add alembic && git commit -qm 'A colour'")

    def run_command(command: str, expected: Expected) -> str:
        here = command.replace("http://localhost:8000", stack.url).replace(
            "<previous-tag>", "v-older"
        )
        if ON_TOP:  # COMPOSE_FILE is ignored if -f names the files
            here = here.replace("staging.yml up", f"staging.yml -f {ON_TOP} up")
        if "curl" in here:
            stack.until_ready()
        output = shell(here, expected, stack.folder, stack.environment)
        if command.startswith("cp .env.example"):
            stack.write_env()
        if command == "docker-compose up -d":
            stack.until_ready()
        return output

    try:
        walk(run_command, engine=True)
        stack.until_ready()
    finally:
        stack.remove()
