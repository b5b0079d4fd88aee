"""Tests failing providers (research T16, T17, T19), and the messages for the user and the operator."""

import gzip
import logging
import time
from dataclasses import replace

import pytest
from pydantic import SecretStr

from combine_auth.failures import FailureCode, SignInFailure, provider_refused
from combine_auth.openid.client import OidcClient
from combine_auth.openid.discovery import read_metadata
from combine_auth.openid.identity_provider import GOOGLE
from tests.oidc_issuer import CLIENT_SECRET, Fault
from tests.unit.auth.openid.conftest import failure

UNAVAILABLE = FailureCode.PROVIDER_UNAVAILABLE
ERROR = FailureCode.PROVIDER_ERROR


# The authorization request.


def test_the_authorization_request_has_all_parameters(google):
    url = google.url(nonce="n-7", verifier="v" * 64, prompt="login", max_age=0)
    assert url.startswith(f"{google.issuer.url}/authorize?")
    for part in (
        "response_type=code",
        "client_id=4711.apps.example.com",
        "redirect_uri=http%3A%2F%2Flocalhost%3A8000%2Fauth%2Fgoogle%2Fcallback",
        "scope=openid+email+profile",
        "state=s-1",
        "nonce=n-7",
        "code_challenge_method=S256",
        "prompt=login",
        "max_age=0",
    ):
        assert part in url.partition("?")[2].split("&")
    assert "v" * 64 not in url
    assert CLIENT_SECRET not in url
    assert "prompt=select_account" in google.url()


def test_creating_a_client_sends_no_request(google):
    assert google.issuer.counts == {}
    assert google.client.end_session_url() is None
    google.url()
    google.url()
    assert google.issuer.counts == {"discovery": 1}


def test_the_sign_out_address_of_the_provider(google):
    google.url()
    url = google.client.end_session_url(return_to="http://localhost:8000/")
    assert url == (
        f"{google.issuer.url}/end-session?client_id=4711.apps.example.com"
        "&post_logout_redirect_uri=http%3A%2F%2Flocalhost%3A8000%2F"
    )
    google.issuer.metadata = {"end_session_endpoint": "javascript:alert(1)"}
    google.clock.ahead += 3601
    google.url()
    assert google.client.end_session_url() is None


# The issuer in the callback (RFC 9207; T04).


def test_a_callback_of_another_provider_is_rejected(google, microsoft):
    for named in ("https://evil.example", f"{google.issuer.url}/", "", "x" * 9999, "\ud800"):
        google.callback = {"callback_issuer": named}
        assert failure(google).code is FailureCode.ISSUER_MISMATCH
    for named in (microsoft.issuer.configured_issuer, google.issuer.url):
        microsoft.callback = {"callback_issuer": named}
        assert failure(microsoft).code is FailureCode.ISSUER_MISMATCH
    assert google.issuer.counts["token"] == microsoft.issuer.counts["token"] == 0


def test_the_issuer_in_the_callback_is_checked(make_party):
    for is_microsoft in (False, True):
        party = make_party(announces_iss=True, microsoft=is_microsoft)
        assert party.sign_in().issuer == party.issuer.issuer
        party.callback = {"callback_issuer": None}
        found = failure(party)
        assert found.code is FailureCode.ISSUER_MISMATCH
        assert party.issuer.counts["token"] == 1


def test_the_issuers_in_callback_and_token_must_match(make_party):
    party = make_party(announces_iss=True, microsoft=True)
    other = "9188040d-6c67-4c5b-b112-36a304b66dad"
    issuer = party.issuer.configured_issuer.replace("{tenantid}", other)
    found = failure(party, tid=other, iss=issuer)
    assert found.code is FailureCode.ISSUER_MISMATCH


# The discovery document (T10, T16).

NONSENSE = [
    b"",
    b"<html>busy</html>",
    b"[]",
    b"{}",
    b"null",
    b"{",
    b"\xff\xfe",
    b"[" * 5000,
    b"1" * 5000,
]


@pytest.mark.parametrize("body", NONSENSE)
@pytest.mark.parametrize("endpoint", ["discovery", "jwks"])
def test_an_invalid_document_is_an_error(google, endpoint, body):
    google.issuer.faults[endpoint] = Fault(body=body)
    found = failure(google)
    assert found.code is UNAVAILABLE
    assert found.retry_after is not None
    # A valid document stays in use. After a pause, the provider is asked again.
    google.issuer.faults.clear()
    google.clock.ahead += 6
    assert google.sign_in().subject
    google.issuer.faults[endpoint] = Fault(body=body)
    google.clock.ahead += 3601
    assert google.sign_in().subject


FAULTS = [
    Fault(500, "<html>"),
    Fault(503, headers={"Retry-After": "7"}),
    Fault(404, {"error": "not_found"}),
    Fault(204),
    Fault(302, headers={"Location": "http://169.254.169.254/latest/meta-data"}),
    Fault(307, headers={"Location": "/elsewhere"}),
    Fault(reset=True),
    Fault(body='{"issuer":', cut=True),
    Fault(size=50_000_000),
    Fault(body=b"\x1f\x8b" + b"x" * 50, headers={"Content-Encoding": "gzip"}),
    Fault(body=gzip.compress(b" " * 5_000_000), headers={"Content-Encoding": "gzip"}),
    Fault(headers={"Transfer-Encoding": "chunked"}, body=b"zz\r\n"),
    Fault(429, headers={"Retry-After": "99999999"}),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.status}-{fault.headers}")
@pytest.mark.parametrize("endpoint", ["discovery", "jwks"])
def test_failures_to_fetch_a_document(google, endpoint, fault):
    google.issuer.faults[endpoint] = fault
    found = failure(google)
    assert found.code in {UNAVAILABLE, ERROR}
    assert google.issuer.counts["elsewhere"] == 0
    google.issuer.faults.clear()
    google.clock.ahead += 6
    assert google.sign_in().subject
    google.issuer.faults[endpoint] = fault
    google.clock.ahead += 3601
    assert google.sign_in().subject


def test_metadata_of_another_issuer_is_rejected(google):
    for named in (f"{google.issuer.url}/", "https://accounts.google.com", None, 7, [], {}):
        google.issuer.metadata = {"issuer": named}
        found = failure(google)
        assert found.code is ERROR
        assert "GOOGLE_ISSUER" in found.detail
        google.clock.ahead += 6


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        7,
        "/token",
        "ftp://127.0.0.1/",
        "http://evil.example/token",
        "http://169.254.169.254/",
        "https://",
        "https://a b/",
        "https://user:word@a.example/",
        "https://a.example/#x",
        "https://[::1/",
        "https://a.example:99999/",
        "file:///etc/passwd",
        "https://a.example/\r\nx",
        "https://" + "a" * 3000,
    ],
)
def test_invalid_endpoints_are_rejected(google, name, address):
    google.issuer.metadata = {name: address}
    assert failure(google).code is UNAVAILABLE


def test_http_endpoints_need_an_http_issuer(make_party):
    document = {
        "issuer": GOOGLE.issuer,
        "authorization_endpoint": "https://a.example/authorize",
        "token_endpoint": "http://127.0.0.1/token",
        "jwks_uri": "https://a.example/jwks",
    }
    with pytest.raises(SignInFailure):
        read_metadata(document, GOOGLE)
    document["token_endpoint"] = "https://a.example/token"
    assert read_metadata(document, GOOGLE).client_auth == "client_secret_basic"


@pytest.mark.parametrize(
    ("supported", "sent"),
    [
        (["client_secret_post"], "form"),
        (["private_key_jwt", "client_secret_post", "client_secret_basic"], "header"),
        (None, "header"),
        ([7, None, {}], "header"),
    ],
)
def test_the_client_authenticates_as_the_metadata_says(google, supported, sent):
    google.issuer.metadata = {"token_endpoint_auth_methods_supported": supported}
    assert google.sign_in().subject
    (form,) = google.issuer.token_requests
    assert ("client_secret" in form) is (sent == "form")


def test_a_secret_may_contain_any_character(make_party):
    party = make_party()
    secret = "a:b+c/d=e%f g&hä€"
    party.issuer.client_secret = secret
    provider = replace(party.client.provider, client_secret=SecretStr(secret))
    for supported in (["client_secret_basic"], ["client_secret_post"]):
        party.issuer.metadata = {"token_endpoint_auth_methods_supported": supported}
        party.client = OidcClient(provider)
        assert party.sign_in().subject


# The token endpoint (T17).


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(500, "<html>down</html>"), UNAVAILABLE),
        (Fault(502, {"error": "invalid_client"}), UNAVAILABLE),
        (Fault(429, {"error": "slow_down"}), UNAVAILABLE),
        (Fault(429, "<html>"), UNAVAILABLE),
        (Fault(200, "<html>"), ERROR),
        (Fault(200, ""), ERROR),
        (Fault(200, "[]"), ERROR),
        (Fault(200, "7"), ERROR),
        (Fault(200, "null"), ERROR),
        (Fault(200, "\ufffd"), ERROR),
        (Fault(200, "[" * 5000), ERROR),
        (Fault(200, '{"access_token": "x'), ERROR),
        (Fault(200, '{"access_token": "x', cut=True), UNAVAILABLE),
        (Fault(200, size=50_000_000), UNAVAILABLE),
        (Fault(302, headers={"Location": "http://127.0.0.1:1/"}), ERROR),
        (Fault(reset=True), UNAVAILABLE),
        (Fault(404, "<html>"), ERROR),
        (Fault(403, "<html>"), ERROR),
        (Fault(401, "<html>"), FailureCode.INVALID_CLIENT),
        (Fault(200, {"error": "invalid_client"}), FailureCode.INVALID_CLIENT),
        (Fault(400, {"error": "invalid_client"}), FailureCode.INVALID_CLIENT),
        (Fault(401, {"error": "unauthorized_client"}), FailureCode.INVALID_CLIENT),
        (Fault(400, {"error": "invalid_grant"}), FailureCode.LOGIN_EXPIRED),
        (Fault(400, {"error": "redirect_uri_mismatch"}), FailureCode.REDIRECT_URI_MISMATCH),
        (Fault(400, {"error": "invalid_request"}), ERROR),
        (Fault(400, {"error": "temporarily_unavailable"}), UNAVAILABLE),
        (Fault(400, {"error": {"code": 1}}), ERROR),
        (Fault(400, {"error": None, "error_description": []}), ERROR),
        (Fault(400, {"error": "x\r\ny", "error_description": "<b>\r\n" * 999}), ERROR),
        (Fault(200, {"id_token": "a.b.c", "expires_in": "soon"}), ERROR),
        (Fault(200, {"expires_in": 1}), FailureCode.ID_TOKEN_INVALID),
        (
            Fault(
                400, {"error": "invalid_request", "error_description": "AADSTS50011: The redirect"}
            ),
            FailureCode.REDIRECT_URI_MISMATCH,
        ),
        (
            Fault(401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid"}),
            FailureCode.INVALID_CLIENT,
        ),
    ],
    ids=str,
)
def test_failures_of_the_token_endpoint(google, fault, code, caplog):
    caplog.set_level(logging.DEBUG)
    google.issuer.faults["token"] = fault
    started = time.monotonic()
    found = failure(google)
    assert found.code is code, found
    assert len(found.detail) < 500
    assert time.monotonic() - started < 8
    assert CLIENT_SECRET not in found.detail
    google.issuer.faults.clear()
    assert google.sign_in().subject


def test_a_wrong_secret_and_a_wrong_verifier_are_distinguished(google):
    google.callback = {"verifier": "w" * 43}
    assert failure(google).code is FailureCode.LOGIN_EXPIRED
    google.callback = {"redirect_uri": "http://localhost:8000/other"}
    assert failure(google).code is FailureCode.REDIRECT_URI_MISMATCH
    for code in ("", "x" * 5000, "a\0b", "a\r\nb", "ä", "\ud800"):
        google.callback = {"code": code}
        assert failure(google).code is FailureCode.LOGIN_EXPIRED
    google.callback = {}
    google.issuer.client_secret = "another"
    assert failure(google).code is FailureCode.INVALID_CLIENT


def test_retry_after_of_the_provider_is_kept(google):
    for said, waited in (("7", 7), ("0", 1), ("99999", 3600), ("soon", 30), ("-1", 30)):
        google.issuer.faults["token"] = Fault(503, headers={"Retry-After": said})
        assert failure(google).retry_after == waited


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("access_denied", FailureCode.ACCESS_DENIED),
        ("temporarily_unavailable", UNAVAILABLE),
        ("redirect_uri_mismatch", FailureCode.REDIRECT_URI_MISMATCH),
        ("unauthorized_client", FailureCode.INVALID_CLIENT),
        ("whatever", ERROR),
        ("", ERROR),
        (None, ERROR),
        (["x"], ERROR),
        ("x" * 9999 + "\r\nSet-Cookie: a=b", ERROR),
    ],
)
def test_errors_in_the_callback_have_codes(error, code):
    found = provider_refused(error, "<script>\r\n" * 99)
    assert found.code is code
    assert found.detail.isprintable()
    assert len(found.detail) < 500
