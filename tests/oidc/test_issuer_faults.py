"""Tests providers that are unreachable or send wrong responses."""

from __future__ import annotations

import time

import pytest

from tests.oidc.issuer import CLIENT_SECRET, skip_without_node

pytestmark = pytest.mark.slow

skip_without_node()

# This exceeds every pause of the service between two requests to a provider.
_PATIENCE_S = 60


def wait_until_signed_in(visitor, provider, account):
    """Retry like a user until the sign-in works."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        started = visitor.start(provider)
        if not started.headers["Location"].startswith(
            ("/auth/error", f"{visitor.origin}/auth/error")
        ):
            visitor.get(visitor.agree(started, account))
            if visitor.me() is not None:
                return
        assert time.monotonic() < deadline, started.headers["Location"]
        time.sleep(0.2)


def test_an_unreachable_provider_does_not_affect_the_other(serve, new_visitor, google):
    google.stop()
    service = serve()
    visitor = new_visitor(service)
    answer = visitor.start("google")
    assert visitor.failure(answer) == ("provider_unavailable", 503)
    assert int(visitor.follow(answer).headers["Retry-After"]) > 0
    visitor.sign_in("microsoft", "ben")
    assert visitor.me()["name"] == "Ben"
    google.start()
    later = new_visitor(service)
    wait_until_signed_in(later, "google", "anna")
    assert later.me()["name"] == "Anna"


def test_a_provider_recovers(serve, new_visitor, microsoft):
    service = serve()
    first = new_visitor(service)
    first.sign_in("microsoft", "ben")
    second = new_visitor(service)
    back = second.agree(second.start("microsoft"), "ben")
    microsoft.stop()
    assert second.failure(second.get(back)) == ("provider_unavailable", 503)
    assert first.me()["name"] == "Ben"
    # The cached metadata is still enough for the redirect.
    assert second.start("microsoft").headers["Location"].startswith(microsoft.origin)
    microsoft.start()
    wait_until_signed_in(second, "microsoft", "ben")


def test_any_response_of_a_token_endpoint_is_handled(serve, new_visitor, google):
    service = serve()
    visitor = new_visitor(service)
    page = "<html><script>alert(1)</script>It is not our day</html>"
    faults = [
        ({"status": 500, "body": page}, ("provider_unavailable", 503)),
        ({"status": 429, "body": "{}"}, ("provider_unavailable", 503)),
        ({"reset": True}, ("provider_unavailable", 503)),
        ({"hold": True}, ("provider_unavailable", 503)),
        ({"status": 200, "body": page}, ("provider_error", 502)),
        ({"status": 200, "body": "[]"}, ("provider_error", 502)),
        (
            {"status": 200, "body": '{"access_token": "a", "token_type": "Bearer"}'},
            ("id_token_invalid", 502),
        ),
        ({"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}, ("provider_error", 502)),
        ({"status": 400, "body": '{"error": "invalid_client"}'}, ("invalid_client", 502)),
        ({"status": 400, "body": '{"error": "invalid_grant"}'}, ("login_expired", 400)),
        (
            {"status": 200, "body": '{"access_token": "a", "id_token": "a.b.c"}'},
            ("id_token_invalid", 502),
        ),
    ]
    for fault, expected in faults:
        back = visitor.agree(visitor.start("google"), "anna")
        google.fail("token", **fault)
        assert visitor.failure(visitor.get(back)) == expected, fault
        google.mend()
        assert visitor.me() is None
    visitor.sign_in("google", "anna")
    assert visitor.me()["name"] == "Anna"
    assert CLIENT_SECRET not in service.log()
    assert "Traceback" not in service.log()


def test_new_keys_are_fetched_when_they_are_needed(serve, new_visitor, google):
    service = serve()
    for rotate in (None, True):
        if rotate is not None:
            google.rotate_keys(overlap=rotate)
        visitor = new_visitor(service)
        visitor.sign_in("google", "anna")
        assert visitor.me()["name"] == "Anna"
    assert google.times_asked("jwks") == 2
    assert google.times_asked("discovery") == 1


def test_replaced_keys_are_fetched(serve, new_visitor, microsoft):
    service = serve()
    new_visitor(service).sign_in("microsoft", "ben")
    microsoft.rotate_keys(overlap=False)
    visitor = new_visitor(service)
    visitor.sign_in("microsoft", "ben")
    assert visitor.me()["name"] == "Ben"


def test_known_keys_work_without_the_key_endpoint(serve, new_visitor, google):
    service = serve()
    google.fail("jwks", status=500)
    cold = new_visitor(service)
    assert cold.failure(cold.sign_in("google", "anna")) == ("provider_unavailable", 503)
    google.mend()
    wait_until_signed_in(cold, "google", "anna")
    google.fail("jwks", status=500)
    warm = new_visitor(service)
    warm.sign_in("google", "anna")
    assert warm.me()["name"] == "Anna"
