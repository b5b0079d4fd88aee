"""Tests that `combine init` writes either all its files or none, and reports the reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NAMES = ["production.ini", "development.ini", ".env.example"]
COMBINE = Path(sys.executable).parent / "combine"


def init(
    folder: str | Path, cwd: Path, *through: str
) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run the command. Return its result and the names of the files in ``cwd``."""
    done = subprocess.run(
        [*through, str(COMBINE), "init", str(folder)],
        cwd=cwd,
        # In the test of a file size limit, Python must not write bytecode.
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    return done, {path.name for path in cwd.iterdir()}


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Return the only line of the error."""
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("folder", [".", "new", "new/deeper"])
def test_init_writes_the_files_and_names_the_next_step(tmp_path: Path, folder: str) -> None:
    done, _ = init(folder, tmp_path)
    assert done.returncode == 0, done.stderr
    for name in NAMES:
        written = tmp_path / folder / name
        assert written.read_bytes() == (ROOT / name).read_bytes()
        assert written.is_file()
        assert not written.is_symlink()
    assert len(list((tmp_path / folder).iterdir())) == len(NAMES)
    for step in (
        "cp .env.example .env && chmod 600 .env",
        "combine settings -c production.ini",
        "combine migrate -c production.ini",
        "pserve production.ini",
        "combine worker -c production.ini",
    ):
        assert f"\n  {step}  " in done.stdout
    assert ("Next:" in done.stdout) == (folder == ".")


@pytest.mark.parametrize(
    "there", [["production.ini"], [".env.example", "development.ini"], NAMES], ids=len
)
def test_init_overwrites_nothing(tmp_path: Path, there: list[str]) -> None:
    for name in there:
        (tmp_path / name).write_text("mine")
    done, names = init(".", tmp_path)
    line = refused(done)
    assert all(name in line for name in there)
    assert not any(name in line for name in NAMES if name not in there)
    assert names == set(there)
    assert {(tmp_path / name).read_text() for name in there} == {"mine"}


def test_a_dangling_link_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".env.example").symlink_to("elsewhere")
    done, names = init(".", tmp_path)
    assert ".env.example" in refused(done)
    assert names == {".env.example"}


@pytest.mark.parametrize("folder", ["notes.md", "notes.md/below/it"])
def test_a_file_instead_of_the_folder_is_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "notes.md").write_text("mine")
    done, names = init(folder, tmp_path)
    assert "notes.md is not a folder." in refused(done)
    assert names == {"notes.md"}


@pytest.mark.parametrize("folder", [".", "new"])
def test_a_read_only_folder_is_named(tmp_path: Path, folder: str) -> None:
    tmp_path.chmod(0o555)
    # Root may write to every folder. Without these capabilities, root has the rights of any user.
    as_anybody = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    try:
        done, names = init(folder, tmp_path, *(as_anybody if os.geteuid() == 0 else []))
    finally:
        tmp_path.chmod(0o755)
    line = refused(done)
    assert f"{folder} cannot be written: Permission denied" in line
    assert "another folder" in line
    assert names == set()


def test_files_are_removed_after_a_failure(tmp_path: Path) -> None:
    sizes = [(ROOT / name).stat().st_size for name in NAMES]
    # The first files are smaller than the last one, so they are written before it fails.
    limit = max(sizes[:-1])
    assert limit < sizes[-1]
    done, names = init(".", tmp_path, "prlimit", f"--fsize={limit}")
    assert "cannot be written: File too large. Nothing was written." in refused(done)
    assert names == set()
