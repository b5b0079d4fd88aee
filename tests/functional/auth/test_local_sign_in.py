"""Tests the local sign-in button for development, and the access to it."""

import re
import threading

import pytest

from combine_auth.sign_in.views import LOCAL_EMAIL as EMAIL
from tests.functional.auth.conftest import COOKIE, DEVELOPMENT, PRODUCTION, at_once
from tests.functional.auth.test_session import NOBODY

BUTTON = "Sign in as local developer"


def sign_in(client, target=None):
    page = client.get("/auth/sign-in", {} if target is None else {"next": target})
    return page.form.submit()


def test_button_signs_in(service, client):
    answer = sign_in(client)
    assert answer.status_int == 303
    assert answer.location == "http://localhost:8000/"
    assert client.get("/whoami").json["email"] == EMAIL
    [cookie] = [c for c in answer.headers.getall("Set-Cookie") if c.startswith(COOKIE)]
    assert re.fullmatch(
        rf"{COOKIE}=[\w-]{{43}}; Max-Age=604800; Path=/; expires=[^;]+; HttpOnly; SameSite=Lax",
        cookie,
    )
    assert "no-store" in answer.headers["Cache-Control"]


def test_user_is_created_once_and_is_not_an_administrator(service, client):
    sign_in(client)
    sign_in(service.client())
    assert service.execute("SELECT email, name, is_admin FROM users") == [
        (EMAIL, "Local developer", False)
    ]
    assert service.execute("SELECT count(*) FROM sessions") == [(2,)]


def test_page_sends_no_statement_for_a_stranger(service, client):
    with service.statements() as sent:
        page = client.get("/auth/sign-in")
    assert sent == []
    assert BUTTON in page
    assert "no-store" in page.headers["Cache-Control"]


def test_session_records_user_agent_and_address(service):
    client = service.client(HTTP_USER_AGENT="Fire\x00fox\n" + "x" * 1000, REMOTE_ADDR="::1")
    sign_in(client)
    [(user_agent, ip)] = service.execute("SELECT user_agent, ip FROM sessions")
    assert user_agent == ("Firefox" + "x" * 1000)[:300]
    assert ip == "::1"


def test_signed_in_user_is_redirected(client):
    sign_in(client)
    answer = client.get("/auth/sign-in", {"next": "/projects?a=1"})
    assert (answer.status_int, answer.location) == (303, "http://localhost:8000/projects?a=1")


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https:evil.example", "\xff"]
)
def test_foreign_next_is_ignored(client, target):
    assert sign_in(client, target).location == "http://localhost:8000/"
    # The service does not trust the field of the form either.
    csrf = client.cookies["combine_csrf"]
    answer = client.post("/auth/local", {"csrf_token": csrf, "next": target})
    assert answer.location == "http://localhost:8000/"
    assert client.get("/auth/sign-in", {"next": target}).location == "http://localhost:8000/"


def test_query_that_is_not_utf8_is_rejected(client):
    answer = client.get("/auth/sign-in?next=%ff%fe", expect_errors=True)
    assert answer.status_int in {200, 400}


def test_next_is_kept_in_the_form(client):
    answer = sign_in(client, "/projects/apollo?tab=runs")
    assert answer.location == "http://localhost:8000/projects/apollo?tab=runs"


def test_planted_session_is_replaced(service, client):
    planted = service.cookie(service.user("eve@example.com"))
    client.set_cookie(COOKIE, planted)
    client.set_cookie("combine_csrf", "0" * 32)
    client.post("/auth/local", {"csrf_token": "0" * 32})
    assert client.cookies[COOKIE] != planted
    assert client.cookies["combine_csrf"] != "0" * 32
    # The planted session has ended, also for the attacker.
    attacker = service.client()
    attacker.set_cookie(COOKIE, planted)
    assert attacker.get("/whoami").json == NOBODY


def test_sign_out_ends_the_session(service, client):
    sign_in(client)
    stolen = client.cookies[COOKIE]
    csrf = client.cookies["combine_csrf"]
    answer = client.post("/auth/sign-out", {"csrf_token": csrf})
    assert (answer.status_int, answer.location) == (303, "http://localhost:8000/auth/sign-in")
    assert client.cookies.get(COOKIE, "") == ""
    assert client.cookies["combine_csrf"] != csrf
    assert service.execute("SELECT count(*) FROM sessions") == [(0,)]
    thief = service.client()
    thief.set_cookie(COOKIE, stolen)
    assert thief.get("/whoami").json == NOBODY


def test_sign_out_without_a_session_is_harmless(client):
    client.get("/auth/sign-in")
    csrf = client.cookies["combine_csrf"]
    assert client.post("/auth/sign-out", {"csrf_token": csrf}).status_int == 303


def test_sign_out_needs_the_csrf_token(service, client):
    sign_in(client)
    client.post("/auth/sign-out", status=400)
    assert client.get("/whoami").json["email"] == EMAIL


@pytest.mark.parametrize("path", ["/auth/local", "/auth/sign-out"])
@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_other_methods_are_rejected(service, client, path, method):
    sign_in(client)
    answer = getattr(client, method)(path, status=405)
    assert answer.headers["Allow"] == "POST"
    assert client.get("/whoami").json["email"] == EMAIL


@pytest.mark.parametrize(
    "environ",
    [
        {"REMOTE_ADDR": "192.0.2.1"},
        {"REMOTE_ADDR": "172.17.0.1"},
        {"REMOTE_ADDR": "::ffff:192.0.2.1"},
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "localhost"},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_X_FORWARDED_FOR": ""},
        {"HTTP_FORWARDED": "for=127.0.0.1"},
        {"HTTP_X_REAL_IP": "127.0.0.1"},
        {"HTTP_VIA": "1.1 proxy"},
        {"HTTP_X_FORWARDED_PROTO": "https"},
        {"HTTP_HOST": "evil.com"},
        {"HTTP_HOST": "evil.com:8000"},
        {"HTTP_HOST": "localhost.evil.com"},
        {"HTTP_HOST": "127.0.0.1.evil.com"},
        {"HTTP_HOST": "evil.com#localhost"},
        {"HTTP_HOST": "evil.com@localhost"},
        {"HTTP_HOST": "localhost@evil.com"},
        {"HTTP_HOST": "localhost:80:80"},
        {"HTTP_HOST": "192.0.2.1"},
        {"HTTP_HOST": "0.0.0.0:8000"},
        {"HTTP_HOST": "[::]"},
        {"HTTP_HOST": "\xff"},
    ],
)
def test_requests_from_elsewhere_are_rejected(service, environ):
    client = service.client(**environ)
    page = client.get("/auth/sign-in", expect_errors=True)
    assert BUTTON not in page
    # An unknown host is rejected before the page is requested.
    known = page.status_int == 200
    assert known or (page.status_int == 400 and "HTTP_HOST" in environ)
    assert ("from the machine that the service runs on" in page) is known
    answer = client.post(
        "/auth/local",
        headers={"X-CSRF-Token": "0" * 32, "Cookie": "combine_csrf=" + "0" * 32},
        status=403 if known else 400,
    )
    assert "Set-Cookie" not in answer.headers
    assert service.execute("SELECT count(*) FROM sessions") == [(0,)]
    assert service.execute("SELECT count(*) FROM users") == [(0,)]


@pytest.mark.parametrize(
    "environ",
    [
        {"REMOTE_ADDR": "127.8.9.1"},
        {"REMOTE_ADDR": "::1"},
        {"REMOTE_ADDR": "::ffff:127.0.0.1"},
        {"HTTP_HOST": "localhost"},
        {"HTTP_HOST": "LOCALHOST:8123"},
        {"HTTP_HOST": "127.0.0.1:8000"},
        {"HTTP_HOST": "[::1]:8000"},
        {"HTTP_HOST": "[::1]"},
    ],
)
def test_local_requests_are_accepted(service, environ):
    client = service.client(**environ)
    headers = {"X-CSRF-Token": "0" * 32, "Cookie": "combine_csrf=" + "0" * 32}
    assert BUTTON in client.get("/auth/sign-in")
    assert client.post("/auth/local", headers=headers).status_int == 303


@pytest.mark.parametrize(
    "ini",
    [
        PRODUCTION,
        {**DEVELOPMENT, "combine_auth.local_sign_in": "false"},
        {"combine_core.environment": "development"},
    ],
)
def test_local_sign_in_can_be_disabled(make_service, ini):
    host = "combine.example.com" if ini is PRODUCTION else "localhost:8000"
    client = make_service(ini).client(HTTP_HOST=host)
    page = client.get("/auth/sign-in")
    assert BUTTON not in page
    assert "Sign-in is not configured" in page
    assert "combine_auth.local_sign_in = true" in page
    names = ("combine_csrf", "__Host-combine_csrf")
    headers = {
        "X-CSRF-Token": "0" * 32,
        "Cookie": "; ".join(f"{name}={'0' * 32}" for name in names),
    }
    client.post("/auth/local", headers=headers, status=404)


def test_disabled_user_is_rejected(service, client):
    service.user(EMAIL, disabled=True)
    answer = client.get("/auth/sign-in").form.submit(status=403)
    assert "is disabled" in answer
    assert service.execute("SELECT count(*) FROM sessions") == [(0,)]


def test_parallel_transactions_create_one_user(service, wait_for_lock):
    other = service.engine.connect()
    begun = other.begin()
    other.exec_driver_sql(
        "INSERT INTO users (id, email, name, is_admin)"
        f" VALUES (gen_random_uuid(), '{EMAIL}', 'First', false)"
    )
    client = service.client()
    page = client.get("/auth/sign-in")
    answers = []
    second = threading.Thread(target=lambda: answers.append(page.form.submit()))
    second.start()
    # The second transaction now waits for the first, whose insert is not committed.
    wait_for_lock()
    begun.commit()
    other.close()
    second.join()
    assert answers[0].status_int == 303
    assert service.execute("SELECT name FROM users") == [("First",)]
    assert client.get("/whoami").json["email"] == EMAIL


def test_eight_parallel_requests_create_one_user(service):
    pages = [service.client().get("/auth/sign-in") for _ in range(8)]
    assert at_once(lambda page: page.form.submit().status_int, pages) == [303] * 8
    assert service.execute("SELECT count(*) FROM users") == [(1,)]
    assert service.execute("SELECT count(DISTINCT token_sha256) FROM sessions") == [(8,)]
