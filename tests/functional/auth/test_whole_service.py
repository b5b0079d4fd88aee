"""Tests combine_auth in the complete service, as the ini file assembles it."""

import pytest
from webtest import TestApp

from tests.functional.auth.conftest import DEVELOPMENT


@pytest.fixture
def application(make_app):
    return make_app(DEVELOPMENT)


def browser(application):
    environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8000"}
    return TestApp(application, extra_environ=environ)


def test_a_user_signs_in_and_uses_the_api(application):
    client = browser(application)
    sign_in = client.get("/projects", status=303).follow()
    answer = sign_in.form.submit()
    assert answer.location == "http://localhost:8000/projects"
    assert "Local developer" in answer.follow()
    account = client.get("/account/tokens")
    form = next(f for f in account.forms.values() if f.action == "/account/tokens")
    form["name"] = "nightly"
    token = form.submit().follow().html.find(id="new-token").text

    program = browser(application)
    headers = {"Authorization": f"Bearer {token}"}
    assert program.get("/api/v1/me", headers=headers).json["email"] == "local@localhost"
    # Programs need no CSRF token.
    made = program.post_json("/api/v1/projects", {"name": "Apollo"}, headers=headers, status=201)
    assert made.json["slug"] == "apollo"

    # The cookie alone must not be enough to change data.
    client.post_json("/api/v1/projects", {"name": "Gemini"}, status=400)
    csrf = {"X-CSRF-Token": client.cookies["combine_csrf"]}
    client.post_json("/api/v1/projects", {"name": "Gemini"}, headers=csrf, status=201)


def test_api_refuses_strangers(application):
    client = browser(application)
    for headers in ({}, {"Authorization": "Bearer cmb_pat_x"}):
        answer = client.get("/api/v1/me", headers=headers, status=401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.content_type == "application/problem+json"
        client.post_json("/api/v1/projects", {"name": "x"}, headers=headers, status=401)
