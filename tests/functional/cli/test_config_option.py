"""Tests the selection of the ini file for a command."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from combine_core.cli import main
from combine_core.settings.config_option import config_option


@click.command()
@config_option
def show(ini: str) -> None:
    click.echo(ini)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is empty."""
    monkeypatch.chdir(tmp_path)
    for name in ("ENVIRONMENT", "COMBINE_INI"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


BOTH = ("development.ini", "production.ini")


@pytest.mark.parametrize(
    ("environ", "files", "chosen"),
    [
        ({}, BOTH, "development.ini"),
        ({}, BOTH[1:], "production.ini"),
        ({"ENVIRONMENT": "development"}, BOTH, "development.ini"),
        ({"ENVIRONMENT": "test"}, BOTH, "development.ini"),
        ({"ENVIRONMENT": ""}, BOTH, "development.ini"),
        ({"ENVIRONMENT": "production"}, BOTH, "production.ini"),
        ({"ENVIRONMENT": "Staging "}, BOTH, "production.ini"),
        ({"COMBINE_INI": "other.ini"}, (*BOTH, "other.ini"), "other.ini"),
        (
            {"COMBINE_INI": "other.ini#name", "ENVIRONMENT": "production"},
            ("other.ini",),
            "other.ini#name",
        ),
        ({"COMBINE_INI": ""}, BOTH, "development.ini"),
    ],
)
def test_the_ini_file_is_chosen_and_reported(
    folder: Path, environ: dict[str, str], files: tuple[str, ...], chosen: str
) -> None:
    for name in files:
        (folder / name).touch()
    done = CliRunner().invoke(show, env=environ)
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{chosen}\n", f"Using {chosen}\n")
    # The option decides, so the command reports nothing.
    done = CliRunner().invoke(show, ["-c", files[0]], env=environ)
    assert (done.stdout, done.stderr) == (f"{files[0]}\n", "")


@pytest.mark.parametrize(
    ("words", "environ", "files", "said"),
    [
        ([], {}, (), "There is no development.ini and no production.ini in "),
        ([], {"ENVIRONMENT": "staging"}, BOTH[:1], "There is no production.ini in "),
        ([], {"COMBINE_INI": "gone.ini"}, BOTH, "There is no file gone.ini."),
        (["-c", "gone.ini"], {}, BOTH, "There is no file gone.ini."),
        (["-c", "."], {}, BOTH, "There is no file ."),
    ],
)
@pytest.mark.parametrize("command", ["migrate", "settings", "user list"])
def test_a_missing_ini_file_is_reported_with_the_remedy(
    folder: Path,
    command: str,
    words: list[str],
    environ: dict[str, str],
    files: tuple[str, ...],
    said: str,
) -> None:
    for name in files:
        (folder / name).touch()
    done = CliRunner().invoke(main, [*command.split(), *words], env=environ)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {said}")
    assert "name" in done.stderr.casefold()
    assert done.stdout == ""


def test_the_page_of_settings_needs_no_ini_file() -> None:
    done = CliRunner().invoke(main, ["settings", "--markdown"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("# Configuration")
