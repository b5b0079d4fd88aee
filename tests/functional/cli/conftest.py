"""Fixtures to run the command line in this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from combine_core.cli import main

ROOT = Path(__file__).parents[3]
INI = str(ROOT / "development.ini")

Combine = Callable[..., Result]


@pytest.fixture
def combine(monkeypatch: pytest.MonkeyPatch) -> Combine:
    """``combine("migrate", "-c", INI, database_url=url)``: run it in this process, without a new import."""
    monkeypatch.chdir(ROOT)
    for name in list(os.environ):
        if name not in ("PATH", "HOME"):
            monkeypatch.delenv(name)

    def run(*words: str, database_url: str = "", stdin: bytes | None = None) -> Result:
        done = CliRunner(env={"DATABASE_URL": database_url}).invoke(main, words, stdin)
        # A process would print a traceback for these errors.
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return done

    return run
