"""Tests that every migration can be applied, undone and applied again, and that it matches the models."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from pytest_alembic.tests import (
    test_model_definitions_match_ddl,
    test_single_head_revision,
    test_up_down_consistency,
    test_upgrade,
)
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine

from combine_core.cli.service import message_of
from combine_core.database import migration_lock, revisions
from combine_core.database.migration_lock import ADVISORY_LOCK
from combine_core.database.revisions import (
    head_revision,
    known_revisions,
    migrations_folder,
    newest_of,
    revisions_in,
)
from combine_core.settings.database_url import parse_database_url
from tests.conftest import MakeDatabase

__all__ = [
    "test_model_definitions_match_ddl",
    "test_single_head_revision",
    "test_up_down_consistency",
    "test_upgrade",
]

ROOT = Path(__file__).parents[3]


@pytest.fixture
def empty_database(make_database: MakeDatabase) -> str:
    return make_database(migrated=False)


@pytest.fixture
def alembic_config(empty_database: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.attributes["database_url"] = parse_database_url(empty_database).get_secret_value()
    return config


@pytest.fixture
def alembic_engine(empty_database: str) -> Engine:
    return create_engine(parse_database_url(empty_database).get_secret_value())


@pytest.mark.slow
def test_parallel_migrations_run_one_after_the_other(
    alembic_config: Config, empty_database: str
) -> None:
    """The first holds the lock. The second waits for it instead of failing."""
    first = _alembic(empty_database, "upgrade", "head")
    second = _alembic(empty_database, "upgrade", "head")
    for process in (first, second):
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
    with psycopg2.connect(empty_database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT version_num FROM alembic_version")
        assert cursor.fetchall() == [(head_revision(),)]


@pytest.mark.slow
def test_a_waiting_migration_names_the_lock_holder(
    alembic_config: Config, empty_database: str
) -> None:
    with psycopg2.connect(empty_database, application_name="combine migrate") as first:
        pid = first.info.backend_pid
        with first.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))
        first.commit()
        second = _alembic(empty_database, "upgrade", "head")
        assert second.stdout is not None
        said = ""
        while "Waiting for another migration" not in said:
            said = second.stdout.readline()
            assert said, "the process ended"
        assert f"combine migrate (pid {pid}, idle, query" in said
    first.close()
    output, _ = second.communicate(timeout=60)
    assert second.returncode == 0, output


@pytest.mark.slow
def test_a_lock_timeout_names_the_lock_holder(
    alembic_config: Config, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command.upgrade(alembic_config, "0001")
    monkeypatch.setattr(migration_lock, "LOCK_TIMEOUT_S", 2.0)
    monkeypatch.setattr(migration_lock, "_POLL_INTERVAL_S", 0.02)
    with psycopg2.connect(empty_database, application_name="a report") as other:
        with other.cursor() as cursor:
            cursor.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        pid = other.info.backend_pid
        with pytest.raises(CommandError) as caught:
            command.upgrade(alembic_config, "0002")
    other.close()
    said = str(caught.value)
    assert re.search(rf"a report \(pid {pid}, idle in transaction, query \d+ s old\)", said)
    assert f"SELECT pg_terminate_backend({pid});" in said
    assert message_of(caught.value) == said


def test_a_failed_revision_changes_nothing(alembic_config: Config, empty_database: str) -> None:
    with psycopg2.connect(empty_database) as connection, connection.cursor() as cursor:
        # A table prevents the last revision but one.
        cursor.execute("CREATE TABLE procrastinate_jobs (id int)")
    with pytest.raises(psycopg2.Error):
        command.upgrade(alembic_config, "0002")
    with psycopg2.connect(empty_database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT version_num FROM alembic_version")
        assert cursor.fetchall() == [("0001",)]
        cursor.execute("SELECT to_regclass('procrastinate_workers')")
        assert cursor.fetchone() == (None,)


@pytest.mark.slow
def test_the_commands_of_the_runbook_work(empty_database: str) -> None:
    """The commands are `alembic upgrade head`, `current` and `downgrade -1`, with ALEMBIC_CONFIG and -c."""

    def alembic(*words: str, bare: bool = True) -> str:
        process = _alembic(empty_database, *words, bare=bare)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        return output

    head = head_revision()
    before = ScriptDirectory(str(migrations_folder())).get_revision("head").down_revision
    assert f"-> {head}" in alembic("upgrade", "head")
    assert f"{head} (head)" in alembic("current")
    alembic("downgrade", "-1")
    current = alembic("current", bare=False)
    assert f"{before}" in current
    assert f"{head} (head)" not in current


def test_an_unreachable_database_is_named_without_its_password() -> None:
    process = _alembic("postgresql://combine:canary-password@127.0.0.1:1/combine", "current")
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Connection refused" in output
    assert "canary-password" not in output


def test_a_new_revision_is_created_in_the_checkout(tmp_path: Path) -> None:
    for name in ("alembic", "combine_core", "combine_auth", "combine_health"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=ignored)
    shutil.copy(ROOT / "development.ini", tmp_path)
    versions = tmp_path / "alembic" / "versions"
    before = set(versions.glob("*.py"))
    done = subprocess.run(
        [
            Path(sys.executable).parent / "alembic",
            "-c",
            "development.ini",
            "revision",
            "-m",
            "Size",
        ],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    (made,) = set(versions.glob("*.py")) - before
    assert f'down_revision = "{head_revision()}"' in made.read_text().replace("'", '"')


def _alembic(url: str, *words: str, bare: bool = False) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "ENVIRONMENT": "test",
        "DATABASE_URL": url,
        "COMBINE_CORE_WORKER": "false",
        "COMBINE_AUTH_LOCAL_SIGN_IN": "false",
    }
    command_line = [sys.executable, "-m", "alembic"]
    if bare:
        environment["ALEMBIC_CONFIG"] = "production.ini"
    else:
        command_line += ["-c", "development.ini"]
    return subprocess.Popen(
        [*command_line, *words],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "postgresql://combine:k4Tz9q@127.0.0.1:1/combine",
            "The database cannot be used: DB_REFUSED",
        ),
        (
            "postgresql://127.0.0.1:port/combine",
            "1 setting to fix before the service can start",
        ),
    ],
)
def test_alembic_shows_cause_and_remedy_instead_of_a_traceback(url, message):
    process = _alembic(url, "current")
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert f"FAILED: {message}" in output
    assert "Traceback" not in output
    assert "k4Tz9q" not in output


def test_an_update_of_the_files_does_not_change_the_revisions_of_a_running_process(
    tmp_path, monkeypatch
):
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions" / "a.py").write_text("revision = 'a'\ndown_revision = None\n")
    monkeypatch.setattr(revisions, "migrations_folder", lambda: tmp_path)
    revisions._own_revisions.cache_clear()
    try:
        assert head_revision() == "a"
        (tmp_path / "versions" / "b.py").write_text("revision = 'b'\ndown_revision = 'a'\n")
        assert (head_revision(), known_revisions()) == ("a", {"a"})
    finally:
        revisions._own_revisions.cache_clear()


def test_revisions_are_read_as_alembic_reads_them(tmp_path):
    script = ScriptDirectory(str(migrations_folder()))
    assert head_revision() == script.get_current_head()
    assert known_revisions() == {one.revision for one in script.walk_revisions()}
    for name, before in {
        "a": "down_revision: str | Sequence[str] | None = None  # the first",
        "b": "down_revision = 'a'",
        "c": 'down_revision: Union[str, None] = "a"',
        "d": "down_revision = (\n    'b',\n    'c',\n)",
    }.items():
        head = f'"""Text.\n\nrevision = nothing\n"""\nrevision: str = "{name}"\n'
        (tmp_path / f"{name}.py").write_text(f"{head}{before}\nbranch_labels = None\n")
    found = revisions_in(tmp_path)
    assert found == {"a": set(), "b": {"a"}, "c": {"a"}, "d": {"b", "c"}}
    assert newest_of(found) == "d"
    with pytest.raises(ValueError, match="b, c"):
        newest_of({name: found[name] for name in "abc"})
