"""Tests that the fixtures isolate the database rows of each test."""

from contextlib import closing

import psycopg2
import pytest


@pytest.mark.parametrize("turn", range(4))
def test_the_database_is_empty_and_migrated(database_url, turn):
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM users")
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT count(*) FROM alembic_version")
        assert cursor.fetchone() == (1,)
        cursor.execute(
            "INSERT INTO users (id, email, name, is_admin) VALUES (gen_random_uuid(), 'a@b', 'a', false)"
        )
        connection.commit()


def test_make_database_makes_another_database(make_database):
    with closing(psycopg2.connect(make_database())) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM alembic_version")
    with (
        closing(psycopg2.connect(make_database(migrated=False))) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert cursor.fetchone() == (0,)
