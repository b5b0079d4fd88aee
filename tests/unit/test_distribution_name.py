"""Tests that the distribution is always called pyramid-combine: "combine" on PyPI is another project."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import distribution, entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Forms in which the distribution was installed or required under its old name.
OLD_FORMS = re.compile(
    r"""pip\ install\ (--?\S+\ )*["']?combine(?![-\w/.])  # pip install combine, 'combine[all]'
      | egg:combine(?![-\w])
      | ["']combine\[\w+\]
      | ^\s*["']combine["'],?\s*\#                         # a dependency with its comment
      | dependencies\ =\ \[["']combine["']
    """,
    re.VERBOSE | re.MULTILINE,
)

# The history may contain the old name. These tests contain the forms.
HOLD_OLD_FORMS = {
    "CHANGES.md",
    "tests/functional/cli/test_old_ini.py",
    "tests/unit/test_distribution_name.py",
}


def tracked_texts() -> list[tuple[str, str]]:
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    found = []
    for name in filter(None, names):
        path = ROOT / name
        if path.is_file() and name not in HOLD_OLD_FORMS:
            found.append((name, path.read_bytes().decode(errors="replace")))
    return found


@pytest.mark.parametrize(
    "text",
    [
        "pip install combine",
        "pip install 'combine[all]'",
        'pip install --quiet "combine[core]"',
        "use = egg:combine",
        "use = egg:combine#waitress",
        'dependencies = ["combine", "redis"]',
        '    "combine",      # brings combine_health',
    ],
)
def test_the_old_forms_are_recognized(text: str) -> None:
    assert OLD_FORMS.search(text)


def test_nothing_names_the_old_distribution() -> None:
    found = [
        f"{name}: {match.group()}"
        for name, text in tracked_texts()
        if (match := OLD_FORMS.search(text))
    ]
    assert found == []


def test_no_entry_point_is_defined_twice() -> None:
    for group in ("combine.commands", "combine.models", "combine.settings"):
        names = [point.name for point in entry_points(group=group)]
        assert len(names) == len(set(names)), group


def test_the_metadata_names_the_licence() -> None:
    metadata = distribution("pyramid-combine").metadata
    assert metadata["License-Expression"] == "MIT" or metadata["License"] == "MIT"
    assert "LICENSE" in metadata.get_all("License-File")
