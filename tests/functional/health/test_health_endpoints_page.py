"""Tests the page at /status."""

import hashlib
import re
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from pyramid.exceptions import ConfigurationError

from combine_health import HealthResult
from combine_health.engine.maintenance import Maintenance, write_file
from combine_health.engine.registry import health_of
from combine_health.engine.verdict import Saturation

LOCAL = {"REMOTE_ADDR": "127.0.0.1"}
PUBLIC = {"REMOTE_ADDR": "203.0.113.9"}
VOID = {"meta", "link", "br"}
HOSTILE = "<script>alert('x')</script>\"&"


class Page(HTMLParser):
    """A parsed HTML page with its text, tags and links. Parsing fails if the tags do not match."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.text, self.tags, self.links, self._open = "", [], [], []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self._open.append(tag)
        self.links += [value for name, value in attrs if name in {"href", "src", "action"}]
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" not in self._open:
            self.text += data + " "


def read(app, environ=LOCAL):
    answer = app.get("/status", status=200, extra_environ=environ)
    return answer, Page(answer.text)


@pytest.fixture
def app(make_app, make_switch, database):
    def setup(config):
        config.add_health_check(
            "database", database, remedy="Start it.", runbook="https://example.com/runbook#db"
        )
        config.add_health_check(
            "worker", make_switch(False), critical=False, runbook="javascript:1"
        )
        config.add_health_section("contacts", lambda _: {"on_call": "ada@example.com"})
        config.add_health_section("pool", lambda _: {"checked_out": 3, "names": ["a", "b"]})

    return make_app(setup, version="1.2.3")


def test_the_page_shows_details(app, database):
    _, page = read(app)
    assert "Degraded" in page.text
    database.answer = HealthResult.failing("refused", "no answer from db:5432")
    _, page = read(app)
    for said in (
        "Unavailable",
        "database",
        "failing",
        "refused: no answer from db:5432",
        "What to do: Start it.",
        "on call",
        "ada@example.com",
        "checked out",
        "a, b",
        "Version 1.2.3",
        "database.refused",  # the history of the service contains it
        "(javascript:1)",
    ):
        assert said in page.text, said
    assert page.links == ["https://example.com/runbook#db", "?refresh"]


def test_the_page_hides_details_from_other_clients(app, database):
    database.answer = HealthResult.failing("refused", "no answer from db:5432")
    _, page = read(app, PUBLIC)
    assert "Unavailable" in page.text
    assert "database" in page.text
    for hidden in ("refused", "no answer", "Start it", "ada@", "History", "1.2.3", "pool"):
        assert hidden not in page.text


def test_no_script_and_a_strict_policy(app):
    answer, page = read(app)
    assert "script" not in page.tags
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    for part in ("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"):
        assert part in policy
    assert "unsafe" not in policy
    assert "url(" not in style
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


def test_the_page_reloads_on_request(app):
    assert "http-equiv" not in app.get("/status", extra_environ=LOCAL).text
    answer = app.get("/status?refresh", extra_environ=LOCAL)
    assert '<meta http-equiv="refresh" content="10">' in answer.text
    assert Page(answer.text).links[-1] == "?"


@pytest.mark.parametrize(
    ("home", "link"),
    [("/", "/below/"), ("https://example.com/a?b=1&c", "https://example.com/a?b=1&c")],
)
def test_the_page_links_back(make_app, home, link):
    app = make_app(home=home)
    answer = app.get("/status", extra_environ={**LOCAL, "SCRIPT_NAME": "/below"})
    assert Page(answer.text).links[0] == link


@pytest.mark.parametrize("home", ["projects", "//example.com", "javascript:1", "/ a"])
def test_an_invalid_link_back_is_rejected(make_app, home):
    with pytest.raises(ConfigurationError, match=r"combine_health\.home"):
        make_app(home=home)


def test_the_page_supports_dark_and_narrow_screens(app):
    answer, _ = read(app)
    assert '<meta name="viewport"' in answer.text
    assert "prefers-color-scheme: dark" in answer.text
    assert '<html lang="en">' in answer.text


def test_all_texts_are_escaped(make_app, tmp_path):
    def setup(config):
        config.add_health_check(
            "a",
            lambda _: HealthResult.failing("x", HOSTILE),
            remedy=HOSTILE,
            runbook=f"https://example.com/{HOSTILE}",
        )
        config.add_health_check("b", lambda _: HealthResult.healthy(HOSTILE), runbook=HOSTILE)
        config.add_health_section("contacts", lambda _: {HOSTILE: HOSTILE})

    app = make_app(setup, version=HOSTILE)
    read(app)
    until = datetime.now(UTC) + timedelta(hours=1)
    write_file(tmp_path / "maintenance.json", Maintenance(HOSTILE, HOSTILE, until))
    health_of(app.app.registry).maintenance.update()
    answer, page = read(app)
    assert "script" not in page.tags
    assert "<script" not in answer.text
    assert page.text.count("alert('x')") >= 6
    assert "Maintenance" in page.text


def test_the_page_works_without_checks(make_app):
    _, page = read(make_app())
    assert "Healthy" in page.text
    assert "No checks are declared." in page.text


def test_every_state_has_a_text(make_app):
    app = make_app()
    health = health_of(app.app.registry)
    health.read_saturation = lambda: Saturation(4, 4, 9, since=0.0)
    assert "4 of 4 worker threads busy, 9 requests wait." in read(app)[1].text
    assert "worker_saturation" in read(app)[1].text
    health.draining = True
    assert "Draining" in read(app)[1].text


def test_only_get_and_head_are_accepted(app):
    assert app.head("/status", extra_environ=LOCAL).body == b""
    assert app.post("/status", status=405).headers["Allow"] == "GET, HEAD"
