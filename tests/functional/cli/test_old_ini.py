"""Tests that every command names the lines to change in an ini file with the former distribution name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from combine_core.cli import main

ROOT = Path(__file__).parents[3]
COMMANDS = [
    "migrate",
    "settings",
    "worker",
    "doctor",
    "list",
    "audit",
    "token create --user you@example.org",
    "user create you@example.org",
]


def process(command: str, cwd: Path, packages: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "combine", *command.split(), "-c", "old.ini"],
        cwd=cwd,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(cwd),
            "PYTHONPATH": str(packages),
            "SECRET_KEY": "canary" * 6,
            "DATABASE_URL": "postgresql://combine@127.0.0.1:1/combine",
        },
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.fixture
def old_ini(tmp_path: Path) -> list[int]:
    """Write an old ini file to ``tmp_path``. Return the line numbers with the former name."""
    text = "# use = egg:combine once\n" + (ROOT / "production.ini").read_text()
    text = text.replace("egg:pyramid-combine", "egg:combine")
    (tmp_path / "old.ini").write_text(text)
    lines = enumerate(text.splitlines(), 1)
    numbers = [number for number, line in lines if line.startswith("use = egg:combine")]
    assert len(numbers) == 2
    return numbers


@pytest.mark.parametrize("command", COMMANDS)
def test_the_lines_and_the_new_form_are_named(
    command: str, old_ini: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    variables = {
        "SECRET_KEY": "canary" * 6,
        "DATABASE_URL": "postgresql://combine@127.0.0.1:1/combine",
    }
    done = CliRunner(env=variables).invoke(main, [*command.split(), "-c", "old.ini"])
    assert isinstance(done.exception, SystemExit), done.exc_info
    assert done.exit_code != 0
    (line,) = (done.stdout + done.stderr).splitlines()
    assert "old.ini, line" in line
    assert [int(number) for number in re.findall(r"\b\d+\b", line)] == old_ini
    assert "write egg:pyramid-combine" in line


def test_another_distribution_of_the_old_name_does_not_hide_the_error(
    old_ini: list[int], tmp_path: Path
) -> None:
    (tmp_path / "packages" / "combine-1.0.dist-info").mkdir(parents=True)
    metadata = "Metadata-Version: 2.1\nName: combine\nVersion: 1.0\n"
    (tmp_path / "packages" / "combine-1.0.dist-info" / "METADATA").write_text(metadata)
    done = process("migrate", tmp_path, tmp_path / "packages")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "write egg:pyramid-combine" in line


def test_another_missing_distribution_is_named(tmp_path: Path) -> None:
    (tmp_path / "old.ini").write_text("[app:main]\nuse = egg:shop-of-ours\n")
    done = process("migrate", tmp_path, tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith(
        "old.ini, line 2: egg:shop-of-ours is not installed. Install it, or name another distribution."
    )
