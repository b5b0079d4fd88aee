"""Tests that malformed callbacks get a response and never cause a server error."""

from __future__ import annotations

import os
import sys
from collections import Counter
from urllib.parse import parse_qs, quote_from_bytes, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from webob import Request

from tests.functional.auth.sign_in.conftest import BROWSER, HOST, SESSION, Browser, count

_BYTES = st.binary(max_size=60)
_NAMES = st.sampled_from(
    ["state", "code", "error", "error_description", "iss", "next", "session_state", "state[]", ""]
)
_WORDS = st.sampled_from(
    [b"access_denied", b"server_error", b"invalid_request", b"", b"null", b"\x00", b"%", b"'\"<b>"]
)


@st.composite
def changes(draw):
    """Generate changes to a valid callback: parameters and cookies that are dropped, doubled or altered."""
    return {
        "drop": draw(st.sets(st.sampled_from(["state", "code"]), max_size=2)),
        "cut": draw(st.one_of(st.none(), st.integers(0, 60))),
        "flip": draw(st.one_of(st.none(), st.tuples(st.integers(0, 200), st.integers(1, 255)))),
        "more": draw(st.lists(st.tuples(_NAMES, st.one_of(_BYTES, _WORDS)), max_size=4)),
        "raw": draw(st.one_of(st.just(b""), st.binary(max_size=40))),
        "cookie": draw(st.sampled_from(["own", "own", "none", "other", "odd"])),
        "path": draw(st.sampled_from(["google", "google", "google", "microsoft", "nobody"])),
        "inside": draw(st.booleans()),
    }


def query_of(good, change):
    parts = dict(good)
    for name in change["drop"]:
        parts.pop(name)
    text = "&".join(f"{name}={value}" for name, value in parts.items())
    if change["cut"] is not None:
        text = text[: change["cut"]]
    raw = bytearray(text.encode())
    if change["flip"] is not None and raw:
        where, how = change["flip"]
        raw[where % len(raw)] ^= how
    for name, value in change["more"]:
        raw += f"&{name}={quote_from_bytes(value)}".encode()
    raw += change["raw"]
    # A server decodes the bytes as Latin-1. A line ending never arrives.
    return bytes(raw).decode("latin-1").replace("\n", "").replace("\r", "").replace("#", "")


def check(service, google, examples):
    seen: Counter[str] = Counter()
    inside = Browser(service)
    inside.sign_in(google, sub="inside", email="inside@example.com")
    own_session = inside.client.cookies[SESSION]
    leaving = Browser(service)
    other = Browser(service)
    other.start()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(changes())
    def run(change):
        back = urlsplit(google.callback_url(leaving.start()))
        good = {name: one for name, [one] in parse_qs(back.query).items()}
        cookies = {
            "own": f"{BROWSER}={leaving.client.cookies[BROWSER]}",
            "other": f"{BROWSER}={other.client.cookies[BROWSER]}",
            "odd": f"{BROWSER}=\xff\x00",
            "none": "a=b",
        }
        cookie = cookies[change["cookie"]]
        if change["inside"]:
            cookie += f"; {SESSION}={own_session}"
        # Do not use WebTest, which would normalize the query.
        environ = {"REMOTE_ADDR": "127.0.0.1", "QUERY_STRING": query_of(good, change)}
        answer = Request.blank(
            f"/auth/{change['path']}/callback",
            environ={**environ, "HTTP_HOST": "localhost:8000", "HTTP_COOKIE": cookie},
        ).get_response(service.app)
        seen[str(answer.status_int)] += 1
        assert answer.status_int in {303, 400}, (answer.status, answer.text)
        if answer.status_int == 303:
            target = urlsplit(answer.location)
            assert answer.location.startswith(f"{HOST}/")
            codes = parse_qs(target.query).get("code", ["entered"])
            seen[codes[0]] += 1
            if target.path != "/auth/error":
                # The browser had a session before, or the changes left the callback valid.
                started = any(
                    c.startswith(f"{SESSION}=") for c in answer.headers.getall("Set-Cookie")
                )
                assert change["inside"] or started

    run()
    return seen


@pytest.mark.timeout(300)
def test_a_hundred_callbacks(service, google):
    seen = check(service, google, 100)
    assert seen["303"] > 15
    assert len(seen) > 5, seen


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_five_thousand_callbacks(service, google, capsys):
    seen = check(service, google, int(os.environ.get("CALLBACKS", "5000")))
    with capsys.disabled():
        sys.stdout.write(f"\n{dict(seen)}\n")
    assert sum(seen[status] for status in ("303", "400")) >= 4900
    # Strangers created at most one account.
    assert count(service, "users") == 2
