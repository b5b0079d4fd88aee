"""What all tests share: one real PostgreSQL for the run, a clean database for each test.

The first test that needs the server starts it, in a folder of its own below the system's temporary
folder; all xdist workers use the same one, and the last to leave stops it. The schema is migrated once,
into a template; each xdist worker clones its database from that, and empties it before each test.
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

# The same examples in every run, so that no run fails by chance; `make soak` searches with new ones.
hypothesis.settings.register_profile(
    "suite", max_examples=50, derandomize=True, database=None, deadline=None
)
hypothesis.settings.register_profile("search", max_examples=1000, deadline=None)
hypothesis.settings.load_profile("suite")

_FOLDER = "combine_test_folder"
_TEMPLATE = "combine_template"
_FOLDERS_THAT_SHARE = {"tests/browser", "tests/oauth_clients", "tests/oidc"}


def pytest_configure(config: pytest.Config) -> None:
    """The process that the user started makes the folder; xdist's workers are told of it."""
    # pytest-alembic 0.13 hangs its own tests on tests/conftest.py, and fails at that with pytest 9.
    # Tests of migrations import them from pytest_alembic.tests instead.
    config.option.pytest_alembic_tests_path = "none"
    # A shell that runs the tests in the background ignores both for them, and so would their processes.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    if not hasattr(config, "workerinput"):
        folder = Path(tempfile.mkdtemp(prefix="combine-tests-"))
        # PostgreSQL refuses root; the account that it runs as then must be able to enter.
        folder.chmod(0o755)
        config.stash[_folder_key] = folder


def pytest_collection_finish() -> None:
    """Tell the garbage collector to leave the modules and tests alone."""
    # To look through all of them again and again takes a quarter of the run's processor time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_configure_node(node: Any) -> None:
    """xdist: hand the folder to a worker."""
    node.workerinput[_FOLDER] = str(node.config.stash[_folder_key])


@pytest.hookimpl(optionalhook=True)  # without xdist, nobody asks
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What runs in one process: a file, or a folder whose files share what takes seconds to start."""
    from xdist.scheduler import LoadFileScheduling

    class ByWhatIsShared(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            folder = file.rpartition("/")[0]
            return folder if folder in _FOLDERS_THAT_SHARE else file

    return ByWhatIsShared(config, log)


def pytest_unconfigure(config: pytest.Config) -> None:
    """All workers have ended, and the server with them."""
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
    """The URL of the run's server, with the rights of a superuser. Its own database stays empty."""
    with EmbeddedPostgres(run_folder / "postgres", durable=False) as server:
        yield server.start()


@pytest.fixture(scope="session")
def _template(postgres_url: str) -> str:
    """The name of the migrated database that others are cloned from; made by whoever comes first."""
    with _admin(postgres_url) as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", (_TEMPLATE,))
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_TEMPLATE,))
        if cursor.fetchone() is None:
            # Built under another name, so that a template that exists is a whole one.
            building = f"{_TEMPLATE}_building"
            cursor.execute(f"DROP DATABASE IF EXISTS {building}")
            cursor.execute(f"CREATE DATABASE {building}")
            upgrade(parse_database_url(_named(postgres_url, building)).get_secret_value())
            cursor.execute(f"ALTER DATABASE {building} RENAME TO {_TEMPLATE}")
        # The lock goes with the connection.
    return _TEMPLATE


@pytest.fixture(scope="session")
def worker_database(postgres_url: str, _template: str, worker_id: str) -> Iterator[str]:
    """The URL of this xdist worker's migrated database. Tests take ``database_url`` instead."""
    with database_of_its_own(postgres_url, f"worker_{worker_id}", _template) as url:
        yield url


@pytest.fixture
def database_url(worker_database: str) -> str:
    """The URL (``postgresql://``) of a migrated database without rows."""
    empty_database(worker_database)
    return worker_database


MakeDatabase = Callable[..., str]


@pytest.fixture
def make_database(postgres_url: str, request: pytest.FixtureRequest) -> Iterator[MakeDatabase]:
    """``make_database(migrated=True)``: the URL of a further database, dropped after the test."""
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
def database_of_its_own(postgres_url: str, name: str, template: str) -> Iterator[str]:
    """A database that is there within the block, cloned from a template; its URL."""
    with _admin(postgres_url) as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _named(postgres_url, name)
    with _admin(postgres_url) as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _admin(url: str) -> Iterator[Any]:
    """A cursor outside transactions: databases cannot be made in one."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def _named(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


# By URL. To connect takes ten times as long as to delete.
_connections: dict[str, Any] = {}


def empty_database(url: str, *, keep: str = "") -> None:
    """Delete all rows but those that say which revision the schema has, and those in ``keep``."""
    try:
        _delete_rows(_connections[url], keep)
    except (KeyError, psycopg2.InterfaceError, psycopg2.OperationalError):
        # The first time, or a test has ended all connections.
        _connections[url] = connection = psycopg2.connect(url, application_name="empty_database")
        connection.autocommit = True
        _delete_rows(connection, keep)


def _delete_rows(connection: Any, keep: str) -> None:
    with connection.cursor() as cursor:
        # Faster than TRUNCATE by far, and waits for nobody who only reads.
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
    """A service that runs in a process of its own.

    :ivar url: such as ``http://127.0.0.1:40123``, without a slash at the end
    :ivar ini: its ini file, for commands such as ``combine token create -c``
    :ivar environment: its environment, for the same
    """

    url: str
    process: subprocess.Popen[bytes]
    ini: Path
    environment: dict[str, str]
    _log: Path

    def log(self) -> str:
        """All that it has written so far."""
        return self._log.read_text(errors="replace")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it, and wait for that; its exit status."""
        self.process.send_signal(how)
        return self.process.wait(_STOP_S)

    def wait_until_healthy(self) -> None:
        """Return as soon as /health answers 200; fail with its log if it ends or takes too long."""
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
    """:func:`starting_services` over the clean database of the test."""
    database_url = partial(request.getfixturevalue, "database_url")
    with starting_services(tmp_path, database_url) as start:
        yield start


@contextmanager
def starting_services(folder: Path, database_url: Callable[[], str]) -> Iterator[StartService]:
    """``start(environment={"LOG_FORMAT": "json"}, ini="development.ini", wait=True)``.

    Starts ``pserve`` on a copy of the ini file, on a free port, over the given database unless the
    environment names another. Nothing of our own environment but the path reaches it.

    :param folder: for the services' own files; empty
    :param database_url: asked when the first service needs it
    """
    services: list[Service] = []

    def start(
        environment: dict[str, str] | None = None,
        *,
        ini: str | Path = "development.ini",
        wait: bool = True,
    ) -> Service:
        # Away from the checkout, so that a developer's own .env is not read.
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
    """``development.ini`` as a running service with a worker, over a clean database."""
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
    """A headless Chromium from the system's packages, driven by Playwright: one for a file of tests.

    A file skips itself where there is none.
    """
    # Not for the session: Playwright keeps an event loop running in this thread, and tests of other
    # files start their own.
    path = shutil.which("chromium")
    assert path is not None
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_CHROMIUM_FLAGS)
        yield browser
        browser.close()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
