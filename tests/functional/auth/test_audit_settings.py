"""Tests that the audit records the names of settings that changed since the last start, without values."""

import json
import time

import psycopg2
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import sessionmaker

from combine_auth.audit.settings_changes import SettingsSnapshot, record_settings, watch_settings
from combine_auth.settings import AuthSettings
from combine_core.settings import CoreSettings, load_all
from combine_core.settings.database_url import parse_database_url
from tests.functional.auth.conftest import at_once

KEY = "0f3b9a7c5d1e8246a9b0c7d3e5f18264"
NEXT_KEY = "9c1d2e3f4a5b6c7d8e9fa0b1c2d3e4f5"
INI = {
    "combine_core.environment": "test",
    "combine_core.secret_key": KEY,
    "combine_core.database_url": "postgresql://combine:hunter2@localhost/combine",
    "combine_auth.google.client_id": "1234.apps.googleusercontent.com",
    "combine_auth.google.client_secret": "GOCSPX-4f6d8a0b2c4e6081",
}


def settings(**changes):
    ini = {**INI, **{name.replace("__", "."): value for name, value in changes.items()}}
    return SettingsSnapshot(load_all(ini, None, {}, [CoreSettings, AuthSettings]))


@pytest.fixture
def start(service):
    """Start with these settings. Return the changes in the newest event, and the number of events."""

    def start(in_force):
        with service.session() as session:
            record_settings(session, in_force)
        return lines(service)

    return start


def lines(service):
    return [
        details
        for (details,) in service.execute(
            "SELECT details FROM audit_events WHERE action = 'settings' ORDER BY id"
        )
    ]


def test_an_unchanged_start_is_not_recorded(start):
    assert [line.get("first") for line in start(settings())] == [True]
    assert len(start(settings())) == 1


def test_a_changed_setting_is_named_without_its_value(start, service):
    start(settings())
    found = start(settings(combine_core__slow_query_ms="400", combine_core__log_level="debug"))
    assert len(found) == 2
    assert found[-1]["changed"] == ["COMBINE_CORE_SLOW_QUERY_MS", "LOG_LEVEL"]
    assert len(start(settings())) == 3


def test_a_changed_secret_is_named(start):
    start(settings())
    [*_, last] = start(
        settings(**{"combine_auth__google.client_secret": "GOCSPX-0000aaaa1111bbbb"})
    )
    assert last["changed"] == ["GOOGLE_CLIENT_SECRET"]


def test_values_are_not_stored_and_cannot_be_guessed(start, service):
    start(settings())
    [stored] = service.execute("SELECT details FROM audit_events")
    whole = json.dumps(stored[0])
    for value in (KEY, "hunter2", "GOCSPX-4f6d8a0b2c4e6081", "apps.googleusercontent"):
        assert value not in whole
    # Another key gives other digests for the same values.
    other = settings(combine_core__secret_key=NEXT_KEY).to_details()
    mine = settings().to_details()
    assert not set(mine["digests"].values()) & set(other["digests"].values())


def test_a_rotated_key_changes_only_the_key(start):
    start(settings())
    rotated = {"combine_core__secret_key": NEXT_KEY, "combine_core__secret_key_old": KEY}
    [*_, last] = start(settings(**rotated))
    assert last["changed"] == ["SECRET_KEY", "SECRET_KEY_OLD"]
    assert len(start(settings(**rotated))) == 2
    [*_, last] = start(settings(combine_core__secret_key=NEXT_KEY))
    assert last["changed"] == ["SECRET_KEY_OLD"]


def test_a_replaced_key_reports_that_other_changes_are_unknown(start):
    start(settings())
    [*_, last] = start(settings(combine_core__secret_key=NEXT_KEY))
    assert (last["changed"], last["others"]) == (["SECRET_KEY"], "not known")


def test_parallel_starts_add_one_event(service):
    with service.session() as session:
        record_settings(session, settings())
    changed = settings(combine_core__slow_query_ms="123")

    def replica(_number):
        with service.session() as session:
            record_settings(session, changed)

    at_once(replica, range(5))
    assert len(lines(service)) == 2


def test_the_event_is_stored_when_the_database_becomes_available(
    make_database, database_url, caplog
):
    caplog.set_level("INFO")
    url = make_database()
    name = url.rsplit("/", 1)[1]
    with_admin = psycopg2.connect(database_url)
    with_admin.autocommit = True
    with with_admin, with_admin.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} RENAME TO {name}_away")
    engine = create_engine(parse_database_url(url).get_secret_value())
    thread = watch_settings(sessionmaker(engine), settings(), retry_after_s=0.05)
    deadline = time.monotonic() + 60
    while "not yet recorded in the audit" not in caplog.text:
        assert time.monotonic() < deadline
        assert thread.is_alive()
    with with_admin.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name}_away RENAME TO {name}")
    with_admin.close()
    thread.join(60)
    assert not thread.is_alive()
    assert caplog.text.count("not yet recorded in the audit") == 1
    assert "hunter2" not in caplog.text
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM audit_events")) == 1
    engine.dispose()


def test_the_serving_process_stores_the_event(start_service, database_url):
    start_service()
    deadline = time.monotonic() + 60
    engine = create_engine(parse_database_url(database_url).get_secret_value())
    found = 0
    while not found:
        assert time.monotonic() < deadline
        with engine.connect() as connection:
            found = connection.scalar(
                text("SELECT count(*) FROM audit_events WHERE action = 'settings'")
            )
    engine.dispose()
