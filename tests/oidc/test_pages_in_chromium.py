"""Tests the sign-in pages in every size and color scheme, and against attacks of other sites."""

from __future__ import annotations

import re
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.oidc.browsing import combine, heading, sign_in
from tests.oidc.issuer import skip_without_node

pytestmark = pytest.mark.slow

skip_without_node()
if shutil.which("chromium") is None:
    pytest.skip("no Chromium here (Debian: apt-get install chromium)", allow_module_level=True)

NARROW = {"width": 360, "height": 740}
WIDE = {"width": 1280, "height": 800}


@pytest.fixture
def other_site():
    """``other_site("<p>...")``: the address of a page with this content, on a host of its own."""
    servers = []

    def serve(body):
        class Page(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(f'<link rel="icon" href="data:,">{body}'.encode())

            def log_message(self, *_):
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.9", 0), Page))
        Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.9:{servers[-1].server_port}/"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def must_fit(page):
    """Check that no page is wider than the window, and that its headings are in order."""
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    for viewport in (NARROW, WIDE):
        page.set_viewport_size(viewport)
        sticks_out = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert sticks_out <= 0, (page.url, viewport)
    ranks = page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))"
    )
    assert ranks.count(1) == 1, page.url
    assert all(b - a <= 1 for a, b in zip([1, *ranks], ranks, strict=False)), page.url


def test_every_page_fits_every_screen(service, open_page, google):
    google.account(
        "long",
        name="Maximiliane von und zu Hohenstein-Weikersheim",
        email="maximiliane.von-und-zu-hohenstein@a-domain-with-a-very-long-name.example.com",
        email_verified=True,
    )
    printed = combine(service, "user", "create", "boss@example.com")
    invitation = re.search(r"http\S+/auth/invitation\?token=\S+", printed).group()
    inside = open_page(service, viewport=WIDE)
    sign_in(inside, "Google", "long")
    state = inside.context.storage_state()
    for scheme, ground in (("light", "rgb(252, 251, 248)"), ("dark", "rgb(21, 26, 25)")):
        page = open_page(service, expected=(400, 409, 502), color_scheme=scheme)
        for address in (
            "/auth/sign-in?signed_out=microsoft",
            invitation,
            "/auth/error?code=invalid_client&provider=google&request=4f1c09aa27d3be55",
            "/auth/error?code=email_in_use&provider=microsoft",
            "/auth/error?code=whatever",
        ):
            page.goto(address)
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == ground
            must_fit(page)
        page = open_page(service, color_scheme=scheme, storage_state=state)
        page.goto("/account")
        must_fit(page)
        page.get_by_role("link", name="Add a way to sign in").click()
        heading(page, "Add a way to sign in")
        must_fit(page)


def test_scripts_cannot_read_the_cookies(service, open_page):
    page = open_page(service)
    sign_in(page, "Google", "anna")
    cookies = page.context.cookies(service.url)
    assert len(cookies) >= 2
    for cookie in cookies:
        assert cookie["httpOnly"], cookie["name"]
        assert cookie["sameSite"] in ("Lax", "Strict"), cookie["name"]
    assert page.evaluate("document.cookie") == ""


def test_deployed_cookies_belong_to_the_host(serve, open_page):
    # Chromium considers loopback as safe as https.
    page = open_page(serve(ENVIRONMENT="test"))
    sign_in(page, "Microsoft", "ben")
    cookies = page.context.cookies()
    ours = [cookie for cookie in cookies if cookie["domain"] == "127.0.0.1"]
    assert len(ours) >= 2
    for cookie in ours:
        assert cookie["name"].startswith("__Host-"), cookie["name"]
        assert cookie["secure"], cookie["name"]


@pytest.mark.parametrize("path", ["/auth/sign-out", "/auth/google/start", "/account/sessions/end"])
def test_another_site_cannot_submit_a_form(service, open_page, other_site, path):
    page = open_page(service, expected=(400, 403, 404))
    sign_in(page, "Google", "anna")
    trap = f'<form method="post" action="{service.url}{path}"><button>Win</button></form>'
    page.goto(other_site(trap))
    page.get_by_role("button", name="Win").click()
    page.wait_for_url(f"{service.url}{path}")
    assert page.locator("h1").inner_text() != "Sign in with Google"
    page.goto("/account")
    heading(page, "Account")


def test_another_site_cannot_frame_a_page(service, open_page, other_site):
    page = open_page(service)
    sign_in(page, "Google", "anna")
    # Use a separate context, because a reported problem is expected here.
    outside = page.context.browser.new_context(storage_state=page.context.storage_state())
    framing = outside.new_page()
    with framing.expect_console_message(lambda message: "frame-ancestors" in message.text):
        framing.goto(other_site(f'<iframe src="{service.url}/auth/sign-in"></iframe>'))
    assert framing.frames[1].get_by_role("button").count() == 0
    outside.close()
