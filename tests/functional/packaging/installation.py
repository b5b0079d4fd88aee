"""The wheel and environments with it, built once for all processes of a test run.

A test imports the fixtures it needs: ``from tests.functional.packaging.installation import wheel``.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# `python3` is the Python of the tests.
_PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


@pytest.fixture(scope="session")
def wheel(run_folder: Path) -> Path:
    """The wheel, built from a copy of the files that git tracks, without stray files."""
    folder = run_folder / "wheel"
    with _one_process_at_a_time(run_folder / "wheel.lock"):
        if not folder.exists():
            build_wheel(folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, run_folder: Path) -> Path:
    """The ``bin`` folder of an environment that the commands of docs/deploy.md create from the
    wheel.

    All tests share it, because they only read it.
    """
    folder = run_folder / "installed"
    with _one_process_at_a_time(run_folder / "installed.lock"):
        if not (folder / "complete").exists():
            folder.mkdir(exist_ok=True)
            shutil.copy(wheel, folder)
            for command in commands_of("Install"):
                here = re.sub(r"pyramid_combine-[^[]+\.whl", wheel.name, command)
                run("sh", "-c", here, cwd=folder, PATH=_PATH, PIP_QUIET="1", PIP_NO_COMPILE="1")
            (folder / "complete").touch()
    return folder / "venv" / "bin"


def commands_of(title: str) -> list[str]:
    """Return the commands in a section of docs/deploy.md."""
    page = (ROOT / "docs" / "deploy.md").read_text()
    section = page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```bash\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def build_wheel(folder: Path) -> None:
    """Build the wheel from the files that git tracks, into a new folder."""
    building = folder.with_name(f"{folder.name}-building")
    shutil.rmtree(building, ignore_errors=True)  # left by a failed attempt
    copy = building / "combine"
    tracked = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    for name in filter(None, tracked):
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name, follow_symlinks=False)
    run(sys.executable, "-m", "build", "--wheel", "--outdir", building, copy, cwd=building)
    # Rename it when it is complete, so that an existing folder can always be used.
    building.rename(folder)


def environment_with(requirement: str, folder: Path) -> Path:
    """Return the ``bin`` folder of a new environment with ``requirement`` and its dependencies."""
    folder.mkdir(parents=True, exist_ok=True)
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    binaries = folder / "venv" / "bin"
    pip = (binaries / "python", "-m", "pip")
    run(*pip, "install", "--quiet", "--no-compile", requirement, cwd=folder)
    return binaries


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run the command and return its output. If the command fails, fail the test with the output."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **_network(), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _network() -> dict[str, str]:
    """Return the environment variables for pip: package index, proxy, cache and constraints."""
    passed = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    passed |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    config = Path.home() / ".config" / "pip" / "pip.conf"
    if "PIP_CONFIG_FILE" not in passed and config.exists():
        passed["PIP_CONFIG_FILE"] = str(config)
    constraints = str(ROOT / "constraints.txt")
    return passed | {
        "PIP_CACHE_DIR": str(Path.home() / ".cache" / "pip"),
        "PIP_CONSTRAINT": constraints,
        "PIP_BUILD_CONSTRAINT": constraints,
    }


@contextmanager
def _one_process_at_a_time(lock: Path) -> Iterator[None]:
    """Hold a lock for the block. Another process waits; the lock ends with its process."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
