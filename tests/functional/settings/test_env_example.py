"""Tests that .env.example is complete, and that a shell and the service parse it alike."""

import re
import secrets
import subprocess
from pathlib import Path

import pytest

from combine_core.cli.settings import DISTRIBUTION
from combine_core.settings import check_all
from combine_core.settings.addons import installed
from combine_core.settings.sources import read_env_file

EXAMPLE = Path(__file__).parents[3] / ".env.example"
OF_COMPOSE = {"POSTGRES_PASSWORD"}


@pytest.fixture
def filled(tmp_path):
    text = EXAMPLE.read_text(encoding="utf-8")
    for name in ("POSTGRES_PASSWORD", "SECRET_KEY"):
        text, count = re.subn(rf"(?m)^{name}=$", f"{name}={secrets.token_hex(32)}", text)
        assert count == 1
    path = tmp_path / ".env"
    path.write_text(text, encoding="utf-8")
    return path


def test_only_two_lines_need_values():
    found = read_env_file(EXAMPLE)
    assert found.problems == found.warnings == ()
    assert found.values == {"POSTGRES_PASSWORD": "", "SECRET_KEY": ""}


def test_every_variable_is_a_setting():
    offered = set(re.findall(r"(?m)^#?([A-Z][A-Z_]+)=", EXAMPLE.read_text(encoding="utf-8")))
    everything = installed(DISTRIBUTION)
    declaring = (*everything.classes, *everything.modules.values())
    known = {d.variable for one in declaring for d in one.declared()}
    assert offered - OF_COMPOSE <= known
    # Every variable with a name of its own is listed.
    assert {name for name in known if not name.startswith("COMBINE_")} <= offered


def test_the_filled_file_starts_a_deployment(filled):
    password = read_env_file(filled).values["POSTGRES_PASSWORD"]
    environ = {
        "ENVIRONMENT": "production",
        "DATABASE_URL": f"postgresql://combine:{password}@db:5432/combine",
    }
    outcome = check_all({}, filled.parent / "production.ini", environ)
    assert outcome.problems == ()
    assert [warning.variable for warning in outcome.warnings] == ["PUBLIC_URL"]


def test_a_shell_reads_the_same_values(filled):
    # This includes the examples in comments.
    text = re.sub(r"(?m)^#([A-Z][A-Z_]+=)", r"\1", filled.read_text(encoding="utf-8"))
    filled.write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["sh", "-c", "set -a; . ./.env; set +a; env -0"],
        cwd=filled.parent,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    shell = dict(entry.split("=", 1) for entry in done.stdout.split("\0") if "=" in entry)
    values = read_env_file(filled).values
    assert len(values) > 15
    assert {name: shell[name] for name in values} == values
