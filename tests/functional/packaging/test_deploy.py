"""Tests that the commands of docs/deploy.md deploy the wheel in an empty folder."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from combine_core.database.revisions import head_revision
from tests.conftest import MakeDatabase, free_port
from tests.functional.packaging.installation import (
    ROOT,
    commands_of,
    environment_with,
    installed,
    run,
    wheel,
)

__all__ = ["installed", "wheel"]  # the fixtures

# The first test installs everything, perhaps on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PATIENCE_S = 60
ACTIVATE = ". venv/bin/activate"
COPY = "cp .env.example .env && chmod 600 .env"
SERVE = "pserve production.ini"
WORK = "combine worker -c production.ini"


class Deployment:
    """A folder with an environment and no other files of Combine."""

    def __init__(self, folder: Path, installed: Path) -> None:
        self.folder = folder
        (folder / "venv").symlink_to(installed.parent)
        self.port = free_port()
        self.processes: list[subprocess.Popen[bytes]] = []
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TMPDIR": str(
                folder
            ),  # the workers of other tests have their heartbeats in another database
            "PORT": str(self.port),
            "LISTEN": "127.0.0.1",
        }

    def sh(self, command: str, expected: int = 0) -> str:
        """Run the command in this folder with the virtual environment active and return its output."""
        done = subprocess.run(
            ["sh", "-c", f"{ACTIVATE} && {command}"],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == expected, f"{command}\n{done.stdout}{self.log()}"
        return done.stdout

    def start(self, command: str) -> None:
        """Start a command that runs until it is stopped."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                ["sh", "-c", f"{ACTIVATE} && exec {command}"],
                cwd=self.folder,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)

    def wait_for_log(self, text: str) -> None:
        """Wait until the log contains this text."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.log():
            alive = all(process.poll() is None for process in self.processes)
            assert alive, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def log(self) -> str:
        log = self.folder / "log"
        return log.read_text() if log.exists() else ""

    def fill_in(self, database_url: str) -> None:
        """Follow the instructions in .env."""
        env = self.folder / ".env"
        assert env.stat().st_mode & 0o777 == 0o600
        text = env.read_text()
        for name, value in (
            ("SECRET_KEY=", f"SECRET_KEY={secrets.token_hex(32)}"),
            (
                "#DATABASE_URL=postgresql://combine:PASSWORD@localhost:5432/combine",
                f"DATABASE_URL={database_url}",
            ),
        ):
            assert text.count(f"\n{name}\n") == 1
            text = text.replace(f"\n{name}\n", f"\n{value}\n")
        env.write_text(text)


@pytest.fixture
def deployment(tmp_path: Path, installed: Path) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path, installed)
    yield deployment
    for process in deployment.processes:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_every_command_on_the_page_works(
    deployment: Deployment, make_database: MakeDatabase
) -> None:
    database = make_database(migrated=False)
    said: dict[str, str] = {}
    sections = ("Set up", "Run", "Update and roll back")
    for command in (command for title in sections for command in commands_of(title)):
        if command in (SERVE, WORK):
            deployment.start(command)
            deployment.wait_for_log("serving on" if command == SERVE else "Processing runs")
            continue
        here = command.replace("localhost:8000", f"localhost:{deployment.port}")
        if "doctor" in command:
            # Its status is 1 if there is a warning, such as that no user can sign in yet.
            here += " || true"
        said[command] = deployment.sh(here)
        if command == COPY:
            before = deployment.sh("combine settings -c production.ini", expected=1)
            to_mend = before.partition("To fix before the service can start:")[2]
            assert "SECRET_KEY" in to_mend
            assert "DATABASE_URL" in to_mend
            deployment.fill_in(database)
        if command.endswith("upgrade head"):
            # `combine migrate` needs nothing else.
            assert "Running upgrade" not in said[command]
    head = head_revision()
    assert f"The database is at revision {head}." in said["combine migrate -c production.ini"]
    assert f"{head} (head)" in said["ALEMBIC_CONFIG=production.ini alembic current"]
    assert revisions(database) != [head]  # the result of the downgrade, which is the last command
    for process in deployment.processes:
        process.send_signal(signal.SIGTERM)
    for process in deployment.processes:
        assert process.wait(PATIENCE_S) == 0, deployment.log()


@pytest.mark.parametrize(
    "command",
    [
        "combine migrate -c production.ini",
        "alembic -c production.ini upgrade head",
        "ALEMBIC_CONFIG=production.ini alembic upgrade head",
        # Run it from another folder, like a cron job.
        'folder=$PWD; cd / && alembic -c "$folder/production.ini" upgrade head',
    ],
)
def test_the_database_is_migrated_without_a_checkout(
    deployment: Deployment, make_database: MakeDatabase, command: str
) -> None:
    database = make_database(migrated=False)
    deployment.sh("combine init .")
    deployment.sh(COPY)
    deployment.fill_in(database)
    deployment.sh(command)
    assert revisions(database) == [head_revision()]


def test_the_extra_core_can_migrate(
    wheel: Path, tmp_path: Path, make_database: MakeDatabase
) -> None:
    """The tables of all add-ons are created, so that an add-on can be installed later."""
    database = make_database(migrated=False)
    binaries = environment_with(f"{wheel}[core]", tmp_path)
    listed = run(binaries / "python", "-m", "pip", "list", "--format=freeze", cwd=tmp_path)
    assert "authlib" not in listed.lower()
    run(binaries / "combine", "init", tmp_path / "here", cwd=tmp_path)
    settings = {"DATABASE_URL": database, "SECRET_KEY": secrets.token_hex(32)}
    command = (binaries / "combine", "migrate", "-c", "production.ini")
    run(*command, cwd=tmp_path / "here", **settings)
    assert revisions(database) == [head_revision()]
    with psycopg2.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('oauth_clients') IS NOT NULL")
        assert cursor.fetchone() == (True,)
    connection.close()


def test_the_wheel_writes_the_files_of_the_checkout(deployment: Deployment) -> None:
    deployment.sh("combine init new")
    for name in ("production.ini", "development.ini", ".env.example"):
        written = (deployment.folder / "new" / name).read_bytes()
        assert written == (ROOT / name).read_bytes()


def revisions(url: str) -> list[str]:
    """Return the revisions of the database."""
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT version_num FROM alembic_version")
        found = [revision for (revision,) in cursor.fetchall()]
    connection.close()
    return found
