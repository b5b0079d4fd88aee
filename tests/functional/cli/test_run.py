"""Tests ``combine run``: standard input, JSON output, duplicate texts, and Ctrl-C."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.conftest import MakeDatabase
from tests.functional.cli.conftest import INI, ROOT, Combine
from tests.functional.conftest import writes_brief
from tests.vendor_server import VendorServer, hang

TEXT = "We decided to replace the seal by Friday.\n"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    file = tmp_path / "notes.md"
    file.write_text(TEXT)
    return file


def rows(url: str, query: str) -> list[Any]:
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return [row[0] for row in cursor.fetchall()]
    finally:
        connection.close()


def test_a_source_is_read_from_standard_input(
    combine: Combine, make_database: MakeDatabase
) -> None:
    url = make_database()
    words = ("run", "-c", INI, "brief", "-")
    done = combine(*words, database_url=url, stdin=TEXT.encode())
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("# Brief: stdin.md\n")
    table = b"Item,Fee\nDoor,900 EUR\n"
    named = combine(*words, "--name", "fees.csv", database_url=url, stdin=table)
    assert named.exit_code == 0, named.stderr
    assert rows(url, "SELECT name FROM sources ORDER BY id") == ["stdin.md", "fees.csv"]
    assert rows(url, "SELECT media_type FROM sources ORDER BY id") == ["text/markdown", "text/csv"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-", "-"), "pass - only once"),
        (("NOTES", "--name", "a.md"), "pass - as one of the files"),
        (("-", "--name", "a.exe"), "standard input: "),
    ],
)
def test_invalid_standard_input_is_rejected(
    combine: Combine, notes: Path, words: tuple[str, ...], said: str
) -> None:
    given = [str(notes) if word == "NOTES" else word for word in words]
    done = combine("run", "-c", INI, "brief", *given, database_url="postgresql://x@y/z", stdin=b"")
    assert done.exit_code != 0
    assert said in done.stderr


def test_the_output_is_one_json_object(
    combine: Combine, make_database: MakeDatabase, notes: Path
) -> None:
    url = make_database()
    done = combine("run", "-c", INI, "brief", str(notes), "--json", database_url=url)
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["run"]["state"] == "succeeded"
    assert result["run"]["usage"]["cost"] == "0.000000"
    [source] = result["sources"]
    assert source["sha256"] == hashlib.sha256(TEXT.encode()).hexdigest()
    assert (source["name"], source["reused"]) == ("notes.md", False)
    assert result["run"]["sources"] == [source["id"]]
    [document] = result["documents"]
    assert document["id"] == result["run"]["documents"][0]["id"]
    assert document["content"]["decisions"][0]["text"] == TEXT.strip()
    assert document["markdown"].startswith("# Brief: notes.md\n")


def test_the_same_text_is_stored_once_in_a_project(
    combine: Combine, make_database: MakeDatabase, notes: Path
) -> None:
    url = make_database()
    copy = notes.with_name("copy.md")
    copy.write_text(TEXT)
    words = ("run", "-c", INI, "brief", "--json")
    first = combine(*words, str(notes), database_url=url)
    assert "already" not in first.stderr
    second = combine(*words, str(copy), database_url=url)
    assert second.exit_code == 0, second.stderr
    [source] = json.loads(first.stdout)["sources"]
    assert f"copy.md: the project has this text already, as notes.md ({source['id']})" in (
        second.stderr
    )
    assert json.loads(second.stdout)["sources"] == [{**source, "reused": True}]
    # A text given twice in one command is stored once. Another project stores its own copy.
    both = (str(notes), str(copy))
    other = combine(*words, *both, "--project", "Other", database_url=url)
    assert [one["name"] for one in json.loads(other.stdout)["sources"]] == ["notes.md"]
    assert rows(url, "SELECT count(*) FROM sources") == [2]


def test_a_failed_run_is_reported_as_json(
    combine: Combine, make_database: MakeDatabase, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with VendorServer() as vendor:
        monkeypatch.setenv("OPENAI_BASE_URL", vendor.openai_url)
        words = ("run", "-c", INI, "brief", str(notes), "--model", "openai/m", "--json")
        done = combine(*words, database_url=make_database())
    assert done.exit_code == 1
    result = json.loads(done.stdout)
    assert (result["run"]["state"], result["documents"]) == ("failed", [])
    assert result["run"]["usage"]["failed_calls"] >= 1
    assert "The run failed: " in done.stderr


@contextmanager
def running(url: str, vendor: VendorServer, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start ``combine run`` in a process that is waiting for the model."""
    process = subprocess.Popen(
        [Path(sys.executable).parent / "combine", "run", "-c", INI, "brief", *words],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "DATABASE_URL": url,
            "OPENAI_BASE_URL": vendor.openai_url,
            "OPENAI_API_KEY": "sk-test",
            "DEFAULT_MODEL": "openai/m",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        vendor.wait_for(1, timeout=60)
        yield process
    finally:
        process.kill()
        process.communicate()


def interrupt(process: subprocess.Popen[str]) -> str:
    """Send Ctrl-C and return the new output."""
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    return next(line for line in process.stderr if "continues" in line)


@pytest.mark.slow
def test_ctrl_c_shows_the_run_and_a_second_one_cancels_it(
    make_database: MakeDatabase, notes: Path
) -> None:
    url = make_database()
    with VendorServer() as vendor:
        vendor.always(hang())
        with running(url, vendor, str(notes), "--json") as process:
            said = interrupt(process)
            [run_id] = rows(url, "SELECT id::text FROM runs")
            assert f"The run {run_id} continues." in said
            assert "Press Ctrl-C again to cancel it" in said
            assert f"http://localhost:8000/runs/{run_id}" in said
            assert rows(url, "SELECT state FROM runs") == ["running"]
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate()
        assert process.returncode == 130
    assert f"The run {run_id} is cancelled." in stderr
    assert "Traceback" not in stderr
    assert json.loads(stdout)["run"]["state"] == "cancelled"
    assert rows(url, "SELECT state FROM runs") == ["cancelled"]


@pytest.mark.slow
def test_a_run_continues_after_one_ctrl_c(make_database: MakeDatabase, notes: Path) -> None:
    answers = threading.Event()
    with VendorServer() as vendor:
        vendor.always(hang(answers, writes_brief(1, TEXT.strip())))
        with running(make_database(), vendor, str(notes)) as process:
            interrupt(process)
            answers.set()
            stdout, stderr = process.communicate()
        assert process.returncode == 0, stderr
    assert "- We decided to replace the seal by Friday." in stdout
