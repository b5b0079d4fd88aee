"""Tests that combine_health works alone: its tests pass with the wheel and without any extra."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.functional.packaging.installation import ROOT, environment_with, run, wheel

__all__ = ["wheel"]  # the fixture

# The dependencies of the tests themselves. None of them needs another part of Combine.
TOOLS = (
    "pytest",
    "pytest-timeout",
    "hypothesis",
    "webtest",
    "psutil",
    "Paste",
    "gunicorn",
    "werkzeug",
)
TESTS = ("tests/unit/health", "tests/functional/health")
# The tests also read the snippets on these pages, and the files that the pages name.
READ = ("docs/health-plugins.md", "docs/kubernetes.md", "docs/servers.md", "pyproject.toml")
FOREIGN = ("sqlalchemy", "pydantic", "click", "psycopg", "alembic", "jinja2", "redis", "pyyaml")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests of combine_health, without anything that they could import by accident."""
    folder = tmp_path_factory.mktemp("health")
    tracked = run("git", "ls-files", "-z", *TESTS, *READ, cwd=ROOT).split("\0")
    for name in filter(None, tracked):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.mark.slow  # this takes about a minute and a half
@pytest.mark.timeout(600)
def test_the_tests_of_health_pass_without_an_extra(wheel: Path, checkout: Path) -> None:
    binaries = environment_with(str(wheel), checkout)
    bare = _installed(binaries, checkout)
    assert not [name for name in bare if name.startswith(FOREIGN)]
    # The server needs waitress, which combine_health itself does not require.
    run(binaries / "python", "-m", "pip", "install", "--quiet", "waitress", *TOOLS, cwd=checkout)
    assert not [name for name in _installed(binaries, checkout) if name.startswith(FOREIGN)]
    said = run(binaries / "python", "-m", "pytest", "-q", "--strict-markers", *TESTS, cwd=checkout)
    assert int(said.rpartition(" passed")[0].split()[-1]) > 500
    assert "tests/conftest.py" not in said


def _installed(binaries: Path, folder: Path) -> list[str]:
    listed = run(binaries / "python", "-m", "pip", "list", "--format=freeze", cwd=folder)
    return [line.partition("==")[0].lower() for line in listed.splitlines()]
