"""Fixtures for all tests: one real PostgreSQL server for the run, an empty database for each test.

The first test that needs the server starts it in a new temporary folder. All xdist workers use the
same server, and the last one stops it. The schema is migrated once, into a template. Each xdist
worker clones its database from the template and empties it before each test.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import hypothesis
import psycopg2
import pytest

from combine_core.database.migrations import upgrade
from combine_core.postgres.embedded import EmbeddedPostgres
from combine_core.settings.database_url import parse_database_url

# Every run uses the same examples, so that no run fails by chance. `make soak` searches for new
# ones.
hypothesis.settings.register_profile(
    "suite", max_examples=50, derandomize=True, database=None, deadline=None
)
hypothesis.settings.register_profile("search", max_examples=1000, deadline=None)
hypothesis.settings.load_profile("suite")

_FOLDER = "combine_test_folder"
_TEMPLATE = "combine_template"
_FOLDERS_THAT_SHARE = {"tests/browser", "tests/oauth_clients", "tests/oidc"}


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder of the run in the main process. xdist passes its path to the workers."""
    # pytest-alembic 0.13 adds its tests to tests/conftest.py, which fails with pytest 9. The tests
    # of migrations import them from pytest_alembic.tests instead.
    config.option.pytest_alembic_tests_path = "none"
    # A shell that runs the tests in the background ignores the first two signals for them and their
    # processes, and nohup the third.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if not hasattr(config, "workerinput"):
        folder = Path(tempfile.mkdtemp(prefix="combine-tests-"))
        # PostgreSQL does not run as root. The account that it runs as must be able to enter the
        # folder.
        folder.chmod(0o755)
        config.stash[_folder_key] = folder


def pytest_collection_finish() -> None:
    """Exclude the modules and tests from garbage collection."""
    # Scanning them repeatedly takes a quarter of the processor time of the run.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_configure_node(node: Any) -> None:
    """xdist: pass the folder to a worker."""
    node.workerinput[_FOLDER] = str(node.config.stash[_folder_key])


@pytest.hookimpl(optionalhook=True)  # This hook exists only with xdist.
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Run a file in one process, and also a folder whose files share a slow fixture."""
    from xdist.scheduler import LoadFileScheduling

    class SharedScheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            folder = file.rpartition("/")[0]
            return folder if folder in _FOLDERS_THAT_SHARE else file

    return SharedScheduling(config, log)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server after all workers have ended."""
    folder = config.stash.get(_folder_key, None)
    if folder is not None:
        shutil.rmtree(folder)


_folder_key = pytest.StashKey[Path]()


@pytest.fixture(scope="session")
def run_folder(request: pytest.FixtureRequest) -> Path:
    """A folder that all processes of this test run share."""
    workerinput = getattr(request.config, "workerinput", None)
    return request.config.stash[_folder_key] if workerinput is None else Path(workerinput[_FOLDER])


@pytest.fixture(scope="session")
def postgres_url(run_folder: Path) -> Iterator[str]:
    """The URL of the server of the run, as a superuser. The database in this URL stays empty."""
    with EmbeddedPostgres(run_folder / "postgres", durable=False) as server:
        yield server.start()


@pytest.fixture(scope="session")
def _template(postgres_url: str) -> str:
    """The name of the migrated database that others are cloned from. The first process creates it."""
    with _admin(postgres_url) as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", (_TEMPLATE,))
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_TEMPLATE,))
        if cursor.fetchone() is None:
            # Build it under another name, so that an existing template is always complete.
            building = f"{_TEMPLATE}_building"
            cursor.execute(f"DROP DATABASE IF EXISTS {building}")
            cursor.execute(f"CREATE DATABASE {building}")
            upgrade(parse_database_url(_named(postgres_url, building)).get_secret_value())
            cursor.execute(f"ALTER DATABASE {building} RENAME TO {_TEMPLATE}")
        # Closing the connection releases the lock.
    return _TEMPLATE


@pytest.fixture(scope="session")
def worker_database(postgres_url: str, _template: str, worker_id: str) -> Iterator[str]:
    """The URL of the migrated database of this xdist worker. Tests use ``database_url`` instead."""
    with cloned_database(postgres_url, f"worker_{worker_id}", _template) as url:
        yield url


@pytest.fixture
def database_url(worker_database: str) -> str:
    """The URL (``postgresql://``) of a migrated database without rows."""
    empty_database(worker_database)
    return worker_database


MakeDatabase = Callable[..., str]


@pytest.fixture
def make_database(postgres_url: str, request: pytest.FixtureRequest) -> Iterator[MakeDatabase]:
    """``make_database(migrated=True)``: the URL of another database, dropped after the test."""
    names: list[str] = []

    def make(*, migrated: bool = True) -> str:
        template = request.getfixturevalue("_template") if migrated else "template0"
        name = f"extra_{uuid.uuid4().hex}"
        with _admin(postgres_url) as cursor:
            cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        names.append(name)
        return _named(postgres_url, name)

    yield make
    with _admin(postgres_url) as cursor:
        for name in names:
            cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def cloned_database(postgres_url: str, name: str, template: str) -> Iterator[str]:
    """Clone a database from a template, return its URL, and drop it after the block."""
    with _admin(postgres_url) as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _named(postgres_url, name)
    with _admin(postgres_url) as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _admin(url: str) -> Iterator[Any]:
    """Return a cursor outside transactions, because CREATE DATABASE cannot run in one."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def _named(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


# The keys are URLs. Connecting takes ten times as long as deleting the rows.
_connections: dict[str, Any] = {}


def empty_database(url: str, *, keep: str = "") -> None:
    """Delete all rows except the revision of the schema and those in ``keep``."""
    try:
        _delete_rows(_connections[url], keep)
    except (KeyError, psycopg2.InterfaceError, psycopg2.OperationalError):
        # Connect for the first time, or because a test has ended all connections.
        _connections[url] = connection = psycopg2.connect(url, application_name="empty_database")
        connection.autocommit = True
        _delete_rows(connection, keep)


def _delete_rows(connection: Any, keep: str) -> None:
    with connection.cursor() as cursor:
        # This is much faster than TRUNCATE and does not wait for readers.
        cursor.execute("SET session_replication_role = replica; SET lock_timeout = '10s'")
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        kept = re.compile(f"alembic_|schema_|{keep or '$'}")
        tables = [name for (name,) in cursor.fetchall() if not kept.match(name)]
        cursor.execute("; ".join(f'DELETE FROM "{name}"' for name in tables))


_ROOT = Path(__file__).parent.parent
_START_S = 60.0
_STOP_S = 30.0


@dataclass(frozen=True)
class Service:
    """A service in a process of its own.

    :ivar url: such as ``http://127.0.0.1:40123``, without a slash at the end
    :ivar ini: its ini file, for commands such as ``combine token create -c``
    :ivar environment: its environment, for the same commands
    """

    url: str
    process: subprocess.Popen[bytes]
    ini: Path
    environment: dict[str, str]
    _log: Path

    def log(self) -> str:
        """Return the log so far."""
        return self._log.read_text(errors="replace")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop the process, wait for its end, and return its exit status."""
        self.process.send_signal(how)
        return self.process.wait(_STOP_S)

    def wait_until_healthy(self) -> None:
        """Wait until /health returns 200. Fail with the log if the process ends or the wait is too long."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.05)
        pytest.fail(f"the service is not healthy (exit {self.process.poll()}):\n{self.log()}")


StartService = Callable[..., Service]


@pytest.fixture
def start_service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StartService]:
    """:func:`starting_services` with the empty database of the test."""
    database_url = partial(request.getfixturevalue, "database_url")
    with starting_services(tmp_path, database_url) as start:
        yield start


@contextmanager
def starting_services(folder: Path, database_url: Callable[[], str]) -> Iterator[StartService]:
    """``start(environment={"LOG_FORMAT": "json"}, ini="development.ini", wait=True)``.

    Start ``pserve`` with a copy of the ini file on a free port. It uses the given database unless
    the environment names another. From the environment of the tests it gets only ``PATH``.

    :param folder: an empty folder for the files of the services
    :param database_url: called when the first service needs a database
    """
    services: list[Service] = []

    def start(
        environment: dict[str, str] | None = None,
        *,
        ini: str | Path = "development.ini",
        wait: bool = True,
    ) -> Service:
        # Run outside the checkout, so that the service does not read a developer's .env.
        home = folder / f"service{len(services)}"
        home.mkdir()
        copy = home / Path(ini).name
        shutil.copy(_ROOT / ini, copy)
        complete = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": str(home),
            "PORT": str(free_port()),
            **(environment or {}),
        }
        if "DATABASE_URL" not in complete:
            complete["DATABASE_URL"] = database_url()
        log = home / "service.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["pserve", str(copy)],
                executable=Path(sys.executable).parent / "pserve",
                cwd=home,
                env=complete,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        url = f"http://127.0.0.1:{complete['PORT']}"
        services.append(Service(url, process, copy, complete, log))
        if wait:
            services[-1].wait_until_healthy()
        return services[-1]

    try:
        yield start
    finally:
        for service in services:
            if service.process.poll() is None:
                service.process.terminate()
        for service in services:
            try:
                service.process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                service.process.kill()
                service.process.wait()


@pytest.fixture
def service(start_service: StartService) -> Service:
    """``development.ini`` as a running service with a worker and an empty database."""
    return start_service()


_CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless Chromium from the packages of the system, driven by Playwright, for one file of
    tests.

    If there is none, the tests of the file are skipped.
    """
    # The scope is not the session: Playwright keeps an event loop running in this thread, and tests
    # of other files start their own.
    path = shutil.which("chromium")
    assert path is not None
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_CHROMIUM_FLAGS)
        yield browser
        browser.close()


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
