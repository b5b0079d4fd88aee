"""Tests sign-in with two tabs, stale pages, prefetches, double clicks and the Back button."""

from __future__ import annotations

import threading

import pytest

from tests.functional.auth.sign_in.conftest import BROWSER, CSRF, HOST, Browser, audit, count
from tests.functional.auth.sign_in.test_under_load import until
from tests.oidc_issuer import Fault


@pytest.fixture
def newcomer(service):
    """A browser without any cookie."""
    browser = Browser(service)
    browser.client.reset()
    return browser


def press(client, page, provider="google"):
    """Press the button of the provider on this page."""
    form = next(form for form in page.forms.values() if f"/{provider}/start" in form.action)
    fields = dict(form.submit_fields())
    return client.post(form.action, fields, headers={"Origin": HOST}, expect_errors=True)


def test_two_tabs_of_a_new_browser_both_sign_in(service, newcomer, google):
    """Both tabs leave before the provider answers the first. Each must keep its cookie."""
    page = newcomer.client.get("/auth/sign-in?next=/whoami")
    backs = []
    for _ in range(2):
        # It has the cookies of the page, but not those of the response to the other tab.
        tab = service.client()
        for name, value in newcomer.client.cookies.items():
            tab.set_cookie(name, value.strip('"'))
        answer = press(tab, page)
        newcomer.client.set_cookie(BROWSER, tab.cookies[BROWSER].strip('"'))
        backs.append(google.callback_url(answer.location))
    for back in backs:
        assert newcomer.come_back(back).location == f"{HOST}/whoami"
        assert newcomer.whoami() == "ann@example.com"


def test_the_sign_in_page_sets_the_cookie_once(newcomer):
    first = newcomer.client.get("/auth/sign-in")
    assert [c for c in first.headers.getall("Set-Cookie") if c.startswith(f"{BROWSER}=")]
    again = newcomer.client.get("/auth/sign-in")
    assert not [c for c in again.headers.getall("Set-Cookie") if c.startswith(f"{BROWSER}=")]


def test_the_older_of_two_new_tabs_asks_to_press_again(service, newcomer, google):
    older = newcomer.client.get("/auth/sign-in?next=/whoami")
    # Both tabs were requested in parallel without cookies. The response to the other one came
    # later.
    newcomer.client.reset()
    newcomer.client.get("/auth/sign-in")
    page = press(newcomer.client, older)
    assert page.status_int == 400
    assert "Press the button again" in page.html.find(role="alert").text
    assert count(service, "sign_in_attempts") == 0
    answer = press(newcomer.client, page)
    assert newcomer.come_back(google.callback_url(answer.location)).location == f"{HOST}/whoami"
    assert newcomer.whoami() == "ann@example.com"


def test_a_stale_tab_shows_the_signed_in_user(newcomer, google):
    stale = newcomer.client.get("/auth/sign-in?next=/whoami")
    answer = press(newcomer.client, stale)
    newcomer.come_back(google.callback_url(answer.location))
    page = press(newcomer.client, stale)
    assert page.status_int == 400
    main = page.html.find("main")
    assert "You are signed in as ann@example.com" in main.text
    assert main.find("a", string="Continue")["href"] == "/whoami"


def test_a_stale_tab_does_not_redirect_elsewhere(newcomer, google):
    stale = newcomer.client.get("/auth/sign-in")
    newcomer.client.set_cookie(CSRF, "1" * 32)
    form = next(iter(stale.forms.values()))
    fields = {**dict(form.submit_fields()), "next": "https://evil.example/"}
    page = newcomer.client.post(form.action, fields, status=400)
    assert "evil.example" not in page.text


@pytest.mark.parametrize("purpose", ["link", "confirm", "invitation", ""])
def test_other_stale_forms_get_the_generic_page(browser, google, purpose):
    browser.sign_in(google)
    fields = {"csrf_token": "1" * 32, "purpose": purpose}
    page = browser.client.post("/auth/google/start", fields, status=400)
    assert page.html.find("h1").text == "This form has expired"


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}],
)
def test_a_prefetch_does_not_use_up_the_attempt(service, browser, google, headers):
    back = google.callback_url(browser.start(next="/whoami"))
    answer = browser.client.get(back.removeprefix(HOST), headers=headers, status=503)
    assert "no-store" in answer.headers["Cache-Control"]
    assert (google.counts["token"], audit(service)) == (0, [])
    assert browser.come_back(back).location == f"{HOST}/whoami"
    assert browser.whoami() == "ann@example.com"


def test_a_link_scanner_does_not_use_up_the_attempt(service, browser, google):
    back = google.callback_url(browser.start(next="/whoami"))
    scanner = Browser(service)
    scanner.failure(scanner.come_back(back), "state_mismatch", 400)
    scanner.client.head(back.removeprefix(HOST), status=303)
    assert browser.come_back(back).location == f"{HOST}/whoami"
    assert browser.whoami() == "ann@example.com"


def test_a_double_click_on_the_button_signs_in(browser, google):
    """The browser follows the second response."""
    browser.start(next="/whoami")
    second = browser.start(next="/whoami")
    assert browser.come_back(google.callback_url(second)).location == f"{HOST}/whoami"
    assert browser.whoami() == "ann@example.com"


def test_a_double_click_at_the_provider_signs_in(service, browser, google):
    """The callback is requested twice. The browser shows the second response and keeps both cookies."""
    back = google.callback_url(browser.start(next="/whoami"))
    fault = google.faults["token"] = Fault(hangs=True, times=1)
    first = []
    thread = threading.Thread(target=lambda: first.append(browser.come_back(back)))
    thread.start()
    until(lambda: google.counts["token"] == 1)
    second = Browser(service)
    second.client.set_cookie(BROWSER, browser.client.cookies[BROWSER].strip('"'))
    page = second.failure(second.come_back(back), "state_used", 400)
    assert "Start again if you are not signed in" in page.text
    fault.release.set()
    thread.join(60)
    assert not thread.is_alive()


def test_the_back_button_after_the_callback_is_harmless(browser, google):
    back = google.callback_url(browser.start(next="/whoami"))
    browser.come_back(back)
    # Go back to the callback, and to the page before it.
    assert browser.come_back(back).location == f"{HOST}/whoami"
    assert browser.client.get("/auth/sign-in?next=/whoami").location == f"{HOST}/whoami"
    assert browser.whoami() == "ann@example.com"
