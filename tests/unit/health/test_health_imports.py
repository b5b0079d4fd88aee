"""combine_health stands alone: pyramid, pluggy, zope.interface, the standard library."""

import ast
import sys
from pathlib import Path

import pytest

import combine_health

PACKAGE = Path(combine_health.__file__).parent
ALLOWED = {"pyramid", "pluggy", "zope", "combine_health", *sys.stdlib_module_names}
OPTIONAL = {  # by path below the package: what it may import beyond that
    "waitress.py": {"waitress"},
    "channel.py": {"waitress"},
    "metrics.py": {"prometheus_client"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module is not None
            found.add(node.module.partition(".")[0])
    return found


def test_the_modules_are_found():
    assert len(MODULES) > 10


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_imports_only_what_every_installation_has(path):
    allowed = ALLOWED | OPTIONAL.get(str(path.relative_to(PACKAGE)), set())
    assert imported(path) <= allowed


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_reads_in_five_minutes(path):
    assert len(path.read_text().splitlines()) < 400
