"""Tests that the list of commands is correct and loads no command."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

from combine_core.cli import DISTRIBUTION, GROUP, SUMMARIES

COMBINE = Path(sys.executable).with_name("combine")
HEAVY = {
    "alembic",
    "combine_auth",
    "procrastinate",
    "pydantic",
    "pyramid",
    "requests",
    "sqlalchemy",
}


def test_each_of_our_commands_has_a_summary():
    ours = {one.name for one in entry_points(group=GROUP) if one.dist.name == DISTRIBUTION}
    assert SUMMARIES.keys() == ours
    # click would cut longer summaries.
    assert all(len(summary) <= 60 and summary.endswith(".") for summary in SUMMARIES.values())


def test_the_list_of_commands_loads_no_command():
    command = [sys.executable, "-X", "importtime", str(COMBINE), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert all(summary in done.stdout for summary in SUMMARIES.values())
    loaded = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()
    }
    assert "click" in loaded
    assert loaded & HEAVY == set()
