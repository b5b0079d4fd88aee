"""What all tests share: one real PostgreSQL for the run, a clean database for each test.

The first test that needs the server starts it, in a folder of its own below the system's temporary
folder; all xdist workers use the same one, and the last to leave stops it. The schema is migrated once,
into a template; each xdist worker clones its database from that, and empties it before each test.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest

from combine_core.database.embedded import EmbeddedPostgres
from combine_core.database.migrations import upgrade
from combine_core.settings.database_url import parse_database_url

_FOLDER = "combine_test_folder"
_TEMPLATE = "combine_template"


def pytest_configure(config: pytest.Config) -> None:
    """The process that the user started makes the folder; xdist's workers are told of it."""
    # pytest-alembic 0.13 hangs its own tests on tests/conftest.py, and fails at that with pytest 9.
    # Tests of migrations import them from pytest_alembic.tests instead.
    config.option.pytest_alembic_tests_path = "none"
    if not hasattr(config, "workerinput"):
        folder = Path(tempfile.mkdtemp(prefix="combine-tests-"))
        # PostgreSQL refuses root; the account that it runs as then must be able to enter.
        folder.chmod(0o755)
        config.stash[_folder_key] = folder


def pytest_configure_node(node: Any) -> None:
    """xdist: hand the folder to a worker."""
    node.workerinput[_FOLDER] = str(node.config.stash[_folder_key])


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
    with _database(postgres_url, f"worker_{worker_id}", _template) as url:
        yield url


@pytest.fixture
def database_url(worker_database: str) -> str:
    """The URL (``postgresql://``) of a migrated database without rows."""
    _empty(worker_database)
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
def _database(postgres_url: str, name: str, template: str) -> Iterator[str]:
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


def _empty(url: str) -> None:
    """Delete all rows but those that say which revision the schema has."""
    with _admin(url) as cursor:
        # Faster than TRUNCATE by far, and waits for nobody who only reads.
        cursor.execute("SET session_replication_role = replica; SET lock_timeout = '10s'")
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [name for (name,) in cursor.fetchall() if not re.match("alembic_|schema_", name)]
        cursor.execute("; ".join(f'DELETE FROM "{name}"' for name in tables))
