"""Tests the command line as a process: its output streams and its exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest

from combine_core.database.revisions import head_revision
from tests.conftest import MakeDatabase
from tests.functional.cli.conftest import INI, ROOT, Combine

TEXT = "We decided to replace the seal by Friday.\n"


def process(*words: str, database_url: str) -> subprocess.CompletedProcess[str]:
    """Run ``combine`` as the shell does."""
    return subprocess.run(
        [Path(sys.executable).parent / "combine", *words],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "DATABASE_URL": database_url,
        },
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_a_run_on_files_prints_only_the_document(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    (tmp_path / "notes.md").write_text(TEXT)
    done = process(
        "run", "-c", INI, "brief", str(tmp_path / "notes.md"), database_url=make_database()
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "# Brief: notes.md\n\n1 of 1 statement (100 %) is supported by the quotes.\n\n## Summary\n"
    )
    assert "- We decided to replace the seal by Friday. [1]\n" in done.stdout


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("notes.exe", b"x", "cannot be read"),
        ("notes.md", bytes(range(256)) * 9, "UTF-8"),
        ("notes.md", b"  ", "empty"),
        ("notes.md", b"a\0b", "NUL"),
    ],
)
def test_an_unreadable_file_is_named(
    combine: Combine,
    make_database: MakeDatabase,
    tmp_path: Path,
    name: str,
    data: bytes,
    words: str,
) -> None:
    (tmp_path / name).write_bytes(data)
    done = combine("run", "-c", INI, "brief", str(tmp_path / name), database_url=make_database())
    assert done.exit_code == 1
    assert words in done.stderr
    assert done.stdout == ""


def test_an_unknown_line_and_an_unknown_model_are_named(
    combine: Combine, make_database: MakeDatabase, tmp_path: Path
) -> None:
    (tmp_path / "notes.md").write_text(TEXT)
    url, file = make_database(), str(tmp_path / "notes.md")
    unknown_line = combine("run", "-c", INI, "nonsense", file, database_url=url)
    assert unknown_line.exit_code == 1
    assert "There are: brief" in unknown_line.stderr
    model = "anthropic/claude-sonnet-4-5"
    no_key = combine("run", "-c", INI, "brief", file, "--model", model, database_url=url)
    assert no_key.exit_code == 1
    assert "ANTHROPIC_API_KEY" in no_key.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("run", "-c", INI, "brief", "NOTES"),
        ("migrate", "-c", INI),
        ("user", "list", "-c", INI),
    ],
    ids=["run", "migrate", "of an add-on"],
)
def test_an_unreachable_database_is_diagnosed(
    combine: Combine, words: tuple[str, ...], tmp_path: Path
) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text(TEXT)
    url = "postgresql://combine:canary-password@127.0.0.1:1/combine"
    done = combine(*[str(notes) if one == "NOTES" else one for one in words], database_url=url)
    assert done.exit_code == 1
    assert "The database cannot be used: DB_REFUSED: Nothing listens" in done.stderr
    assert "1. Verify database is running." in done.stderr
    assert "docker-compose ps db" in done.stderr
    assert "canary" not in done.stderr + done.stdout


def test_the_probe_finds_causes_that_the_driver_hides(
    combine: Combine, make_database: MakeDatabase
) -> None:
    """The probe reads the error code, so the language of the server does not matter."""
    missing = make_database() + "_gone"
    done = combine("migrate", "-c", INI, database_url=missing)
    assert done.exit_code == 1
    assert "DB_MISSING" in done.stderr
    assert "SQLSTATE 3D000" in done.stderr


def test_migrate_names_the_database(combine: Combine, make_database: MakeDatabase) -> None:
    url = make_database(migrated=False)
    done = combine("migrate", "-c", INI, database_url=url)
    assert done.stderr.splitlines()[-1] == f"The database is at revision {head_revision()}."
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO schema_undo VALUES ('ff99', %s, 'x', '')", (head_revision(),))
        cursor.execute("UPDATE alembic_version SET version_num = 'ff99'")
    connection.close()
    done = combine("migrate", "-c", INI, database_url=url)
    assert done.exit_code == 0, done.stderr
    said = "The database is at revision ff99, ahead of this code, which ends at"
    assert done.stderr.splitlines()[-1] == f"{said} {head_revision()}. Nothing was changed."


def test_missing_tables_are_reported_with_the_remedy(
    combine: Combine, make_database: MakeDatabase, tmp_path: Path
) -> None:
    (tmp_path / "notes.md").write_text(TEXT)
    url = make_database(migrated=False)
    done = combine("run", "-c", INI, "brief", str(tmp_path / "notes.md"), database_url=url)
    assert (done.exit_code, "combine migrate" in done.stderr) == (1, True)
    migrated = combine("migrate", "-c", INI, database_url=url)
    assert migrated.exit_code == 0, migrated.stderr
    assert combine("token", "create", "-c", INI, "--user", "a@b.c", database_url=url).exit_code == 0


def test_commands_of_add_ons_are_mounted(combine: Combine, make_database: MakeDatabase) -> None:
    probe = combine("probe", "http://127.0.0.1:1/health")
    assert (probe.exit_code, "refused" in probe.stdout + probe.stderr) == (1, True)
    doctor = combine("doctor", "-c", INI, database_url=make_database(migrated=False))
    assert doctor.exit_code == 1
    assert "alembic upgrade head" in doctor.stdout.splitlines()[0]


def test_the_doctor_names_missing_indexes(combine: Combine, make_database: MakeDatabase) -> None:
    url = make_database()
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers DEFAULT VALUES")
        cursor.execute("CREATE TABLE lone (id int PRIMARY KEY, one int REFERENCES lone)")
    connection.close()
    done = combine("doctor", "-c", INI, database_url=url)
    assert done.exit_code == 1
    first = done.stdout.splitlines()[0]
    assert first.startswith("failing: indexes: foreign_keys_without_index. Create the indexes")
    assert "Foreign keys without an index: lone.lone_one_fkey." in done.stdout
    assert "CREATE INDEX CONCURRENTLY ON lone (one)" in done.stdout
    # The checks that decide readiness are healthy.
    assert combine("doctor", "--ready", "-c", INI, database_url=url).exit_code == 0
