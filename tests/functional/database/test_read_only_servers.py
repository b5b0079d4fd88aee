"""The pool does not stay with a server that takes no writes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import DBAPIError

from combine_core.database import make_engine
from combine_core.database.connecting import connection_arguments, conninfo
from combine_core.database.migrations import current_revisions, head_revision, upgrade
from combine_core.postgres.diagnosis import Cause, Watch, diagnose
from combine_core.settings.database_url import parse_database_url
from tests.failover import needs_pair, running_pair
from tests.postgres_cluster import PASSWORD, Cluster, make_cluster, wait_for


@pytest.fixture(scope="module")
def cluster(run_folder: Path) -> Iterator[Cluster]:
    made = make_cluster(run_folder, "read-only")
    with made.serve():
        yield made
    shutil.rmtree(made.folder)


@pytest.fixture
def engine(cluster: Cluster) -> Iterator[Engine]:
    engine = make_engine(
        str(cluster.url().render_as_string(hide_password=False)),
        application_name="test",
        pool_size=1,
        max_overflow=0,
    )
    yield engine
    with cluster.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = off")
    engine.dispose()


def backend(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT pg_backend_pid()")))


def set_read_only(cluster: Cluster, value: str) -> None:
    with cluster.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = off")
        cursor.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        cursor.execute("SELECT pg_reload_conf()")


def test_a_connection_is_kept_while_its_server_takes_writes(engine: Engine) -> None:
    assert backend(engine) == backend(engine)


def test_a_kept_connection_to_a_read_only_server_is_replaced(
    cluster: Cluster, engine: Engine
) -> None:
    before = backend(engine)
    set_read_only(cluster, "on")
    # The server's processes take the new setting one by one.
    wait_for(lambda: backend(engine) != before)
    # It still reads, each time over a new connection.
    assert backend(engine) != backend(engine)
    set_read_only(cluster, "off")
    with cluster.cursor() as cursor:
        wait_for(lambda: _setting(cursor) == "off")
    wait_for(lambda: backend(engine) == backend(engine))


def _setting(cursor) -> str:
    cursor.execute("SHOW default_transaction_read_only")
    return str(cursor.fetchone()[0])


def test_a_refused_write_closes_its_connection(engine: Engine) -> None:
    before = backend(engine)
    with engine.connect() as connection:
        connection.execute(text("SET TRANSACTION READ ONLY"))
        with pytest.raises(DBAPIError, match="read-only") as caught:
            connection.execute(text("CREATE TABLE never ()"))
    assert caught.value.connection_invalidated
    assert backend(engine) != before


def test_a_connection_that_was_cut_is_replaced(cluster: Cluster, engine: Engine) -> None:
    before = backend(engine)
    with cluster.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 60000)", [before])
    assert backend(engine) != before


@needs_pair
def test_the_pool_follows_the_address_to_the_new_primary(run_folder: Path) -> None:
    with running_pair(run_folder) as pair:
        engine = make_engine(
            pair.url().replace("postgresql:", "postgresql+psycopg2:", 1),
            application_name="test",
            pool_size=2,
            max_overflow=0,
        )
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE kept (number int)"))
        pair.replicate()
        pair.fail_over()
        with pytest.raises(DBAPIError, match="read-only"):
            insert(engine)
        pair.move()
        insert(engine)
        engine.dispose()


def insert(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO kept VALUES (1)"))


@needs_pair
def test_of_several_hosts_everything_finds_the_one_that_takes_writes(run_folder: Path) -> None:
    with running_pair(run_folder) as pair:
        hosts = f"127.0.0.1:{pair.other.port},127.0.0.1:{pair.primary.port}"
        written = f"postgresql://combine:{PASSWORD}@{hosts}/combine?target_session_attrs=read-write"
        secret = parse_database_url(written)
        url = make_url(secret.get_secret_value())
        # Alembic, the engine, the health check, Procrastinate's driver and the diagnosis.
        upgrade(secret.get_secret_value())
        assert current_revisions(secret.get_secret_value()) == (head_revision(),)
        engine = make_engine(
            secret.get_secret_value(), application_name="test", pool_size=2, max_overflow=0
        )
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE kept (number int)"))
        watch = Watch(url)
        assert watch.look() is None
        with psycopg.connect(conninfo(url), **connection_arguments(url, "test")) as queue:
            assert queue.info.port == pair.primary.port
        assert diagnose(url, 4).cause is Cause.REACHABLE
        pair.replicate()
        pair.fail_over()
        wait_for(lambda: watch.look() is None)
        insert(engine)
        engine.dispose()
        pair.stop_primary()
        wait_for(lambda: (found := watch.look()) is not None and found.cause is Cause.READ_ONLY)
        found = diagnose(url, 4)
        assert found.cause is Cause.READ_ONLY
        assert "Connection refused" in found.detail
        assert "standby" in found.detail
