"""Tests that only allowed origins may call the API, and only without cookies."""

from collections.abc import Iterator

import pytest
from webtest import TestApp

from combine_core.database import engine_of
from tests.functional.auth.conftest import PRODUCTION
from tests.functional.conftest import build_application

ALLOWED = ("https://combine.example.com", "https://app.example.org:8443")
CORS = {
    **PRODUCTION,
    "pyramid.includes": "combine_core combine_auth",
    "combine_core.allowed_origins": " ".join(ALLOWED),
}
PATHS = ["/api/v1/me", "/api/v1/nothing", "/oauth/token", "/.well-known/nothing"]
FOREIGN = [
    "null",
    "*",
    "",
    "https://evil.example",
    "http://combine.example.com",
    "https://combine.example.com:444",
    "https://combine.example.com:443",
    "https://combine.example.com.evil.example",
    "https://evilcombine.example.com",
    "https://combine.example.com/",
    "https://combine.example.com ",
    "HTTPS://COMBINE.EXAMPLE.COM",
    "https://app.example.org",
    "https://combine.example.com https://evil.example",
    "https://combine.example.com, https://evil.example",
    "https://combine.example.com@evil.example",
    "https://combine.example.com\x0b",
    "https://\u0441ombine.example.com".encode().decode("latin-1"),
]


@pytest.fixture(scope="module")
def _application(worker_database: str) -> Iterator[object]:
    # It replaces the application that the other tests share. ``app`` empties its database.
    application = build_application(worker_database, CORS)
    yield application
    engine_of(application.registry).dispose()


@pytest.fixture
def client(app):
    environ = {"HTTP_HOST": "combine.example.com", "wsgi.url_scheme": "https"}
    return TestApp(app, extra_environ=environ, lint=False)


def cors_headers(answer):
    return {name for name in answer.headers if name.lower().startswith("access-control-")}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", ALLOWED)
def test_an_allowed_origin_reads_every_response(client, path, origin):
    answer = client.get(path, headers={"Origin": origin}, status="*")
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"X-Request-ID", "Retry-After", "Link", "Location"} <= set(exposed)
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_other_origins_cannot_read_responses(client, origin, method):
    headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    answer = client.request("/api/v1/me", method=method, headers=headers, status="*")
    assert cors_headers(answer) == set()
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("path", [*PATHS, "/api/v1/projects/none/runs"])
def test_a_preflight_needs_no_authentication(client, app, path):
    answer = client.options(
        path,
        headers={
            "Origin": ALLOWED[0],
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "authorization, x-evil",
        },
        status=204,
    )
    assert answer.headers["Access-Control-Allow-Origin"] == ALLOWED[0]
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert "evil" not in answer.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert {"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"} <= {
        word.strip() for word in answer.headers["Vary"].split(",")
    }
    assert answer.body == b""
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_request_without_origin_gets_only_vary(client):
    answer = client.get("/api/v1/me", status=401)
    assert cors_headers(answer) == set()
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize(
    "path",
    ["/", "/projects", "/auth/sign-in", "/account", "/static/combine.css", "/apiary", "/docs"],
)
def test_pages_cannot_be_read_by_other_origins(client, path):
    for method in ("GET", "OPTIONS"):
        headers = {"Origin": ALLOWED[1], "Access-Control-Request-Method": "GET"}
        answer = client.request(path, method=method, headers=headers, status="*")
        assert cors_headers(answer) == set()


def test_an_unknown_host_gets_no_preflight_response(client):
    headers = {
        "Origin": ALLOWED[0],
        "Access-Control-Request-Method": "GET",
        "Host": "evil.example",
    }
    answer = client.options("/api/v1/me", headers=headers, status=400)
    assert "Access-Control-Allow-Methods" not in answer.headers


def test_error_responses_can_be_read(make_app, database_url):
    away = make_app(CORS, database_url=database_url.rsplit("/", 1)[0] + "/absent")
    environ = {"HTTP_HOST": "combine.example.com", "wsgi.url_scheme": "https"}
    headers = {
        "Origin": ALLOWED[0],
        # The token has a valid form, so the service queries the database.
        "Cookie": f"__Host-combine_session={'x' * 43}",
    }
    answer = TestApp(away, extra_environ=environ, lint=False).get(
        "/api/v1/me", headers=headers, status=503
    )
    assert answer.headers["Access-Control-Allow-Origin"] == ALLOWED[0]
    assert answer.headers["Retry-After"]
