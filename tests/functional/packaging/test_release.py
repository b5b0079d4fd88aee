"""`make release` and the rollback to what it tagged, in a clone of what is committed."""

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
# `make check` takes longer on a machine that is busy.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Clone:
    """A clone with a change to release, in which `make` uses the environment of the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        # Where make looks whether everything is installed. It is, for years, so that make leaves the
        # environment alone, whatever the clone's setup.py says.
        self._venv = folder / "venv"
        (self._venv / "bin").mkdir(parents=True)
        later = (datetime.now(UTC) + timedelta(days=3650)).timestamp()
        for name in ("bin/python", ".installed", ".installed-test"):
            (self._venv / name).touch()
            os.utime(self._venv / name, (later, later))
        subprocess.run(["git", "clone", "-q", str(ROOT), str(self.folder)], check=True)
        # The clone of a checkout that stands on a tag has no branch yet.
        self.git("checkout", "-q", "-B", "main")
        self.git("config", "user.name", "Ada")
        self.git("config", "user.email", "ada@example.org")
        # The script as it is being worked on.
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
        """The status and what `make release ...` says."""
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
        """All that a refused release must leave as it was."""
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


@pytest.mark.slow  # it runs the checks of the whole project
def test_a_release_and_the_way_back_to_it(
    clone: Clone, make_database: MakeDatabase, start_service: StartService
) -> None:
    version = f"{clone.newest}.0"
    page_release, page_push = commands_of("Make a release")
    status, said = clone.release(page_release.replace("0.2.0", version))
    assert status == 0, said
    assert f"Tagged v{version}. Push: {page_push}" in said

    # The tag is annotated, on the commit of the release, and main is one commit further.
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

    # The next version adds a migration, and runs it.
    url = make_database()
    file = clone.folder / "alembic" / "versions" / "new1.py"
    file.write_text(ADDED)
    clone.git("add", "alembic")
    clone.git("commit", "-qm", "A colour")
    assert "-> new1" in clone.alembic(url, "upgrade", "head")

    # The runbook's way back.
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

    # Forward again, as far as the next release: it is refused what has been.
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
def test_a_version_of_another_form_is_refused(clone: Clone, version: str) -> None:
    refuses(clone, "VERSION must look like 0.1.0", version)


def test_uncommitted_changes_are_refused(clone: Clone) -> None:
    clone.edit("README.md", "# Combine", "# Combined")
    refuses(clone, "there are uncommitted changes")
    clone.git("checkout", "-q", "README.md")
    (clone.folder / "notes.md").touch()
    refuses(clone, "there are uncommitted changes")


def test_another_branch_is_refused(clone: Clone) -> None:
    clone.git("checkout", "-q", "-b", "feature")
    refuses(clone, "releases are made from main")
    clone.git("checkout", "-q", "--detach", "main")
    refuses(clone, "releases are made from main")


def test_tags_that_are_no_versions_are_left_alone(clone: Clone) -> None:
    for tag in ("v-older", "vista", f"v{clone.newest}.0rc1", "9.9.9"):
        clone.git("tag", tag)
    clone.git("tag", f"v{clone.newest}.9")
    clone.git("tag", f"v{clone.newest}.10")
    refuses(clone, f"is not newer than v{clone.newest}.10.", f"{clone.newest}.8")


def test_a_version_that_was_passed_is_refused_where_tags_are_absent(clone: Clone) -> None:
    for tag in clone.git("tag").split():
        clone.git("tag", "--delete", tag)
    refuses(clone, "0.0.9 is older than", "0.0.9")


def test_what_does_not_pass_the_checks_is_refused(clone: Clone) -> None:
    with (clone.folder / "combine_health" / "version.py").open("a") as file:
        file.write("x  =  1\n")
    clone.git("commit", "-qam", "Badly formatted")
    refuses(clone, "`make check` failed")


def test_a_commit_that_fails_leaves_nothing(clone: Clone) -> None:
    with (clone.folder / "Makefile").open("a") as makefile:
        makefile.write("\ncheck:\n\t@true\n")
    clone.git("commit", "-qam", "No checks")
    hook = clone.folder / ".git" / "hooks" / "pre-commit"
    hook.write_text(
        "#!/bin/sh\ngrep -q dev combine_health/version.py || exit 0\necho no >&2; exit 1\n"
    )
    hook.chmod(0o755)
    refuses(clone, "`git commit` failed; see its output above. The checkout is unchanged.")


def refuses(clone: Clone, why: str, version: str | None = None) -> None:
    """The release is refused with this reason, without a traceback, and nothing has changed."""
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
