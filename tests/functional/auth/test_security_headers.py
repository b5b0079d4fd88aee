"""Tests that every response except the probes has the security headers, whatever its status."""

import socket

import pytest
from webtest import TestApp

from combine_auth.sessions import start_session
from combine_core.database import session_factory

REQUIRED = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
REQUESTS = [
    ("GET", "/", 303),
    ("GET", "/projects", 303),
    ("GET", "/projects/none", 303),
    ("GET", "/nothing", 404),
    ("GET", "/nothing%0a", 404),
    ("GET", "/%ff", 404),
    ("GET", "/projects?q=%ff", 400),
    ("GET", "/auth/sign-in", 200),
    ("DELETE", "/auth/sign-in", 405),
    ("GET", "/auth/sign-out", 405),
    ("POST", "/auth/sign-out", 400),
    ("GET", "/account", 303),
    ("GET", "/docs", 200),
    ("GET", "/docs/none", 404),
    ("GET", "/docs/explorer.js", 200),
    ("GET", "/static/combine.css", 200),
    ("GET", "/static/none.css", 404),
    ("GET", "/static/../app.py", 404),
    ("GET", "/api/v1/openapi.yaml", 200),
    ("GET", "/api/v1/me", 401),
    ("GET", "/api/v1/nothing", 404),
    ("DELETE", "/api/v1/me", 401),
    ("OPTIONS", "/api/v1/me", 401),
    ("GET", "/favicon.ico", 404),
]


def check(headers):
    for name, part in REQUIRED.items():
        assert part in headers.get(name, ""), (name, headers.get(name))
    assert headers.get("Cache-Control")


@pytest.mark.parametrize(("method", "path", "status"), REQUESTS)
@pytest.mark.parametrize("accept", ["text/html", "*/*"])
def test_every_response_has_the_headers(testapp, method, path, status, accept):
    answer = testapp.request(path, method=method, headers={"Accept": accept}, status="*")
    assert answer.status_int == status
    check(answer.headers)


def test_a_response_to_an_unknown_host_has_the_headers(testapp):
    answer = testapp.get("/projects", headers={"Host": "evil.example"}, status=400)
    check(answer.headers)


@pytest.mark.parametrize("path", ["/projects", "/api/v1/me"])
def test_a_response_without_the_database_has_the_headers(make_app, database_url, path):
    away = TestApp(make_app(database_url=database_url.rsplit("/", 1)[0] + "/absent"), lint=False)
    headers = {"Cookie": f"__Host-combine_session={'x' * 43}"}
    check(away.get(path, headers=headers, status=503).headers)


@pytest.mark.parametrize("path", ["/", "/api/v1/me", "/nothing"])
def test_https_responses_have_hsts(testapp, path):
    answer = testapp.get(path, extra_environ={"wsgi.url_scheme": "https"}, status="*")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "Strict-Transport-Security" not in testapp.get(path, status="*").headers


def test_private_responses_are_not_cached(app, sign_in, testapp):
    person = sign_in()
    slug = person.client.post_json("/api/v1/projects", {"name": "Harbour"}).json["slug"]
    with session_factory(app.registry).begin() as session:
        cookie = start_session(session, person.user_id)
    headers = {"Cookie": f"__Host-combine_session={cookie}"}
    for path in ("/projects", f"/projects/{slug}", f"/projects/{slug}/members", "/account"):
        answer = testapp.get(path, headers=headers, status=200)
        assert "no-store" in answer.headers["Cache-Control"] or (
            "max-age=0" in answer.headers["Cache-Control"]
        )
        check(answer.headers)


def test_probes_have_no_security_headers(testapp):
    for path in ("/health", "/health/ready", "/health/detailed"):
        answer = testapp.get(path, status="*")
        assert "Content-Security-Policy" not in answer.headers


def test_pages_cannot_be_framed_or_run_inline_scripts(testapp):
    policy = testapp.get("/auth/sign-in").headers["Content-Security-Policy"]
    for part in ("default-src 'none'", "script-src 'self'", "base-uri 'none'"):
        assert part in policy
    assert "unsafe" not in policy
    assert "*" not in policy


ODD_REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /projects HTTP/1.0\r\n\r\n",
    b"GET /projects HTTP/1.1\r\nHost: \xff\r\n\r\n",
]


def test_malformed_requests_get_the_headers(start_service):
    port = int(start_service().url.rpartition(":")[2])
    for request in ODD_REQUESTS:
        with socket.create_connection(("127.0.0.1", port), 20) as connection:
            connection.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer and (more := connection.recv(65536)):
                answer += more
        head = answer.partition(b"\r\n\r\n")[0].decode("latin-1")
        assert head.split()[1] in {"303", "400"}, request
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
        check(headers)
