"""Tests that every public module can be imported first."""

from __future__ import annotations

import subprocess
import sys

# The modules that CONTRIBUTING.md names, and related ones.
MODULES = [
    "combine_core.access",
    "combine_core.database",
    "combine_core.llm",
    "combine_core.observe",
    "combine_core.settings",
    "combine_core.settings.config_option",
    "combine_core.users",
    "combine_core.web.endpoints",
    "combine_core.web.problems",
]
# Forget our modules between imports, so that one process is enough.
PROGRAM = """
import importlib, sys
for name in sys.argv[1:]:
    for known in [one for one in sys.modules if one.partition(".")[0] == "combine_core"]:
        del sys.modules[known]
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(name, error)
"""


def test_each_module_can_be_imported_first() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, *MODULES],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
