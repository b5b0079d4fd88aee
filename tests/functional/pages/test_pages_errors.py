"""Tests error pages, and the headers of every response."""

import threading
from contextlib import contextmanager

import psycopg2
import pytest
from sqlalchemy import event, text
from webob import Request

from combine_core.database import engine_of
from combine_core.pages import projects
from combine_core.web.security_headers import CONTENT_SECURITY_POLICY


def check_error_page(answer, status, title):
    assert answer.status_int == status
    assert answer.content_type == "text/html"
    assert answer.html.h1.text == title
    assert answer.headers["X-Request-ID"] in answer.html.main.text
    assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    # The page does not look up the user.
    assert not answer.html.select(".asker")


def test_an_unknown_path_gets_404(place, ada):
    for path in ("/nowhere", "/projects/", "/static/nothing.css", "/projects/NO", "/a%0Ab"):
        with place.statements() as sent:
            answer = ada.get(path, status=404)
        check_error_page(answer, 404, "Page not found")
        assert sent == []


def test_a_path_that_is_not_utf8_gets_an_error_page(app):
    request = Request.blank("/projects", environ={"PATH_INFO": "/\xff"})
    answer = request.get_response(app)
    assert answer.status_int == 404
    assert "Page not found" in answer.text


def test_other_methods_get_405(ada, slug):
    answer = ada.client.delete("/projects", expect_errors=True)
    check_error_page(answer, 405, "This address cannot be opened directly")
    assert answer.headers["Allow"] == "GET, HEAD, POST"
    answer = ada.client.put(f"/projects/{slug}", expect_errors=True)
    assert answer.status_int == 405


def test_a_form_without_a_csrf_token_is_rejected(ada, slug):
    path = f"/projects/{slug}"
    for fields in ({}, {"csrf_token": "wrong"}):
        fields = {"form": "paste", "name": "a", "text": "b", **fields}
        answer = ada.client.post(path, fields, expect_errors=True)
        check_error_page(answer, 400, "This form has expired")
    assert "No sources yet" in ada.get(path)


def test_an_unknown_form_is_rejected(ada, slug, form_of):
    form = form_of(ada.get(f"/projects/{slug}"), "paste")
    form["form"] = "nonsense"
    check_error_page(form.submit(expect_errors=True), 400, "This request is invalid")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"form=paste"),
        ("multipart/form-data; boundary=\x01", b"form=paste"),
        ("application/x-www-form-urlencoded; charset=utf-16", b"form=paste"),
        ("application/x-www-form-urlencoded; charset=nonsense", b"form=paste"),
    ],
)
def test_an_unreadable_form_is_rejected(ada, slug, content_type, body):
    answer = ada.client.request(
        f"/projects/{slug}",
        method="POST",
        body=body,
        headers={"Content-Type": content_type},
        expect_errors=True,
    )
    check_error_page(answer, 400, "This request is invalid")
    assert "The form cannot be read." in answer


def test_an_unreadable_query_is_rejected(ada):
    answer = ada.get("/projects?cursor=%ff", expect_errors=True)
    check_error_page(answer, 400, "This request is invalid")


def test_a_body_above_the_limit_gets_413(make_place):
    place = make_place({"combine_core.max_request_body_size": "2k"})
    ada = place.visitor()
    slug = place.project(ada)
    answer = ada.client.post(f"/projects/{slug}", {"text": "x" * 3000}, expect_errors=True)
    check_error_page(answer, 413, "The upload is too large")


def test_an_unexpected_error_gets_500(ada, monkeypatch, caplog):
    def fail(*_args, **_options):
        raise RuntimeError("with a secret in it")

    monkeypatch.setattr(projects, "list_projects", fail)
    answer = ada.get("/projects", expect_errors=True)
    check_error_page(answer, 500, "Something went wrong")
    assert "secret" not in answer
    logged = [record for record in caplog.records if record.name == "combine_core.web.problems"]
    assert len(logged) == 1
    assert logged[0].exc_info is not None


def test_an_unreachable_database_gets_503(make_place, caplog):
    # No server listens on port 1.
    place = make_place(url="postgresql://combine:sesame@127.0.0.1:1/combine")
    client = place.stranger()
    client.set_cookie("combine_session", "x" * 43)
    for path in ("/", "/projects", "/projects/ovens", "/runs/01a208f2-a042-737c-b291-5e9a3006f95b"):
        answer = client.get(path, expect_errors=True)
        check_error_page(answer, 503, "The database cannot be reached")
        assert answer.headers["Retry-After"] == "5"
    # The remedy of the runbook.
    steps = [step.text for step in answer.html.select("ol li")]
    assert steps == [
        "Verify that the database is running.",
        "Check the format of DATABASE_URL.",
        "Verify network connectivity.",
        "Check the credentials.",
    ]
    assert "sesame" not in answer
    assert "sesame" not in caplog.text
    # Pages that need no database still work.
    client.get("/nowhere", status=404)
    client.get("/static/combine.css", status=200)
    place.stranger().get("/auth/sign-in", status=200)


def test_a_statement_timeout_gets_503(ada, monkeypatch):
    def wait(session, *_args, **_options):
        session.execute(text("SET LOCAL statement_timeout = '10ms'"))
        session.execute(text("SELECT pg_sleep(10)"))

    monkeypatch.setattr(projects, "list_projects", wait)
    answer = ada.get("/projects", expect_errors=True)
    check_error_page(answer, 503, "The database is busy")


@contextmanager
def killed_at_commit(engine, database_url):
    """The database closes the connection of this thread just before the commit."""
    thread = threading.get_ident()

    def kill(connection):
        if threading.get_ident() != thread:
            return
        pid = connection.connection.dbapi_connection.info.backend_pid
        other = psycopg2.connect(database_url)
        other.autocommit = True
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        other.close()

    event.listen(engine, "commit", kill)
    try:
        yield
    finally:
        event.remove(engine, "commit", kill)


def test_a_database_failure_at_commit_gets_503(place, ada, database_url):
    form = ada.get("/projects").forms[1]
    form["name"] = "Ovens"
    with killed_at_commit(engine_of(place.registry), database_url):
        answer = form.submit(expect_errors=True)
    check_error_page(answer, 503, "The database cannot be reached")
    assert "You have no projects yet" in ada.get("/projects")


HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@pytest.mark.parametrize(
    "path", ["/", "/projects", "/auth/sign-in", "/nowhere", "/static/combine.css", "/api/v1/me"]
)
def test_every_response_has_security_headers(ada, path):
    answer = ada.get(path, expect_errors=True)
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert "Strict-Transport-Security" not in answer.headers
    secure = ada.get(path, expect_errors=True, extra_environ={"wsgi.url_scheme": "https"})
    assert secure.headers["Strict-Transport-Security"].startswith("max-age=31536000")


def test_pages_are_not_cached_and_files_are(ada):
    page = ada.get("/projects")
    assert page.headers["Cache-Control"] == "no-store"
    for link in page.html.select("link[rel=stylesheet]"):
        file = ada.get(link["href"])
        assert file.headers["Cache-Control"] == "max-age=86400"
        assert "?v=" in link["href"]


def test_probes_have_no_security_headers(ada):
    for path in ("/health", "/health/ready", "/health/detailed"):
        answer = ada.get(path, expect_errors=True)
        assert not HEADERS.keys() & answer.headers.keys()


def test_a_view_may_set_its_own_policy(ada):
    policy = ada.get("/docs").headers.getall("Content-Security-Policy")
    assert len(policy) == 1
    assert policy[0] != CONTENT_SECURITY_POLICY


def test_the_api_has_its_own_error_responses(ada):
    for path in ("/api/v1/projects/none", "/api/none", "/api"):
        answer = ada.get(path, status=404)
        assert answer.content_type == "application/problem+json"
