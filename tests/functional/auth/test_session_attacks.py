"""Tests sessions against attacks: fixation, changed rights, sign-out everywhere, cookies (T27, T28)."""

import threading

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.security import forget, remember
from sqlalchemy import text
from webtest import TestApp

from combine_auth.administration.service import disable_user, set_administrator
from combine_auth.sessions import end_sessions_of
from combine_auth.settings import AuthSettings
from combine_core.database import engine_of, session_factory
from combine_core.settings import SETTINGS_KEY, CoreSettings, load_all
from combine_core.users import User, get_or_create_user
from tests.functional.auth.conftest import COOKIE, DEVELOPMENT, PRODUCTION


class Application:
    """An application whose ``/slow`` waits after it has identified the user."""

    def __init__(self, ini, url):
        ini = {**ini, "combine_core.database_url": url}
        loaded = load_all(ini, None, {}, [CoreSettings, AuthSettings])
        self.inside, self.go_on = threading.Event(), threading.Event()
        with Configurator(settings={**ini, SETTINGS_KEY: loaded}) as config:
            config.include("combine_core.settings")
            config.include("combine_core.database")
            config.include("combine_core.pages")
            config.include("combine_auth")
            for name in ("enter", "leave", "slow", "who"):
                config.add_route(name, f"/{name}")
                config.add_view(getattr(self, name), route_name=name, renderer="json")
            self.app = config.make_wsgi_app()
        self.sessions = session_factory(config.registry)
        self.engine = engine_of(config.registry)

    @staticmethod
    def enter(request):
        user = get_or_create_user(request.dbsession, request.params["email"])
        return HTTPSeeOther("/who", headers=remember(request, user.id))

    @staticmethod
    def leave(request):
        return HTTPSeeOther("/who", headers=forget(request))

    @staticmethod
    def who(request):
        identity = request.identity
        return {"email": identity and identity.email, "admin": identity and identity.is_admin}

    def slow(self, request):
        before = self.who(request)
        self.inside.set()
        assert self.go_on.wait(60)
        # A running request keeps its user. The next request checks the session again.
        assert self.who(request) == before
        return before

    def browser(self, host="localhost:8000", scheme="http"):
        environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": host, "wsgi.url_scheme": scheme}
        return TestApp(self.app, extra_environ=environ)


@pytest.fixture
def application(database_url):
    made = Application(DEVELOPMENT, database_url)
    yield made
    made.engine.dispose()


def enter(browser, email="ann@example.com"):
    browser.get("/enter", {"email": email}, status=303)
    return browser.cookies[COOKIE]


def who(browser):
    return browser.get("/who").json["email"]


def test_a_sign_in_replaces_older_cookies(application):
    attacker, victim = application.browser(), application.browser()
    planted = enter(attacker, "eve@example.com")
    victim.set_cookie(COOKIE, planted)
    victim.set_cookie("combine_csrf", "0" * 32)
    new = enter(victim)
    assert new != planted
    assert who(victim) == "ann@example.com"
    # The session of the attacker has ended too, and the planted CSRF token was replaced.
    assert who(attacker) is None
    assert victim.cookies["combine_csrf"] != "0" * 32


def test_an_invented_cookie_is_never_adopted(application):
    browser = application.browser()
    browser.set_cookie(COOKIE, "x" * 43)
    assert enter(browser) != "x" * 43


def test_sign_out_ends_the_session_and_renews_the_csrf_token(application):
    browser = application.browser()
    cookie, csrf = enter(browser), browser.cookies["combine_csrf"]
    browser.get("/leave", status=303)
    assert browser.cookies["combine_csrf"] != csrf
    browser.set_cookie(COOKIE, cookie)
    assert who(browser) is None


@pytest.mark.parametrize("is_admin", [True, False])
def test_a_change_of_rights_ends_older_sessions(application, is_admin):
    browser = application.browser()
    enter(browser)
    with application.sessions.begin() as session:
        user = session.query(User).one()
        user.is_admin = not is_admin
    with application.sessions.begin() as session:
        set_administrator(session, session.query(User).one(), is_admin)
    assert who(browser) is None
    enter(browser)
    assert browser.get("/who").json["admin"] is is_admin


@pytest.mark.parametrize("how", ["everywhere", "disabled"])
def test_a_sign_out_during_a_request_rejects_the_next_one(application, how):
    browsers = [application.browser() for _ in range(3)]
    for browser in browsers:
        enter(browser)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(browsers[0].get("/slow").json))
    thread.start()
    assert application.inside.wait(60)
    with application.sessions.begin() as session:
        user = session.query(User).one()
        if how == "everywhere":
            end_sessions_of(session, user.id)
        else:
            disable_user(session, user)
    for browser in browsers:
        assert who(browser) is None
    application.go_on.set()
    thread.join(60)
    assert answers == [{"email": "ann@example.com", "admin": False}]
    # The writes of the running request did not restore the session.
    for browser in browsers:
        assert who(browser) is None


def test_recording_a_use_never_restores_a_session(application):
    browser = application.browser()
    enter(browser)
    with application.sessions.begin() as session:
        session.execute(text("UPDATE sessions SET last_seen_at = now() - interval '1 hour'"))
    thread = threading.Thread(target=lambda: browser.get("/slow"))
    thread.start()
    assert application.inside.wait(60)
    with application.sessions.begin() as session:
        end_sessions_of(session, session.query(User).one().id)
    application.go_on.set()
    thread.join(60)
    with application.sessions() as session:
        assert session.scalar(text("SELECT count(*) FROM sessions")) == 0


def _set_cookies(answer):
    found = {}
    for header in answer.headers.getall("Set-Cookie"):
        pair, *attributes = header.split("; ")
        name, _, value = pair.partition("=")
        found[name] = (
            value,
            {a.partition("=")[0].lower(): a.partition("=")[2] for a in attributes},
        )
    return found


@pytest.mark.parametrize("view", ["/enter?email=ann@example.com", "/leave"])
def test_deployed_cookies_are_limited_to_host_and_https(database_url, view):
    application = Application(PRODUCTION, database_url)
    browser = application.browser("combine.example.com", "https")
    cookies = _set_cookies(browser.get(view, status=303))
    application.engine.dispose()
    assert set(cookies) == {"__Host-combine_session", "__Host-combine_csrf"}
    for _, attributes in cookies.values():
        assert "secure" in attributes
        assert "httponly" in attributes
        assert attributes["samesite"].lower() == "lax"
        assert attributes["path"] == "/"
        # Browsers would reject it because of the prefix.
        assert "domain" not in attributes


def test_cookies_in_development_work_without_https(application):
    cookies = _set_cookies(application.browser().get("/enter?email=ann@example.com"))
    value, attributes = cookies[COOKIE]
    assert len(value) == 43
    assert "secure" not in attributes
    assert "httponly" in attributes
    assert attributes["samesite"].lower() == "lax"
    assert int(attributes["max-age"]) == 7 * 24 * 3600
