"""Tests that the pool drops connections to a read-only server."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from combine_core.database import make_engine, pool
from tests.postgres_cluster import Cluster, make_cluster, wait_for


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


def test_a_connection_to_a_writable_server_is_kept(engine: Engine) -> None:
    assert backend(engine) == backend(engine)


def test_a_connection_to_a_read_only_server_is_replaced(cluster: Cluster, engine: Engine) -> None:
    before = backend(engine)
    set_read_only(cluster, "on")
    # The processes of the server apply the new setting one after the other.
    wait_for(lambda: backend(engine) != before)
    # Reading still works, each time through a new connection.
    assert backend(engine) != backend(engine)
    set_read_only(cluster, "off")
    with cluster.cursor() as cursor:
        wait_for(lambda: _setting(cursor) == "off")
    wait_for(lambda: backend(engine) == backend(engine))


def _setting(cursor) -> str:
    cursor.execute("SHOW default_transaction_read_only")
    return str(cursor.fetchone()[0])


def test_a_rejected_write_closes_its_connection(engine: Engine) -> None:
    before = backend(engine)
    with engine.connect() as connection:
        connection.execute(text("SET TRANSACTION READ ONLY"))
        with pytest.raises(DBAPIError, match="read-only") as caught:
            connection.execute(text("CREATE TABLE never ()"))
    assert caught.value.connection_invalidated
    assert backend(engine) != before


def test_a_broken_connection_is_replaced(cluster: Cluster, engine: Engine) -> None:
    before = backend(engine)
    with cluster.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 60000)", [before])
    assert backend(engine) != before


def test_a_connection_broken_right_after_its_test_is_replaced(
    cluster: Cluster, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "TEST_INTERVAL_S", math.inf)
    before = backend(engine)
    # The first use after connecting is tested, the next one is not.
    assert asks_server(cluster, engine, before)
    assert backend(engine) == before
    assert not asks_server(cluster, engine, before)
    with cluster.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 60000)", [before])
    assert backend(engine) != before


def asks_server(cluster: Cluster, engine: Engine, process: int) -> bool:
    """Return whether the pool queries the server before it hands out a connection."""
    engine.connect().close()
    with cluster.cursor() as cursor:
        cursor.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [process])
        return "pg_is_in_recovery" in cursor.fetchone()[0]
