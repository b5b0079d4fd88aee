"""Tests authentication with the session cookie."""

import secrets
from datetime import timedelta

import pytest
from sqlalchemy import text

from tests.functional.auth.conftest import COOKIE, PRODUCTION

NOBODY = {"email": None, "admin": None, "userid": None, "kind": None, "may": ["look"]}


def whoami(client, cookie=None, **headers):
    if cookie is not None:
        headers["Cookie"] = f"{COOKIE}={cookie}"
    return client.get("/whoami", headers=headers).json


def test_stranger_sends_no_statement(service, client):
    with service.statements() as sent:
        assert whoami(client) == NOBODY
    assert sent == []


def test_session_sends_one_statement(service, client):
    user = service.user()
    cookie = service.cookie(user)
    with service.statements() as sent:
        answer = whoami(client, cookie)
    assert answer == {
        "email": "ann@example.com",
        "admin": False,
        "userid": str(user.id),
        "kind": "session",
        "may": ["look", "write", "own"],
    }
    assert len(sent) == 1


def test_lookup_uses_the_index(service):
    cookie = service.cookie(service.user())
    with service.statements() as sent:
        whoami(service.client(), cookie)
    many = service.user("many@example.com").id
    with service.engine.connect() as connection:  # This is never committed.
        # In a small table the planner may choose any index.
        connection.execute(
            text(
                "INSERT INTO sessions (id, user_id, token_sha256, expires_at, user_agent)"
                " SELECT gen_random_uuid(), :many, sha256(n::text::bytea), now() + '1 day', ''"
                " FROM generate_series(1, 5000) AS n"
            ),
            {"many": many},
        )
        connection.execute(text("ANALYZE sessions"))
        raw = connection.connection.cursor()
        raw.execute(
            "EXPLAIN " + sent[0],
            {"token_sha256": b"x" * 32} | {f"now_{n}": timedelta(minutes=1) for n in range(1, 4)},
        )
        plan = "\n".join(line for (line,) in raw.fetchall())
    assert "uq_sessions_token_sha256" in plan


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "x",
        "x" * 43,
        "x" * 5000,
        "../../etc/passwd",
        "' OR 1=1 --",
        "ä" * 43,
        "\xff\xfe",
        "x" * 42 + "\x00",
        "x" * 42 + "=",
    ],
)
def test_forged_cookie_is_rejected(service, client, forged):
    service.cookie(service.user())
    assert client.get("/whoami", extra_environ={"HTTP_COOKIE": f"{COOKIE}={forged}"}).json == NOBODY


def test_malformed_cookie_sends_no_statement(service, client):
    with service.statements() as sent:
        for cookie in ("", "x" * 42, "x" * 44, "x" * 42 + ".", "x" * 100_000):
            assert whoami(client, cookie) == NOBODY
    assert sent == []


def test_stored_hash_is_rejected_as_cookie(service, client):
    service.cookie(service.user())
    [(digest,)] = service.execute("SELECT encode(token_sha256, 'hex') FROM sessions")
    assert whoami(client, digest) == NOBODY
    assert whoami(client, digest[:43]) == NOBODY


def test_cookie_is_not_in_the_database(service):
    cookie = service.cookie(service.user())
    [(row,)] = service.execute("SELECT sessions::text FROM sessions")
    assert cookie not in row


def test_unrelated_cookie_that_is_not_utf8_is_ignored(service, client):
    cookie = service.cookie(service.user())
    environ = {"HTTP_COOKIE": f"other=\xff\xfe; {COOKIE}={cookie}"}
    assert client.get("/whoami", extra_environ=environ).json["email"] == "ann@example.com"
    assert (
        client.get("/auth/sign-in", extra_environ={"HTTP_COOKIE": "other=\xff"}).status_int == 200
    )


def test_first_of_two_cookies_counts(service, client):
    cookie = service.cookie(service.user())
    other = service.cookie(service.user("eve@example.com"))
    environ = {"HTTP_COOKIE": f"{COOKIE}={cookie}; {COOKIE}={other}"}
    assert client.get("/whoami", extra_environ=environ).json["email"] == "ann@example.com"


def test_disabled_user_is_rejected_at_the_next_request(service, client):
    user = service.user()
    cookie = service.cookie(user)
    assert whoami(client, cookie)["email"] == user.email
    service.execute("UPDATE users SET disabled_at = now()")
    assert whoami(client, cookie) == NOBODY


@pytest.mark.parametrize(
    ("change", "alive"),
    [
        ("last_seen_at = now() - interval '11 hours 59 minutes'", True),
        ("last_seen_at = now() - interval '12 hours 1 minute'", False),
        ("expires_at = now() + interval '1 minute'", True),
        ("expires_at = now() - interval '1 second'", False),
    ],
)
def test_session_ends_at_its_limits(service, client, change, alive):
    cookie = service.cookie(service.user())
    service.execute(f"UPDATE sessions SET {change}")
    assert (whoami(client, cookie)["email"] is not None) is alive


def test_absolute_limit_is_seven_days(service):
    service.cookie(service.user())
    [(lifetime,)] = service.execute("SELECT expires_at - created_at FROM sessions")
    assert lifetime == timedelta(days=7)


def test_last_seen_is_written_once_a_minute(service, client):
    cookie = service.cookie(service.user())
    service.execute("UPDATE sessions SET last_seen_at = now() - interval '59 seconds'")
    with service.statements() as sent:
        whoami(client, cookie)
    assert len(sent) == 1
    service.execute("UPDATE sessions SET last_seen_at = now() - interval '61 seconds'")
    with service.statements() as sent:
        whoami(client, cookie)
        whoami(client, cookie)
    assert [statement.rpartition("*/")[2].split()[0] for statement in sent] == [
        "SELECT",
        "UPDATE",
        "SELECT",
    ]
    [(age,)] = service.execute("SELECT now() - last_seen_at FROM sessions")
    assert age < timedelta(seconds=30)


def test_last_seen_is_written_if_the_view_fails(service, client):
    cookie = service.cookie(service.user())
    service.execute("UPDATE sessions SET last_seen_at = now() - interval '1 hour'")
    client.get("/refuse", headers={"Cookie": f"{COOKIE}={cookie}"}, status=409)
    [(age,)] = service.execute("SELECT now() - last_seen_at FROM sessions")
    assert age < timedelta(seconds=30)


def test_last_seen_does_not_wait_for_locks(service, client, caplog):
    cookie = service.cookie(service.user())
    service.execute("UPDATE sessions SET last_seen_at = now() - interval '1 hour'")
    with service.session() as other:
        other.connection().exec_driver_sql("SELECT 1 FROM sessions FOR UPDATE")
        assert whoami(client, cookie)["email"] == "ann@example.com"
    # A wait would end with lock_timeout, and the failure would be logged.
    assert "combine_auth.authentication" not in caplog.text
    [(age,)] = service.execute("SELECT now() - last_seen_at FROM sessions")
    assert age > timedelta(minutes=59)


def test_failure_to_write_last_seen_fails_no_request(service, client, caplog):
    cookie = service.cookie(service.user())
    service.execute("UPDATE sessions SET last_seen_at = now() - interval '1 hour'")
    service.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'disk full'; END $$"
    )
    service.execute(
        "CREATE TRIGGER fail BEFORE UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION fail()"
    )
    try:
        assert whoami(client, cookie)["email"] == "ann@example.com"
    finally:
        service.execute("DROP FUNCTION fail() CASCADE")
    [record] = [record for record in caplog.records if record.name == "combine_auth.authentication"]
    assert record.levelname == "WARNING"
    assert cookie not in caplog.text


def test_unreachable_database_does_not_sign_out(make_service):
    service = make_service(url="postgresql://nobody:nothing@127.0.0.1:1/away")
    client = service.client()
    assert whoami(client) == NOBODY
    cookie = f"{COOKIE}={secrets.token_urlsafe(32)}"
    client.get("/whoami", headers={"Cookie": cookie}, status=503)


@pytest.mark.parametrize("path", ["/health/whoami", "/docs/whoami"])
def test_probes_and_explorer_send_no_statement(make_service, path):
    client = make_service(url="postgresql://nobody:nothing@127.0.0.1:1/away").client()
    headers = {"Cookie": f"{COOKIE}={secrets.token_urlsafe(32)}"}
    assert client.get(path, headers=headers).json == NOBODY


def test_old_rows_are_deleted_at_sign_in(service):
    user = service.user()
    for _ in range(3):
        service.cookie(user)
    service.execute("UPDATE sessions SET expires_at = now() - interval '1 hour'")
    service.cookie(user)
    assert service.execute("SELECT count(*) FROM sessions") == [(1,)]


def test_deployed_cookie_has_the_host_prefix(make_service):
    service = make_service(PRODUCTION)
    cookie = service.cookie(service.user())
    client = service.client(HTTP_HOST="combine.example.com")
    plain = client.get("/whoami", headers={"Cookie": f"combine_session={cookie}"})
    assert plain.json == NOBODY
    prefixed = client.get("/whoami", headers={"Cookie": f"__Host-combine_session={cookie}"})
    assert prefixed.json["email"] == "ann@example.com"
