"""Two installations of Combine: the current code, and the newest release from the git history.

The file ``previous_release`` in this folder contains the commit of that release. Update it after
each release, in the commit after the tag: ``git log -1 --format='%H %s' TAG > previous_release``.
Then remove the repairs of the earlier release.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest

from tests.conftest import Service, free_port

ROOT = Path(__file__).parents[3]
COMMIT = Path(__file__).with_name("previous_release").read_text().split()[0]
INI = "development.ini"
_STOP_S = 30

# Repairs without which a release cannot be tested: the commit, a file, a line in it, and its
# replacement.
_REPAIRS = {
    # The worker of 0.1.0 fails at its first statement, because it never imports the model of users.
    "0930877dab4e": (
        "combine_core/cli/worker.py",
        "    setup_logging(ini)\n",
        "    import combine_core.models\n\n    setup_logging(ini)\n",
    ),
}

_WHICH_CODE = """
import json
from importlib.metadata import entry_points
from pathlib import Path
import combine_auth, combine_core, combine_health
from combine_health.version import __version__

groups = ("combine.commands", "combine.models", "combine.settings", "paste.app_factory")
found = [point for group in groups for point in entry_points(group=group)]
print(json.dumps({
    "folders": [str(Path(one.__file__).parent) for one in (combine_auth, combine_core, combine_health)],
    "version": __version__,
    "entry_points": sorted({point.dist.version for point in found if "combine" in point.value}),
}))
"""


@dataclass(frozen=True)
class Code:
    """The code that an installation imports.

    :ivar folders: the folders of the three add-ons
    :ivar version: the version that combine_health reports
    :ivar entry_points: the versions of the distributions with its commands, models and settings
    """

    folders: list[str]
    version: str
    entry_points: list[str]


@dataclass(frozen=True)
class Installation:
    """Code in a virtual environment, and a working folder for its commands, as in a container.

    :ivar python: the interpreter of the virtual environment
    :ivar home: contains ``development.ini``, and nothing that Python could import
    """

    python: Path
    home: Path

    def environment(self, database_url: str) -> dict[str, str]:
        """Return the environment of its processes, which inherits only the path."""
        return {
            "PATH": os.pathsep.join([str(self.python.parent), os.environ["PATH"]]),
            "HOME": str(self.home),
            "PORT": str(free_port()),
            "SECRET_KEY": "5f1d0c" * 12,
            "DATABASE_URL": database_url,
            "ALEMBIC_CONFIG": INI,
            "COMBINE_CORE_WORKER": "false",
            # Do not write to packages that are only linked into the virtual environment.
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, database_url: str, *command: str) -> str:
        """Run a command such as ``combine token create`` and return its output."""
        done = subprocess.run(
            self._complete(command),
            cwd=self.home,
            env=self.environment(database_url),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def code(self, database_url: str) -> Code:
        """Return the code that its processes run."""
        done = subprocess.run(
            [self.python, "-c", _WHICH_CODE],
            cwd=self.home,
            env=self.environment(database_url),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return Code(**json.loads(done.stdout))

    @contextmanager
    def serving(self, database_url: str) -> Iterator[Service]:
        """Run the web process for the block. It responds when the block starts."""
        with self._started(database_url, "pserve", INI) as service:
            service.wait_until_healthy()
            yield service

    @contextmanager
    def working(self, database_url: str) -> Iterator[None]:
        """Run the worker for the block. It has ended cleanly afterwards."""
        with self._started(database_url, "combine", "worker", "-c", INI) as worker:
            yield
            assert worker.stop() == 0, worker.log()

    @contextmanager
    def _started(self, database_url: str, *command: str) -> Iterator[Service]:
        environment = self.environment(database_url)
        log = self.home / f"{command[0]}-{environment['PORT']}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._complete(command),
                cwd=self.home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        url = f"http://127.0.0.1:{environment['PORT']}"
        try:
            yield Service(url, process, self.home / INI, environment, log)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _complete(self, command: tuple[str, ...]) -> list[str]:
        # Skip the first line of the script: a copied script names another interpreter there.
        name, *words = command
        return [str(self.python), str(self.python.parent / name), *words]


def install_current_code(home: Path) -> Installation:
    """Return the code of this checkout, as installed for the tests."""
    home.mkdir()
    shutil.copy(ROOT / INI, home)
    return Installation(Path(sys.executable), home)


def install_previous_release(folder: Path) -> Installation:
    """Install the newest release like its Dockerfile, with the current dependencies.

    If the git history does not contain it, the test fails in CI and is skipped elsewhere.

    :param folder: an empty folder for all files
    """
    checkout, home, environment = folder / "checkout", folder / "home", folder / "environment"
    _check_out(checkout)
    home.mkdir()
    (checkout / INI).rename(home / INI)
    # The ini file of 0.1.0 uses the migrations beside it. Later ones use the installed migrations.
    shutil.copytree(checkout / "alembic", home / "alembic")
    venv.create(environment, symlinks=True)
    paths = {"base": str(environment), "platbase": str(environment)}
    for scheme in ("purelib", "platlib"):
        target = Path(sysconfig.get_path(scheme, "venv", paths))
        for source in Path(sysconfig.get_path(scheme)).iterdir():
            # Link everything except the current Combine.
            link = target / source.name
            if not re.search("pyramid_combine|^combine", source.name) and not link.exists():
                link.symlink_to(source)
    python = environment / "bin" / "python"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"),
            *("install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", checkout),
        ],
        check=True,
    )
    for name in ("alembic", "pserve"):
        shutil.copy(Path(sys.executable).with_name(name), python.with_name(name))
    return Installation(python, home)


def _check_out(folder: Path) -> None:
    archive = subprocess.run(
        ["git", "archive", "--format=tar", COMMIT], cwd=ROOT, capture_output=True
    )
    if archive.returncode != 0:
        message = (
            f"The code of the previous release, commit {COMMIT}, is not in this clone. Fetch the whole"
            f" history: git fetch --unshallow. (git: {archive.stderr.decode().strip()})"
        )
        if os.environ.get("CI", "false").lower() not in ("", "0", "false"):
            pytest.fail(message)
        pytest.skip(message)
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    for commit, (name, line, replacement) in _REPAIRS.items():
        if COMMIT.startswith(commit):
            text = (folder / name).read_text()
            assert text.count(line) == 1, f"{name} of {commit} has not the line to repair once"
            (folder / name).write_text(text.replace(line, replacement))
