"""Tests the API with a session cookie: only requests that change data need the CSRF token."""

import re

import pytest
from webtest import TestApp


@pytest.fixture
def browser(make_app) -> TestApp:
    app = make_app(
        {"combine_core.environment": "development", "combine_auth.local_sign_in": "true"}
    )
    client = TestApp(app, extra_environ={"REMOTE_ADDR": "127.0.0.1"}, lint=False)
    page = client.get("/auth/sign-in")
    [form] = [form for form in page.forms.values() if form.action.endswith("/auth/local")]
    form.submit()
    return client


def test_reading_needs_no_csrf_token(browser):
    assert browser.get("/api/v1/me").json["email"] == "local@localhost"
    assert browser.get("/api/v1/projects").json == {"items": [], "next": None}


def test_changing_data_needs_a_csrf_token(browser, problem):
    body = {"name": "Harbour"}
    told = problem(browser.post_json("/api/v1/projects", body, status="*"), 400)
    assert "X-CSRF-Token" in told["detail"]
    bad = {"X-CSRF-Token": "nonsense"}
    problem(browser.post_json("/api/v1/projects", body, headers=bad, status="*"), 400)
    # The explorer passes the token to its script.
    [token] = re.findall(r'data-csrf-token="([^"]+)"', browser.get("/docs").text)
    good = {"X-CSRF-Token": token}
    browser.post_json("/api/v1/projects", body, headers=good, status=201)
    other = {**good, "Origin": "https://evil.example"}
    problem(browser.post_json("/api/v1/projects", body, headers=other, status="*"), 400)
    assert len(browser.get("/api/v1/projects").json["items"]) == 1


def test_a_bad_token_never_falls_back_to_the_cookie(browser, problem):
    headers = {"Authorization": "Bearer nonsense"}
    problem(browser.get("/api/v1/me", headers=headers, status="*"), 401)
