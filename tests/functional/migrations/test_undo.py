"""Tests that an older checkout undoes a revision without its file, as the rollback needs.

Here this checkout is the older one, and a copy with one or two more revisions is the newer one.
test_previous_release.py tests the newest release on the schema of this checkout.
"""

from __future__ import annotations

import io
import logging
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from alembic.config import CommandLine, Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy.exc import SQLAlchemyError

from combine_core.database.revisions import (
    UnknownHistoryError,
    head_revision,
    migrations_folder,
    unknown_ancestry,
)
from combine_core.database.undo import CannotUndoError, render
from combine_core.settings.database_url import parse_database_url
from tests.conftest import MakeDatabase

ROOT = Path(__file__).parents[3]
HEAD = head_revision()

# Changes that a newer release might make, with characters that drivers and SQLAlchemy read as
# parameters.
ADDED = f'''"""A colour for each project.

Revision ID: new1
"""

import sqlalchemy as sa
from alembic import op

revision = "new1"
down_revision = {HEAD!r}


def upgrade():
    op.add_column("projects", sa.Column("colour", sa.Text(), nullable=True))
    op.create_check_constraint(op.f("ck_projects_colour"), "projects", "colour NOT LIKE '%(x)s:y%'")


def downgrade():
    op.execute("""
        DO $$ BEGIN
            IF EXISTS (SELECT FROM projects WHERE colour LIKE '%s:last%' AND 7 % 2 = 1) THEN
                RAISE EXCEPTION 'somebody wants to keep 100%% of the colours';
            END IF;
        END $$
    """)
    op.drop_constraint(op.f("ck_projects_colour"), "projects")
    op.drop_column("projects", "colour")
'''
SECOND = '''"""A table of colours.

Revision ID: new2
"""

import sqlalchemy as sa
from alembic import op

revision = "new2"
down_revision = "new1"


def upgrade():
    op.create_table("colours", sa.Column("name", sa.Text(), primary_key=True))


def downgrade():
    op.drop_table("colours")
'''


class Version:
    """A checkout, and alembic in it.

    The versions differ only in their revisions, so alembic runs in this process, which saves
    starting one. `process` calls it like an operator, with the ini file.
    """

    def __init__(self, revisions: Path, url: str) -> None:
        self._revisions = revisions
        self._url = url

    def run(self, *words: str) -> tuple[int, str]:
        """Return the exit status and the complete output of a command."""
        output = io.StringIO()
        config = Config(stdout=output)
        config.set_main_option("script_location", str(self._revisions).replace("%", "%%"))
        config.attributes["database_url"] = parse_database_url(self._url).get_secret_value()
        command = CommandLine()
        alembic, handler = logging.getLogger("alembic"), logging.StreamHandler(output)
        level = alembic.level
        alembic.setLevel(logging.INFO)
        logging.getLogger().addHandler(handler)
        try:
            with redirect_stderr(output), redirect_stdout(output):
                command.run_cmd(config, command.parser.parse_args(words))
        except (SystemExit, SQLAlchemyError) as error:
            return 1, f"{output.getvalue()}{error}"
        finally:
            logging.getLogger().removeHandler(handler)
            alembic.setLevel(level)
        return 0, output.getvalue()

    def alembic(self, *words: str) -> str:
        code, output = self.run(*words)
        assert code == 0, output
        return output

    def process(self, *words: str) -> tuple[int, str]:
        """Do the same in a process in this checkout, whose ini file names its own revisions."""
        assert self._revisions == migrations_folder()
        done = subprocess.run(
            [sys.executable, "-c", "from alembic.config import main; main()", *words],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "ALEMBIC_CONFIG": "production.ini",
                "ENVIRONMENT": "test",
                "DATABASE_URL": self._url,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
        )
        return done.returncode, done.stdout


@pytest.fixture
def url(make_database: MakeDatabase) -> str:
    """The URL of a migrated database with a row of the older version."""
    url = make_database()
    _execute(url, "INSERT INTO projects (id, slug, name) VALUES (gen_random_uuid(), 'a', 'A %s')")
    return url


@pytest.fixture
def older(url: str) -> Version:
    return Version(migrations_folder(), url)


@pytest.fixture
def newer(url: str, tmp_path: Path) -> Version:
    folder = tmp_path / "newer"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(migrations_folder(), folder, ignore=ignored)
    (folder / "versions" / "new1.py").write_text(ADDED)
    (folder / "versions" / "new2.py").write_text(SECOND)
    return Version(folder, url)


@pytest.mark.slow
def test_the_older_version_undoes_revisions_step_by_step(
    url: str, older: Version, newer: Version
) -> None:
    before = _schema(url)
    assert "-> new2" in newer.alembic("upgrade", "head")
    _execute(url, "UPDATE projects SET colour = 'red'")

    current = older.alembic("current")
    assert "new2 (head)" in current
    assert f"ahead of this code, which knows {HEAD}" in current
    # The service `migrate` of the older version accepts the schema and changes nothing.
    assert "Running" not in older.alembic("upgrade", "head")
    assert _revisions(url) == ["new2"]

    assert "Running downgrade new2 -> new1, A table of colours." in older.alembic("downgrade", "-1")
    assert _one(url, "SELECT to_regclass('colours')") is None
    assert "new1 (head)" in older.alembic("current")
    assert f"Running downgrade new1 -> {HEAD}" in older.alembic("downgrade", "-1")
    assert f"{HEAD} (head)" in older.alembic("current")

    assert _schema(url) == before
    assert _one(url, "SELECT name FROM projects") == "A %s"
    # Upgrade again.
    newer.alembic("upgrade", "head")
    assert _revisions(url) == ["new2"]


@pytest.mark.slow
def test_the_older_version_goes_back_to_a_named_revision(
    url: str, older: Version, newer: Version
) -> None:
    before = _schema(url)
    newer.alembic("upgrade", "head")
    code, output = older.process("downgrade", str(HEAD))
    assert code == 0, output
    assert _schema(url) == before
    assert _revisions(url) == [HEAD]


@pytest.mark.slow
def test_a_failed_undo_changes_nothing(url: str, older: Version, newer: Version) -> None:
    newer.alembic("upgrade", "new1")
    _execute(url, "UPDATE projects SET colour = '%s:last'")
    before = _schema(url)
    code, output = older.process("downgrade", "-1")
    assert code != 0
    assert "somebody wants to keep 100% of the colours" in output
    assert _revisions(url) == ["new1"]
    assert _schema(url) == before
    # It works once the cause is removed.
    _execute(url, "UPDATE projects SET colour = NULL")
    older.alembic("downgrade", "-1")
    assert _revisions(url) == [HEAD]


@pytest.mark.parametrize("words", [("current",), ("upgrade", "head"), ("downgrade", "-1")])
@pytest.mark.slow
def test_an_unknown_history_is_rejected(url: str, older: Version, words: tuple[str, ...]) -> None:
    _execute(url, "UPDATE alembic_version SET version_num = 'feed'")
    before = _schema(url)
    # An operator sees the exit status and the messages of the process.
    code, output = (older.process if words == ("current",) else older.run)(*words)
    assert code != 0
    assert "The database is at revision feed, which this code does not know" in output
    assert "Check out the version that migrated the database" in output
    assert _revisions(url) == ["feed"]
    assert _schema(url) == before


@pytest.mark.slow
def test_the_stored_downgrade_equals_the_applied_one(
    url: str, older: Version, newer: Version
) -> None:
    ours = [one.revision for one in ScriptDirectory(str(migrations_folder())).walk_revisions()]
    assert _stored(url) == set(ours)
    newer.alembic("upgrade", "head")
    assert _stored(url) == {*ours, "new1", "new2"}
    older.alembic("downgrade", "-1")
    assert _stored(url) == {*ours, "new1"}
    # Below the revision that creates the table, the table does not exist, and nothing fails.
    newer.alembic("downgrade", "base")
    assert _one(url, "SELECT to_regclass('schema_undo')") is None
    newer.alembic("upgrade", "head")
    assert _stored(url) == {*ours, "new1", "new2"}


@pytest.mark.parametrize(
    "downgrade",
    [
        pytest.param("op.get_bind().execute(sa.text('SELECT 1')).scalar()", id="reads-data"),
        pytest.param("op.get_bind().connection.cursor()", id="driver"),
        pytest.param(
            "with op.get_context().autocommit_block():\n        op.execute('SELECT 1')",
            id="autocommit",
        ),
        pytest.param("raise NotImplementedError", id="raises"),
        pytest.param("pass", id="nothing"),
    ],
)
def test_a_downgrade_with_other_code_than_sql_is_rejected(
    url: str, newer: Version, tmp_path: Path, downgrade: str
) -> None:
    head, _, _ = ADDED.partition("def downgrade")
    file = tmp_path / "newer" / "versions" / "new1.py"
    file.write_text(f"{head}def downgrade():\n    {downgrade}\n")
    script = ScriptDirectory(str(tmp_path / "newer")).get_revision("new1")
    with pytest.raises(CannotUndoError, match="new1"):
        render(script)
    if downgrade == "pass":  # there is one path from there to the error
        before = _schema(url)
        code, output = newer.run("upgrade", "head")
        assert code != 0
        assert "The downgrade of revision new1 does nothing" in output
        assert _schema(url) == before


@pytest.mark.parametrize(
    "script", list(ScriptDirectory(str(migrations_folder())).walk_revisions()), ids=str
)
def test_each_of_our_downgrades_can_be_stored(script: Script) -> None:
    assert render(script)


def test_the_path_of_downgrades_is_found() -> None:
    parents = {"e": "d", "d": "c", "c": "b", "x": None, "y": "z", "z": "y"}
    assert unknown_ancestry("b", {"a", "b"}, parents) == []
    assert unknown_ancestry("e", {"a", "b"}, parents) == ["e", "d", "c"]
    for lost in ("x", "y", "unheard of"):
        with pytest.raises(UnknownHistoryError, match=lost):
            unknown_ancestry(lost, {"a", "b"}, parents)


def _execute(url: str, statement: str) -> None:
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


def _all(url: str, statement: str) -> list[Any]:
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        rows = cursor.fetchall()
    connection.close()
    return rows


def _one(url: str, statement: str) -> Any:
    ((value,),) = _all(url, statement)
    return value


def _revisions(url: str) -> list[str]:
    return [revision for (revision,) in _all(url, "SELECT version_num FROM alembic_version")]


def _stored(url: str) -> set[str]:
    return {revision for (revision,) in _all(url, "SELECT revision FROM schema_undo")}


def _schema(url: str) -> list[Any]:
    """Return all columns and constraints."""
    return _all(
        url,
        """
        SELECT table_name || '.' || column_name, data_type, is_nullable, column_default
        FROM information_schema.columns WHERE table_schema = 'public'
        UNION ALL
        SELECT conrelid::regclass::text, pg_get_constraintdef(oid), conname, NULL
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        ORDER BY 1, 2, 3, 4
        """,
    )
