"""``make run`` installs once, says so, and starts the service; pip and the service are stand-ins here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NEEDED = ("Makefile", "setup.py", "pyproject.toml", "constraints.txt", "combine_health/version.py")
PYTHON = '#!/bin/sh\nif [ "$3" = install ]; then echo "pip: $*"; exit ${STATUS:-0}; fi\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in NEEDED:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    scripts = tmp_path / ".venv" / "bin"
    scripts.mkdir(parents=True)
    for name, text in {"python": PYTHON, "pserve": '#!/bin/sh\necho "pserve: $*"\n'}.items():
        (scripts / name).write_text(text)
        (scripts / name).chmod(0o755)
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


def test_it_says_what_it_does_while_it_installs(checkout: Path) -> None:
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
    # A newer setup.py is installed with less noise.
    newer = (checkout / ".venv" / ".installed").stat().st_mtime + 5
    os.utime(checkout / "setup.py", (newer, newer))
    again = make_run(checkout).stdout.splitlines()
    assert again[1] == "pip: -m pip install --quiet --editable .[all]"
