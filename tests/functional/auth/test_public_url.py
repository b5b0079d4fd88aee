"""Tests that redirects start with PUBLIC_URL, and that contradicting requests are reported."""

from __future__ import annotations

import logging

import pytest
from webtest import TestApp

from combine_auth.public_url import Contradiction, recent_contradictions
from tests.functional.auth.conftest import DEVELOPMENT, PRODUCTION, Service

ORIGINS = {
    **PRODUCTION,
    "combine_core.allowed_origins": "https://combine.example.com https://app.example.org:8443",
}


@pytest.fixture
def service(database_url):
    """An application of its own, because it logs each contradiction once."""
    service = Service({**ORIGINS, "combine_core.database_url": database_url})
    yield service
    service.engine.dispose()


def browser(service, host="combine.example.com", scheme="http"):
    environ = {"REMOTE_ADDR": "192.0.2.1", "HTTP_HOST": host, "wsgi.url_scheme": scheme}
    return TestApp(service.app, extra_environ=environ, lint=False)


def location(service, host="combine.example.com", scheme="http", path="/account"):
    return browser(service, host, scheme).get(path, status=303).headers["Location"]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "host", ["combine.example.com", "Combine.example.com.", "combine.example.com:8000"]
)
def test_redirects_start_with_public_url(service, host, scheme):
    for path in ("/account", "/account?a=b"):
        assert location(service, host, scheme, path).startswith("https://combine.example.com/auth/")


def test_a_form_redirects_to_public_url(service):
    client = browser(service)
    client.set_cookie("__Host-combine_csrf", "0" * 32)
    headers = {"X-CSRF-Token": "0" * 32, "Origin": "https://combine.example.com"}
    answer = client.post("/auth/sign-out", headers=headers, status=303)
    assert answer.headers["Location"] == "https://combine.example.com/auth/sign-in"


def test_requests_to_other_allowed_origins_stay_there(service):
    # The cookies of the browser belong to that host.
    begin = "https://app.example.org:8443/auth/sign-in"
    assert location(service, "app.example.org:8443", "https").startswith(begin)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:9000", "[::1]:8000"])
def test_development_keeps_the_opened_address(database_url, host):
    service = Service({**DEVELOPMENT, "combine_core.database_url": database_url})
    assert location(service, host).startswith(f"http://{host}/auth/sign-in")
    service.engine.dispose()


def test_redirects_to_other_sites_are_not_changed(service):
    answer = browser(service).get("/auth/sign-in?next=//evil.example/", status=200)
    assert "evil.example" not in answer.text


# Contradictions.


def warnings(caplog):
    return [r.getMessage() for r in caplog.records if "PUBLIC_URL is" in r.getMessage()]


def test_a_wrong_scheme_is_logged_once_and_shown(service, caplog):
    for _ in range(3):
        location(service)
    (line,) = warnings(caplog)
    assert line.startswith(
        "A request came for http://combine.example.com, but PUBLIC_URL is"
        " https://combine.example.com. Make the proxy send X-Forwarded-Proto"
    )
    assert recent_contradictions(service.registry) == {
        Contradiction.SCHEME: "http://combine.example.com"
    }


def test_a_wrong_host_is_logged_once_and_shown(service, caplog):
    for _ in range(3):
        browser(service, "app:8000", "https").get("/account", status=400)
    (line,) = warnings(caplog)
    assert "https://app:8000" in line
    assert "Make the proxy pass the header Host on" in line
    assert recent_contradictions(service.registry) == {Contradiction.HOST: "https://app:8000"}


@pytest.mark.parametrize(
    ("host", "scheme"),
    [("combine.example.com", "https"), ("app.example.org", "http"), ("app.example.org", "https")],
)
def test_matching_requests_are_not_reported(service, caplog, host, scheme):
    location(service, host, scheme)
    assert warnings(caplog) == []
    assert recent_contradictions(service.registry) == {}


def test_probes_are_not_reported(service, caplog):
    browser(service, "10.0.0.1").get("/health/whoami", status="*")
    assert warnings(caplog) == []


def test_the_header_is_logged_in_one_line(service, caplog):
    host = "evil\x1b[31m" + "x" * 3000
    browser(service, host).get("/account", status=400)
    (line,) = warnings(caplog)
    assert line.isprintable()
    assert len(line) < 700


def test_a_warning_expires_after_an_hour(service):
    location(service)
    service.execute("UPDATE address_contradictions SET seen_at = now() - interval '61 minutes'")
    assert recent_contradictions(service.registry) == {}


def test_redirects_need_no_database(database_url, caplog):
    absent = database_url.rsplit("/", 1)[0] + "/absent"
    service = Service({**ORIGINS, "combine_core.database_url": absent})
    caplog.set_level(logging.INFO)
    browser(service, "evil.example").get("/account", status=400)
    assert "could not store a contradiction of PUBLIC_URL: OperationalError" in caplog.text
