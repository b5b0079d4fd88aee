"""Tests that ``make run`` installs once, reports it, and starts the service. pip and pserve are fakes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NEEDED = ("Makefile", "setup.py", "pyproject.toml", "constraints.txt", "combine_health/version.py")
PYTHON = """#!/bin/sh
if [ "$3" = install ]; then echo "pip: $*"; exit ${STATUS:-0}; fi
if [ "$1" = deploy/pserve.py ]; then echo "pserve: $2"; fi
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in NEEDED:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    scripts = tmp_path / ".venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "python").write_text(PYTHON)
    (scripts / "python").chmod(0o755)
    return tmp_path


def make_run(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", "run"],
        cwd=checkout,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_make_run_reports_the_installation(checkout: Path) -> None:
    failed = make_run(checkout, STATUS="1")
    assert failed.returncode != 0
    assert "pserve" not in failed.stdout
    first = make_run(checkout).stdout.splitlines()
    assert first[0].startswith("Installing Combine and its dependencies into .venv")
    # pip shows its progress.
    assert first[1:] == [
        "pip: -m pip install --editable .[all]",
        "Installed.",
        "pserve: development.ini",
    ]
    assert make_run(checkout).stdout == "pserve: development.ini\n"
    # An update after a newer setup.py prints less.
    newer = (checkout / ".venv" / ".installed").stat().st_mtime + 5
    os.utime(checkout / "setup.py", (newer, newer))
    again = make_run(checkout).stdout.splitlines()
    assert again[1] == "pip: -m pip install --quiet --editable .[all]"


def test_ctrl_c_while_python_imports_modules_shows_no_traceback(tmp_path: Path) -> None:
    hanging = tmp_path / "pyramid" / "scripts"
    hanging.mkdir(parents=True)
    (tmp_path / "pyramid" / "__init__.py").touch()
    (hanging / "__init__.py").touch()
    (hanging / "pserve.py").write_text(
        "import time\nprint('importing', flush=True)\ntime.sleep(60)\n"
    )
    run = subprocess.Popen(
        [sys.executable, ROOT / "deploy" / "pserve.py", "development.ini"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with run:
        assert run.stdout is not None
        assert run.stdout.readline() == "importing\n"
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=30)
    assert run.returncode == -signal.SIGINT
    assert errors == ""
