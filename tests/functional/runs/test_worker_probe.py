"""Tests that ``combine probe worker`` finds a frozen, hanging or missing worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from combine_core import heartbeat
from combine_core.heartbeat import SILENT_AFTER_S, STUCK_AFTER_S, Heartbeat, probe, read_pulses
from combine_core.llm import ProviderRegistry
from combine_core.runs import worker as worker_module
from combine_core.runs.worker import Worker, make_worker
from combine_core.settings.core import CoreSettings
from combine_health.cli import main
from tests.postgres_cluster import wait_for

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60
TO_BE_REMOVED = "Remove it"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return heartbeat.default_folder()


@contextmanager
def beating(folder: Path) -> Iterator[Heartbeat]:
    beats = Heartbeat(folder)
    try:
        yield beats
    finally:
        beats.close()


def test_a_frozen_worker_is_reported_with_its_process_id(
    database_url: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ini = tmp_path / "production.ini"
    ini.write_text((ROOT / "production.ini").read_text(encoding="utf-8"), encoding="utf-8")
    worker = subprocess.Popen(
        [str(Path(sys.executable).with_name("combine")), "worker", "-c", str(ini)],
        env={
            "PATH": os.environ["PATH"],
            "ENVIRONMENT": "test",
            "DATABASE_URL": database_url,
            "TMPDIR": str(tmp_path),
        },
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: len(read_pulses(folder)) == 1)
        first = read_pulses(folder)[0].beat
        wait_for(lambda: read_pulses(folder)[0].beat > first)
        with beating(folder):
            assert main(["probe", "worker"]) == 0
            names = ", ".join(map(str, sorted([os.getpid(), worker.pid])))
            assert f"working: worker {names} (last" in capsys.readouterr().out

            worker.send_signal(signal.SIGSTOP)
            os.waitpid(worker.pid, os.WUNTRACED)
            last = next(each for each in read_pulses(folder) if each.pid == worker.pid).beat
        ok, line = probe(now=last + SILENT_AFTER_S + 1)
        assert not ok
        assert line.startswith(
            f"worker {worker.pid} has had no heartbeat for 16 s: it is frozen, or its loop hangs."
        )

        worker.send_signal(signal.SIGCONT)
        wait_for(lambda: read_pulses(folder)[0].beat > last)
        worker.terminate()
        worker.wait(PATIENCE_S)
        assert list(folder.iterdir()) == []
    finally:
        worker.kill()
        worker.wait()


@pytest.fixture
def worker(
    settings: CoreSettings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Worker]:
    monkeypatch.setattr(worker_module, "SWEEP_S", 0.05)
    monkeypatch.setattr(worker_module, "BEAT_S", 0.05)
    with beating(folder) as beats:
        made = make_worker(settings, ProviderRegistry(), grace=0.2, heartbeat=beats)
        thread = made.start()
        yield made
        made.stop()
        thread.join(PATIENCE_S)


def test_a_worker_with_a_hanging_loop_is_reported(
    worker: Worker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read_pulses(folder)[0].beat
    wait_for(lambda: read_pulses(folder)[0].beat > first)
    may_go_on = threading.Event()
    assert worker._loop is not None
    worker._loop.call_soon_threadsafe(may_go_on.wait)
    try:
        with monkeypatch.context() as impatient:
            impatient.setattr(heartbeat, "SILENT_AFTER_S", 0.5)
            wait_for(lambda: "its loop hangs" in probe()[1])
    finally:
        may_go_on.set()
    wait_for(lambda: probe()[0])


def test_a_worker_with_a_hanging_sweep_is_reported(
    worker: Worker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read_pulses(folder)[0].active
    wait_for(lambda: read_pulses(folder)[0].active > first)
    may_go_on = threading.Event()
    monkeypatch.setattr(worker, "_adopt", may_go_on.wait)
    try:
        monkeypatch.setattr(heartbeat, "STUCK_AFTER_S", 0.5)
        wait_for(lambda: "has not looked for work" in probe()[1])
    finally:
        may_go_on.set()


def test_each_of_three_workers_is_checked(folder: Path) -> None:
    now = time.monotonic()
    with beating(folder) as one, beating(folder) as two, beating(folder):
        assert probe(folder, now)[0]
        one.beat(now - 1, now - 1)
        two.beat(now, now - STUCK_AFTER_S - 5)

        ok, line = probe(folder, now)

    assert not ok
    assert "has not looked for work for 65 s" in line


def test_a_missing_worker_is_reported_with_the_remedy(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probe", "worker"]) == 1
    assert capsys.readouterr().out == (
        f"no worker of this user runs here ({folder}). Start one: combine worker\n"
    )


def test_the_file_of_a_killed_worker_is_removed(folder: Path) -> None:
    code = (
        "import sys, os, signal; from pathlib import Path;"
        "from combine_core.heartbeat import Heartbeat;"
        "Heartbeat(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    (left,) = folder.iterdir()

    with beating(folder):
        assert not left.exists()
    assert not probe(folder)[0]


def test_other_files_in_the_folder_are_ignored(folder: Path) -> None:
    with beating(folder):
        os.mkfifo(folder / "fifo")
        (folder / "link").symlink_to("/dev/zero")
        (folder / "folder").mkdir()

        assert probe(folder)[0]


@pytest.mark.parametrize("what", ["open to all", "a file", "a link", "of another user"])
def test_a_folder_writable_by_others_is_not_used(
    folder: Path, what: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if what == "a file":
        folder.touch()
    elif what == "a link":
        folder.with_name("elsewhere").mkdir(mode=0o700)
        folder.symlink_to(folder.with_name("elsewhere"))
    else:
        folder.mkdir()
        folder.chmod(0o777 if what == "open to all" else 0o700)
        if what == "of another user":
            user = os.geteuid() + 1
            monkeypatch.setattr(heartbeat.os, "geteuid", lambda: user)

    with heartbeat.open_heartbeat(folder) as beats:
        assert beats is None
    assert "combine probe worker cannot see this worker" in caplog.text
    ok, line = probe(folder)
    assert not ok
    assert TO_BE_REMOVED in line
