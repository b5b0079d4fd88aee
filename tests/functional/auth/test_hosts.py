"""Tests that requests for a host that is not a name of the service are rejected."""

import http.client

import pytest
from webob import Request
from webtest import TestApp

from combine_core.web.hosts import KnownHosts
from tests.functional.auth.conftest import PRODUCTION

ORIGINS = {
    **PRODUCTION,
    "combine_core.allowed_origins": "https://combine.example.com https://app.example.org:8443",
}


@pytest.fixture
def ask(make_service):
    app = make_service(ORIGINS).app

    def ask(host, path="/whoami", **environ):
        environ = {"REMOTE_ADDR": "192.0.2.1", "wsgi.url_scheme": "https", **environ}
        return TestApp(app, extra_environ={**environ, "HTTP_HOST": host}, lint=False).get(
            path, status="*"
        )

    return ask


@pytest.mark.parametrize(
    "host",
    [
        "combine.example.com",
        "Combine.Example.COM",
        "combine.example.com.",
        "combine.example.com:443",
        # A proxy in front of the service may listen on another port.
        "combine.example.com:8000",
        "app.example.org",
    ],
)
def test_own_names_are_accepted(ask, host):
    assert ask(host).status_int == 200


FOREIGN = [
    "evil.example",
    "combine.example.com.evil.example",
    "evilcombine.example.com",
    "example.com",
    "combine.example.com@evil.example",
    "combine.example.com:443@evil.example",
    "combine.example.com, evil.example",
    "combine.example.com evil.example",
    "combine.example.com/evil",
    "combine.example.com:evil",
    "localhost",
    "127.0.0.1",
    "[::1]:8000",
    "10.0.0.1",
    "\u0441ombine.example.com".encode().decode("latin-1"),
    "combine.example.com\t",
    "[combine.example.com]",
]


@pytest.mark.parametrize("host", FOREIGN)
def test_other_hosts_are_rejected(ask, host):
    answer = ask(host)
    assert answer.status_int == 400
    assert "Set-Cookie" not in answer.headers
    assert "Location" not in answer.headers
    assert answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_error_names_the_remedy_and_not_the_host(ask):
    answer = ask("evil.example", HTTP_ACCEPT="text/html")
    assert "ALLOWED_ORIGINS" in answer.text
    assert "evil" not in answer.text


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("path", ["/health", "/health/whoami", "/health/ready", "/metrics"])
def test_probes_may_use_any_host(ask, host, path):
    assert ask(host, path).status_int != 400


@pytest.mark.parametrize(
    "path", ["/healthy", "/health%2f..%2fwhoami", "//health", "/metrics/x", "/"]
)
def test_similar_paths_are_not_probes(ask, path):
    answer = ask("evil.example", path)
    assert answer.status_int in {400, 404}
    assert "Location" not in answer.headers


@pytest.mark.parametrize(
    "header", ["HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED", "HTTP_X_HOST", "HTTP_X_ORIGINAL_HOST"]
)
def test_headers_of_an_untrusted_proxy_are_ignored(ask, header):
    value = "host=evil.example" if header == "HTTP_FORWARDED" else "evil.example"
    answer = ask("combine.example.com", "/account", **{header: value})
    assert answer.status_int == 303
    assert "evil" not in answer.location
    assert ask("evil.example", **{header: "combine.example.com"}).status_int == 400


def test_a_request_without_a_host_uses_the_server_name(make_service):
    app = make_service(ORIGINS).app
    environ = {"REMOTE_ADDR": "192.0.2.1", "SERVER_NAME": "combine.example.com"}
    request = Request.blank("/whoami", environ=environ)
    del request.environ["HTTP_HOST"]
    assert request.get_response(app).status_int == 200


def test_the_host_is_checked_before_the_user(make_service):
    service = make_service(ORIGINS)
    cookie = service.cookie(service.user())
    client = TestApp(service.app, extra_environ={"HTTP_HOST": "evil.example"}, lint=False)
    with service.statements() as sent:
        client.get("/whoami", headers={"Cookie": f"__Host-combine_session={cookie}"}, status=400)
    assert sent == []


@pytest.mark.parametrize(
    ("environ", "known"),
    [
        ({"HTTP_HOST": "localhost:8123"}, True),
        ({"HTTP_HOST": "127.0.0.1"}, True),
        ({"HTTP_HOST": "[::1]:8000"}, True),
        ({"HTTP_HOST": "combine.localhost"}, True),
        ({"HTTP_HOST": "192.168.1.5:8000", "SERVER_NAME": "192.168.1.5"}, True),
        ({"HTTP_HOST": "192.168.1.5:8000", "SERVER_NAME": "localhost"}, False),
        ({"HTTP_HOST": "localhost.evil.example"}, False),
        ({"HTTP_HOST": "evil.example"}, False),
        ({}, False),
    ],
)
def test_local_names_are_accepted_in_development(environ, known):
    assert KnownHosts(["http://combine.test"], local=True).knows(environ) is known


def test_localhost_and_127_0_0_1_are_both_accepted():
    hosts = KnownHosts(["http://localhost:8000"], local=False)
    assert hosts.knows({"HTTP_HOST": "127.0.0.1:8000"})
    assert not hosts.knows({"HTTP_HOST": "192.168.1.5", "SERVER_NAME": "192.168.1.5"})


def test_hosts_are_checked_over_real_http(service_process):
    """The request line has the absolute form, and waitress must ignore forged headers."""
    port = int(service_process.url.rpartition(":")[2])

    def ask(target, host, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.putrequest("GET", target, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": host, **headers}.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        answer.body = answer.read()
        connection.close()
        return answer

    good = f"localhost:{port}"
    # RFC 9112, 3.2.2: one host counts, never a mixture. waitress passes on the Host header.
    for target, host, status in (
        ("/projects", good, 303),
        ("/projects", "evil.example", 400),
        (f"http://{good}/projects", "evil.example", 400),
        ("http://evil.example/projects", good, 303),
    ):
        answer = ask(target, host)
        assert answer.status == status, (target, host)
        assert b"evil.example" not in answer.body
        assert "evil.example" not in str(answer.headers)
    for headers in (
        {"X_Forwarded_Host": "evil.example"},
        {"Forwarded": "host=evil.example;proto=https"},
    ):
        answer = ask("/projects", good, **headers)
        assert answer.status == 303
        assert "evil.example" not in str(answer.headers)
    assert ask("/health", "evil.example").status == 200
    assert ask("/api/v1/me", "evil.example").getheader("Content-Type") == "application/problem+json"


@pytest.fixture
def service_process(start_service):
    return start_service()
