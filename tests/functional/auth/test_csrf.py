"""Tests that forms from other origins are rejected."""

import re

import pytest

from tests.functional.auth.conftest import COOKIE, DEVELOPMENT, PRODUCTION

FORGED = "0" * 32


def token_of(client):
    client.get("/auth/sign-in")
    return client.cookies["combine_csrf"]


def post(client, status, **headers):
    return client.post("/whoami", headers=headers, status=status)


def test_form_without_a_token_is_rejected(service, client):
    client.set_cookie(COOKIE, service.cookie(service.user()))
    post(client, 400)
    token_of(service.client())
    client.post("/whoami", {"csrf_token": ""}, status=400)
    client.post("/whoami", {"csrf_token": FORGED}, status=400)
    post(client, 400, **{"X-CSRF-Token": FORGED})


def test_token_of_another_browser_is_rejected(service, client):
    token_of(client)
    post(client, 400, **{"X-CSRF-Token": token_of(service.client())})


def test_token_in_the_query_is_rejected(client):
    client.post(f"/whoami?csrf_token={token_of(client)}", status=400)


def test_own_token_in_field_or_header_is_accepted(client):
    token = token_of(client)
    assert client.post("/whoami", {"csrf_token": token}).status_int == 200
    assert post(client, 200, **{"X-CSRF-Token": token})


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_every_method_that_changes_data_needs_a_token(client, method):
    token = token_of(client)
    getattr(client, method)("/whoami", status=400)
    getattr(client, method)("/whoami", headers={"X-CSRF-Token": token}, status=200)


def test_file_instead_of_the_token_is_rejected(client):
    token = token_of(client)
    client.post("/whoami", upload_files=[("csrf_token", "t.txt", token.encode())], status=400)


@pytest.mark.parametrize("cookie", ["", "x", "\xff\xfe", "ä" * 32, "0" * 5000, "0" * 31 + "g"])
def test_malformed_cookie_is_rejected(client, cookie):
    environ = {"HTTP_COOKIE": f"combine_csrf={cookie}", "HTTP_X_CSRF_TOKEN": cookie}
    client.post("/whoami", extra_environ=environ, status=400)


def test_header_that_is_not_ascii_is_rejected(client):
    token_of(client)
    client.post("/whoami", extra_environ={"HTTP_X_CSRF_TOKEN": "\xff" * 32}, status=400)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8000", 200),
        ("http://localhost:8001", 400),
        ("https://localhost:8000", 400),
        ("http://localhost:8000.evil.example", 400),
        ("http://evil.example", 400),
        ("null", 400),
        ("", 400),
        ("\xff", 400),
        ("http://localhost:8000, http://evil.example", 400),
    ],
)
def test_other_origins_are_rejected(client, origin, status):
    post(client, status, **{"X-CSRF-Token": token_of(client), "Origin": origin})


def test_origin_of_the_public_url_is_accepted_behind_a_tls_proxy(make_service):
    client = make_service(PRODUCTION).client(HTTP_HOST="combine.example.com")
    cookie = {"HTTP_COOKIE": f"__Host-combine_csrf={FORGED}", "HTTP_X_CSRF_TOKEN": FORGED}

    def status(origin):
        environ = {**cookie, "HTTP_ORIGIN": origin}
        return client.post("/whoami", extra_environ=environ, expect_errors=True).status_int

    assert status("https://combine.example.com") == 200
    assert status("https://evil.example.com") == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://combine.example.com"}, 200),
        ({"Referer": "https://combine.example.com/projects"}, 200),
        ({"Origin": "https://evil.example.com"}, 400),
        ({"Origin": "http://combine.example.com"}, 400),
        ({"Referer": "https://evil.example.com/"}, 400),
        ({"Origin": "null"}, 400),
        ({}, 400),
    ],
)
def test_https_needs_an_origin(make_service, headers, status):
    client = make_service(PRODUCTION).client(
        HTTP_HOST="combine.example.com", **{"wsgi.url_scheme": "https"}
    )
    headers = {**headers, "Cookie": f"__Host-combine_csrf={FORGED}", "X-CSRF-Token": FORGED}
    assert client.post("/whoami", headers=headers, expect_errors=True).status_int == status


def test_bearer_token_needs_no_csrf_token(service, client):
    authorization = f"Bearer {service.token(service.user())}"
    assert post(client, 200, Authorization=authorization).json["kind"] == "token"


def test_invalid_bearer_token_still_needs_a_csrf_token(service, client):
    client.set_cookie(COOKIE, service.cookie(service.user()))
    for authorization in ("Bearer x", "Bearer", "Basic YTpi", "x"):
        post(client, 400, Authorization=authorization)


@pytest.mark.parametrize(
    ("ini", "host", "prefix", "secure"),
    [
        (DEVELOPMENT, "localhost:8000", "", ""),
        (PRODUCTION, "combine.example.com", "__Host-", "; secure"),
    ],
)
def test_cookie_has_its_attributes(make_service, ini, host, prefix, secure):
    service = make_service(ini)
    cookie = f"{prefix}{COOKIE}={service.cookie(service.user())}"
    answer = service.client(HTTP_HOST=host).get("/account", headers={"Cookie": cookie})
    [header] = answer.headers.getall("Set-Cookie")
    value = re.escape(prefix) + "combine_csrf=[0-9a-f]{32}"
    assert re.fullmatch(f"{value}; Path=/{secure}; HttpOnly; SameSite=Lax", header)
