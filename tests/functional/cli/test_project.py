"""Tests ``combine project``, which moves a project to another database."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import psycopg2

from tests.conftest import MakeDatabase
from tests.functional.cli.conftest import INI, Combine

OWNER = "carol@example.org"


def rows(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.startswith("rows/")}


def test_a_project_moves_to_another_database(
    make_database: MakeDatabase, combine: Combine, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text("We decided to replace the seal by Friday.\n")
    here, there = make_database(), make_database()
    assert combine("run", "-c", INI, "brief", str(notes), database_url=here).exit_code == 0
    with psycopg2.connect(here) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT slug FROM projects")
        [(slug,)] = cursor.fetchall()
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    done = combine("project", "export", "-c", INI, slug, str(first), database_url=here)
    assert done.exit_code == 0, done.output
    assert "documents: 1," in done.output
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    again = combine("project", "export", "-c", INI, slug, str(first), database_url=here)
    assert again.exit_code == 1
    assert "already exists. Choose another name" in again.output

    words = ("project", "import", "-c", INI, str(first), "--owner", OWNER)
    assert combine("migrate", "-c", INI, database_url=there).exit_code == 0
    unknown = combine(*words, database_url=there)
    assert unknown.exit_code == 1
    assert f"Add one: combine user create {OWNER}" in unknown.output
    combine("user", "create", "-c", INI, OWNER, database_url=there)
    done = combine(*words, "--slug", "moved", database_url=there)
    assert done.exit_code == 0, done.output
    assert "Imported moved with the original ids" in done.output
    taken = combine(*words, "--slug", "moved", database_url=there)
    assert taken.exit_code == 1
    assert "Another project has the slug moved." in taken.output
    done = combine("project", "export", "-c", INI, "moved", str(second), database_url=there)
    assert done.exit_code == 0, done.output
    assert rows(second) == rows(first)

    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(first.read_bytes()[:-100])
    refused = combine(*words[:4], str(damaged), "--owner", OWNER, database_url=there)
    assert refused.exit_code == 1
    assert "It is not a ZIP file, or it is damaged." in refused.output
