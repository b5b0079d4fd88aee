"""Tests `make release`, and the rollback to a tagged version, in a clone of the repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest

from combine_core.database.revisions import head_revision
from tests.conftest import MakeDatabase, StartService
from tests.functional.migrations.test_undo import ADDED
from tests.functional.packaging.installation import ROOT, commands_of

BIN = Path(sys.executable).parent
# A release runs `make check`, which takes ten minutes on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


class Clone:
    """A clone with a change to release, in which `make` uses the environment of the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        # make looks at this file to see if everything is installed. Its date is years ahead, so
        # make never changes the environment, whatever the setup.py of the clone contains.
        self._venv = folder / "venv"
        (self._venv / "bin").mkdir(parents=True)
        later = (datetime.now(UTC) + timedelta(days=3650)).timestamp()
        for name in ("bin/python", ".installed", ".installed-test"):
            (self._venv / name).touch()
            os.utime(self._venv / name, (later, later))
        subprocess.run(["git", "clone", "-q", str(ROOT), str(self.folder)], check=True)
        # The clone of a checkout at a tag has no branch yet.
        self.git("checkout", "-q", "-B", "main")
        self.git("config", "user.name", "Ada")
        self.git("config", "user.email", "ada@example.org")
        # Use the working copy of the script.
        shutil.copy(ROOT / "deploy" / "release.py", self.folder / "deploy")
        self.edit("CHANGES.md", "## Unreleased\n", "## Unreleased\n\n- A change for the test.\n")
        self.git("commit", "-qam", "A change")
        version = self.read("combine_health/version.py")
        major, minor = map(int, re.findall(r'"(\d+)\.(\d+)\.', version)[0])
        self.newest = f"{major}.{minor + 1}"

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()

    def edit(self, name: str, old: str, new: str) -> None:
        assert old in self.read(name)
        (self.folder / name).write_text(self.read(name).replace(old, new, 1))

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=self.folder, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout.strip()

    def release(self, command: str) -> tuple[int, str]:
        """Return the exit status and the output of `make release ...`."""
        done = subprocess.run(
            [*command.split(), f"BIN={BIN}", f"VENV={self._venv}"],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    def state(self) -> tuple[str, str, str]:
        """Return everything that a rejected release must not change."""
        return self.git("rev-parse", "HEAD"), self.git("tag"), self.git("status", "--porcelain")

    def alembic(self, url: str, *words: str) -> str:
        """Run alembic with the checked-out code and return its output."""
        done = subprocess.run(
            [BIN / "alembic", "-c", "production.ini", *words],
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(self.folder),
                "ENVIRONMENT": "test",
                "DATABASE_URL": url,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


@pytest.mark.slow  # this runs the checks of the whole project
def test_a_release_and_a_rollback_to_it(
    clone: Clone, make_database: MakeDatabase, start_service: StartService
) -> None:
    version = f"{clone.newest}.0"
    page_release, page_push = commands_of("Make a release")
    status, said = clone.release(page_release.replace("0.2.0", version))
    assert status == 0, said
    assert f"Tagged v{version}. Push: {page_push}" in said

    # The tag is annotated and points to the release commit. main is one commit ahead.
    tag = f"v{version}"
    assert clone.git("cat-file", "-t", tag) == "tag"
    assert clone.git("log", "-2", "--format=%s") == f"Begin the next version\nRelease {version}"
    assert clone.git("rev-parse", f"{tag}^{{commit}}") == clone.git("rev-parse", "main~1")
    assert clone.git("status", "--porcelain") == ""
    assert f'__version__ = "{clone.newest}.1.dev0"' in clone.read("combine_health/version.py")
    assert f'__version__ = "{version}"' in clone.git("show", f"{tag}:combine_health/version.py")
    days = {(datetime.now(UTC) - timedelta(days=ago)).date() for ago in (0, 1)}
    changes = clone.read("CHANGES.md")
    assert any(
        f"## Unreleased\n\n## {version} ({day})\n\n- A change for the test.\n" in changes
        for day in days
    )
    assert clone.git("show", f"{tag}:CHANGES.md") == changes.strip()
    previous = clone.read("tests/functional/migrations/previous_release")
    assert previous == clone.git("log", "-1", "--format=%H %s", tag) + "\n"

    # The next version adds a migration and runs it.
    url = make_database()
    file = clone.folder / "alembic" / "versions" / "new1.py"
    file.write_text(ADDED)
    clone.git("add", "alembic")
    clone.git("commit", "-qm", "A colour")
    assert "-> new1" in clone.alembic(url, "upgrade", "head")

    # This is the rollback of the runbook.
    clone.git("checkout", "-q", tag)
    assert not file.exists()
    service = start_service(
        {"DATABASE_URL": url, "PYTHONPATH": str(clone.folder)}, ini=clone.folder / "development.ini"
    )
    assert until_ready(service.url) == {"status": "ready", "database": "connected"}
    with urllib.request.urlopen(f"{service.url}/health/detailed", timeout=10) as answer:
        detailed = json.load(answer)
    assert detailed["version"] == version
    assert "ahead" in json.dumps(detailed["checks"]["migrations"])
    assert service.stop() == 0
    assert f"ahead of this code, which knows {head_revision()}" in clone.alembic(url, "current")
    assert "Running downgrade new1" in clone.alembic(url, "downgrade", "-1")
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT version_num FROM alembic_version")
        assert cursor.fetchall() == [(head_revision(),)]
    connection.close()

    # Go to the next release. An existing version is rejected.
    clone.git("checkout", "-q", "main")
    assert "-> new1" in clone.alembic(url, "upgrade", "head")
    for refused, why in (
        (version, f"the tag {tag} exists"),
        (f"{clone.newest.partition('.')[0]}.0.1", f"is not newer than {tag}"),
        (f"{clone.newest}.1", "CHANGES.md is empty under Unreleased"),
    ):
        status, said = clone.release(f"make release VERSION={refused}")
        assert status != 0
        assert f"No release: {refused if 'newer' in why else ''}" in said
        assert why in said


@pytest.mark.parametrize("version", ["", "1", "0.9", "v9.0.0", "9.0.0rc1", "9.0.0.dev0", "09.0.0"])
def test_a_malformed_version_is_rejected(clone: Clone, version: str) -> None:
    check_rejected(clone, "VERSION must look like 0.1.0", version)


def test_uncommitted_changes_are_rejected(clone: Clone) -> None:
    clone.edit("README.md", "# Combine", "# Combined")
    check_rejected(clone, "there are uncommitted changes")
    clone.git("checkout", "-q", "README.md")
    (clone.folder / "notes.md").touch()
    check_rejected(clone, "there are uncommitted changes")


def test_another_branch_is_rejected(clone: Clone) -> None:
    clone.git("checkout", "-q", "-b", "feature")
    check_rejected(clone, "releases are made from main")
    clone.git("checkout", "-q", "--detach", "main")
    check_rejected(clone, "releases are made from main")


def test_tags_that_are_not_versions_are_ignored(clone: Clone) -> None:
    for tag in ("v-older", "vista", f"v{clone.newest}.0rc1", "9.9.9"):
        clone.git("tag", tag)
    clone.git("tag", f"v{clone.newest}.9")
    clone.git("tag", f"v{clone.newest}.10")
    check_rejected(clone, f"is not newer than v{clone.newest}.10.", f"{clone.newest}.8")


def test_an_older_version_is_rejected_without_tags(clone: Clone) -> None:
    for tag in clone.git("tag").split():
        clone.git("tag", "--delete", tag)
    check_rejected(clone, "0.0.9 is older than", "0.0.9")


def test_a_release_with_failing_checks_is_rejected(clone: Clone) -> None:
    with (clone.folder / "combine_health" / "version.py").open("a") as file:
        file.write("x  =  1\n")
    clone.git("commit", "-qam", "Badly formatted")
    check_rejected(clone, "`make check` failed")


def test_a_failed_commit_changes_nothing(clone: Clone) -> None:
    with (clone.folder / "Makefile").open("a") as makefile:
        makefile.write("\ncheck:\n\t@true\n")
    clone.git("commit", "-qam", "No checks")
    hook = clone.folder / ".git" / "hooks" / "pre-commit"
    hook.write_text(
        "#!/bin/sh\ngrep -q dev combine_health/version.py || exit 0\necho no >&2; exit 1\n"
    )
    hook.chmod(0o755)
    check_rejected(clone, "`git commit` failed; see its output above. The checkout is unchanged.")


def check_rejected(clone: Clone, why: str, version: str | None = None) -> None:
    """Check that the release is rejected with this reason, without a traceback, and changes nothing."""
    before = clone.state()
    wanted = f"{clone.newest}.0" if version is None else version
    status, said = clone.release(f"make release VERSION={wanted}")
    assert status != 0
    assert "No release: " in said
    assert why in said
    assert "Traceback" not in said
    assert clone.state() == before


def until_ready(url: str) -> object:
    """Wait until /health/ready succeeds and return its JSON."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if time.monotonic() > deadline:
                raise AssertionError(error.read()) from error
            time.sleep(0.1)
