"""Tests the pages in an application of their own: layout, header, static files, headers and errors."""

from types import SimpleNamespace

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationConflictError
from pyramid.httpexceptions import HTTPForbidden, HTTPServiceUnavailable
from pyramid.testing import DummySecurityPolicy
from webtest import TestApp

from combine_core.users import Identity
from combine_core.web.security_headers import CONTENT_SECURITY_POLICY

LAYOUT = "combine_core:pages/layout.jinja2"


class Policy(DummySecurityPolicy):
    def authenticated_userid(self, request):
        return None if self.identity(request) is None else "ada"


def make_config(identity=None):
    config = Configurator()
    config.include("combine_core.pages")
    # Two reviews wait for the signed-in user.
    counted = SimpleNamespace(scalar_one=lambda: 2)
    connection = SimpleNamespace(execute=lambda *_: counted, in_transaction=lambda: True)
    session = SimpleNamespace(flush=lambda: None, connection=lambda: connection, info={})
    config.add_request_method(lambda _request: session, "dbsession", property=True)
    config.add_route("page", "/some/page")
    config.add_view(lambda _request: {}, route_name="page", renderer=LAYOUT)
    config.set_security_policy(Policy(identity=identity))
    return config


def make_app(config):
    return TestApp(config.make_wsgi_app())


@pytest.fixture
def ada():
    return Identity(user_id=None, email="ada@example.com", name="Ada <L>", is_admin=False)


def test_the_layout_for_a_stranger():
    html = make_app(make_config()).get("/some/page").html
    assert html.html["lang"] == "en"
    assert html.main["id"] == "content"
    assert html.select_one(".skip-link")["href"] == "#content"
    assert not html.find_all(["nav", "form"])


def test_the_layout_links_to_the_api_and_the_status():
    config = make_config()
    config.add_route("combine_health_status", "/status")
    foot = make_app(config).get("/some/page").html.footer
    assert [(link.text, link["href"]) for link in foot.find_all("a")] == [("Status", "/status")]


def test_the_layout_for_a_user(ada):
    html = make_app(make_config(ada)).get("/some/page").html
    assert html.select_one(".asker-name").text == "Ada <L>"
    assert [link.text for link in html.nav.find_all("a")] == ["Projects", "Inbox 2 waiting"]
    # No add-on offers sign-out.
    assert not html.find_all("form")


def test_nav_items_are_in_order(ada):
    config = make_config(ada)
    config.add_route("above", "/some")
    config.add_nav_item("Above", "above", order=5)
    config.add_nav_item("Here", "page")
    html = make_app(config).get("/some/page").html
    assert [(link.text, link.get("aria-current")) for link in html.nav.find_all("a")] == [
        ("Above", "page"),
        ("Projects", None),
        ("Inbox 2 waiting", None),
        ("Here", "page"),
    ]


def test_nav_items_are_introspectable_and_conflict():
    config = make_config()
    config.add_nav_item("Here", "page", order=7)
    config.commit()
    shown = config.introspector.get("combine nav items", "page")
    assert shown["title"] == "Here"
    assert shown["order"] == 7
    other = make_config()
    other.add_nav_item("Here", "page")
    other.add_nav_item("There", "page")
    with pytest.raises(ConfigurationConflictError):
        other.commit()


def test_a_misspelt_name_in_a_template_fails():
    config = make_config()
    config.commit()
    environment = config.get_jinja2_environment()
    assert environment.autoescape
    with pytest.raises(Exception, match="'misspelt' is undefined"):
        environment.from_string("{{ misspelt }}").render()


def test_jinja2_settings_of_the_application_are_kept():
    config = Configurator(settings={"jinja2.undefined": ""})
    config.include("combine_core.pages")
    config.commit()
    assert config.get_jinja2_environment().from_string("{{ misspelt }}").render() == ""


def test_names_of_static_files_depend_on_their_content(tmp_path):
    page = make_app(make_config()).get("/some/page")
    links = [link["href"] for link in page.html.find_all("link")]
    assert len(links) == 3
    assert all("?v=" in link for link in links)
    again = make_app(make_config()).get("/some/page")
    assert [link["href"] for link in again.html.find_all("link")] == links

    # A style sheet that the application uses instead of ours has another name.
    own = tmp_path / "own.css"
    own.write_text("body { color: red }")
    config = make_config()
    config.override_asset("combine_core:pages/static/combine.css", str(own))
    html = make_app(config).get("/some/page").html
    changed = [link["href"] for link in html.find_all("link")]
    assert changed[:2] == links[:2]
    assert changed[2] != links[2]
    assert changed[2].startswith("/static/combine.css?v=")


def test_all_responses_except_probes_have_headers():
    config = make_config()
    for path in ("/health", "/health/ready", "/healthy", "/health-insurance"):
        config.add_route(path, path)
        config.add_view(lambda _request: {}, route_name=path, renderer="json")
    app = make_app(config)
    for path in ("/some/page", "/healthy", "/health-insurance", "/static/combine.css", "/nowhere"):
        answer = app.get(path, expect_errors=True)
        assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for path in ("/health", "/health/ready"):
        assert "Content-Security-Policy" not in app.get(path).headers


def test_probes_are_recognized_by_the_prefix_of_combine_health():
    config = make_config()
    config.registry.settings["combine_health.background"] = "false"
    config.include("combine_health", route_prefix="/internal")
    app = make_app(config)
    for path in ("/internal/health", "/internal/health/ready", "/internal/metrics"):
        assert "Content-Security-Policy" not in app.get(path, expect_errors=True).headers
    for path in ("/health", "/health/ready", "/metrics", "/internal/healthy"):
        assert "Content-Security-Policy" in app.get(path, status=404).headers


def test_a_header_of_the_view_is_kept():
    def own(request):
        request.response.headers["Content-Security-Policy"] = "sandbox"
        request.response.headers["Cache-Control"] = "max-age=5"
        return {}

    config = make_config()
    config.add_route("own", "/own")
    config.add_view(own, route_name="own", renderer="json")
    headers = make_app(config).get("/own").headers
    assert headers.getall("Content-Security-Policy") == ["sandbox"]
    assert headers.getall("Cache-Control") == ["max-age=5"]


def test_pages_load_nothing_inline_or_from_elsewhere():
    sources = CONTENT_SECURITY_POLICY.replace(";", "").split()
    assert "'unsafe-inline'" not in sources
    assert not [source for source in sources if "://" in source or source == "*"]


def test_a_stranger_gets_an_error_without_a_sign_in_page():
    answer = make_app(make_config()).get("/projects", status=401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.html.h1.text == "You are not signed in"


def test_a_stranger_is_redirected_to_the_sign_in_page():
    config = make_config()
    config.add_route("auth.sign_in", "/auth/sign-in")
    answer = make_app(config).get("/projects?cursor=x%20%2F", status=303)
    assert answer.location.endswith("/auth/sign-in?next=%2Fprojects%3Fcursor%3Dx%2520%252F")


def test_a_forbidden_page_of_another_add_on(ada):
    def refuse(_request):
        raise HTTPForbidden

    for identity, status in ((None, 401), (ada, 403)):
        config = make_config(identity)
        config.add_route("secret", "/secret")
        config.add_view(refuse, route_name="secret")
        make_app(config).get("/secret", status=status)


def test_an_error_of_another_add_on_keeps_its_text_and_headers():
    def refuse(_request):
        raise HTTPServiceUnavailable("The <kiln> is cold.", headers=[("Retry-After", "7")])

    config = make_config()
    config.add_route("cold", "/cold")
    config.add_view(refuse, route_name="cold")
    answer = make_app(config).get("/cold", status=503)
    assert "The <kiln> is cold." in answer.html.main.text
    assert answer.headers["Retry-After"] == "7"
