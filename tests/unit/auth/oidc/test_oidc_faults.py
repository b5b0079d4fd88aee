"""Providers that fail (research T15 to T17, T19), and what the person and the operator get of it."""

import gzip
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from combine_auth.failure import FailureCode, SignInFailure
from combine_auth.oidc.failures import refused
from combine_auth.oidc.wire import DEADLINE_S, LIMITS
from tests.oidc_issuer import CLIENT_SECRET, Fault, rsa_key

UNAVAILABLE = FailureCode.PROVIDER_UNAVAILABLE
ERROR = FailureCode.PROVIDER_ERROR


def failure(party, **claims) -> SignInFailure:
    with pytest.raises(SignInFailure) as raised:
        party.sign_in(**claims)
    assert "\n" not in raised.value.detail
    assert (raised.value.retry_after is not None) is (raised.value.code is UNAVAILABLE)
    return raised.value


# The way there.


def test_the_authorization_request(google):
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


def test_making_a_client_asks_nobody(google):
    assert google.issuer.counts == {}
    assert google.client.end_session_url() is None
    google.url()
    google.url()
    assert google.issuer.counts == {"discovery": 1}


def test_signing_out_of_the_provider(google):
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


def test_a_callback_of_another_provider_is_never_sent_on(google, microsoft):
    for named in ("https://evil.example", f"{google.issuer.url}/", "", "x" * 9999, "\ud800"):
        google.callback = {"callback_issuer": named}
        assert failure(google).code is FailureCode.ISSUER_MISMATCH
    for named in (microsoft.issuer.configured_issuer, google.issuer.url):
        microsoft.callback = {"callback_issuer": named}
        assert failure(microsoft).code is FailureCode.ISSUER_MISMATCH
    assert google.issuer.counts["token"] == microsoft.issuer.counts["token"] == 0


def test_the_issuer_in_the_callback(make_party):
    for is_microsoft in (False, True):
        party = make_party(announces_iss=True, microsoft=is_microsoft)
        assert party.sign_in().issuer == party.issuer.issuer
        party.callback = {"callback_issuer": None}
        found = failure(party)
        assert found.code is FailureCode.ISSUER_MISMATCH
        assert party.issuer.counts["token"] == 1


def test_the_issuer_in_the_callback_is_that_of_the_token(make_party):
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
def test_nonsense_for_a_document(google, endpoint, body):
    google.issuer.faults[endpoint] = Fault(body=body)
    found = failure(google)
    assert found.code is UNAVAILABLE
    assert found.retry_after is not None
    # Once it was good, it stays in use; and after a pause, the provider is asked again.
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
def test_faults_of_documents(google, endpoint, fault):
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


def test_metadata_of_another_issuer(google):
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
def test_endpoints_that_cannot_be(google, name, address):
    google.issuer.metadata = {name: address}
    assert failure(google).code is UNAVAILABLE


def test_plain_endpoints_need_a_plain_issuer(make_party):
    from combine_auth.oidc.metadata import metadata_of
    from combine_auth.oidc.shipped import GOOGLE

    document = {
        "issuer": GOOGLE.issuer,
        "authorization_endpoint": "https://a.example/authorize",
        "token_endpoint": "http://127.0.0.1/token",
        "jwks_uri": "https://a.example/jwks",
    }
    with pytest.raises(SignInFailure):
        metadata_of(document, GOOGLE)
    document["token_endpoint"] = "https://a.example/token"
    assert metadata_of(document, GOOGLE).client_auth == "client_secret_basic"


@pytest.mark.parametrize(
    ("supported", "sent"),
    [
        (["client_secret_post"], "form"),
        (["private_key_jwt", "client_secret_post", "client_secret_basic"], "header"),
        (None, "header"),
        ([7, None, {}], "header"),
    ],
)
def test_how_the_secret_is_shown(google, supported, sent):
    google.issuer.metadata = {"token_endpoint_auth_methods_supported": supported}
    assert google.sign_in().subject
    (form,) = google.issuer.token_requests
    assert ("client_secret" in form) is (sent == "form")


def test_a_secret_with_every_sign(make_party):
    from dataclasses import replace

    from pydantic import SecretStr

    from combine_auth.oidc import OidcClient

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
def test_faults_of_the_token_endpoint(google, fault, code, caplog):
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


def test_wrong_client_and_wrong_verifier(google):
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


def test_how_long_to_wait_is_the_providers_word(google):
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
def test_errors_in_the_callback(error, code):
    found = refused(error, "<script>\r\n" * 99)
    assert found.code is code
    assert found.detail.isprintable()
    assert len(found.detail) < 500


# Servers that take their time.


HANGS = Fault(hangs=True)
DRIPS = Fault(drips=True, body="x" * 999)


def never_ends(party, endpoint, fault, within):
    party.issuer.faults[endpoint] = fault
    started = time.monotonic()
    assert failure(party).code is UNAVAILABLE
    assert time.monotonic() - started < within
    # It was cut off: its thread has ended too.
    for thread in threading.enumerate():
        if thread.name == "combine_auth.oidc":
            thread.join(5)
            assert not thread.is_alive()


@pytest.mark.parametrize("endpoint", ["discovery", "token", "jwks"])
@pytest.mark.parametrize("fault", [HANGS, DRIPS], ids=["hangs", "drips"])
def test_a_server_that_never_ends(google, endpoint, fault, monkeypatch):
    monkeypatch.setattr("combine_auth.oidc.client.DEADLINE_S", 1.0)
    monkeypatch.setitem(LIMITS, "timeout", (0.5, 0.5))
    never_ends(google, endpoint, fault, within=5)


@pytest.mark.parametrize("fault", [HANGS, DRIPS], ids=["hangs", "drips"])
def test_nobody_waits_longer_than_eight_seconds(google, fault):
    assert (LIMITS["timeout"], DEADLINE_S) == ((3.0, 5.0), 8.0)
    never_ends(google, "token", fault, within=9)


def test_a_provider_that_hangs_takes_no_more_than_its_share(google):
    from combine_auth.oidc.wire import Exchanges

    exchanges = Exchanges(at_once=2)
    gate = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        running = [
            pool.submit(exchanges.within, time.monotonic() + 30, lambda: gate.wait(30))
            for _ in range(2)
        ]
        while exchanges._room.acquire(blocking=False):
            exchanges._room.release()
        with pytest.raises(SignInFailure) as raised:
            exchanges.within(time.monotonic() + 30, lambda: None)
        assert raised.value.code is UNAVAILABLE
        gate.set()
        assert all(one.result() for one in running)
    assert exchanges.within(time.monotonic() + 30, lambda: 7) == 7


# Keys (T15).


def asked(party, endpoint="jwks") -> int:
    return party.issuer.counts[endpoint]


def test_keys_are_fetched_once(google):
    for _ in range(5):
        google.sign_in()
    assert google.issuer.counts == {"discovery": 1, "jwks": 1, "token": 5}
    google.clock.ahead += 3601
    google.sign_in()
    assert (asked(google), asked(google, "discovery")) == (2, 2)


@pytest.mark.parametrize("how", [{"overlap": True}, {}, {"same_kid": True}], ids=str)
def test_rotation(google, how):
    google.sign_in()
    google.issuer.rotate(**how)
    google.sign_in()
    google.sign_in()
    assert asked(google) == 2


def test_unknown_keys_are_asked_for_twice_a_minute_at_most(google):
    google.sign_in()
    token = google.issuer.id_token(google.issuer.claims("n"), key=rsa_key(7))
    counts = []
    began = google.clock.monotonic()
    for _ in range(1000):
        google.clock.ahead += 0.12
        with pytest.raises(SignInFailure) as raised:
            google.client._verified(token, "n", time.monotonic() + 8)
        assert raised.value.code is FailureCode.ID_TOKEN_INVALID
        counts.append(asked(google))
    # One at once, then one each half minute.
    assert counts[0] == 2
    assert 2 + 3 <= counts[-1] <= 2 + (google.clock.monotonic() - began) // 30
    assert google.sign_in().subject


def test_a_cold_client_does_not_fetch_twice_for_one_token(google):
    google.issuer.forge = lambda claims: google.issuer.id_token(claims, key=rsa_key(7))
    failure(google)
    assert asked(google) == 1


def test_keys_that_cannot_be_fetched_are_kept_for_a_day(google):
    google.sign_in()
    google.issuer.faults["jwks"] = Fault(500)
    for hours in (1, 12, 11):
        google.clock.ahead += hours * 3600 + 1
        assert google.sign_in().subject
    google.clock.ahead += 2 * 3600
    found = failure(google)
    assert found.code is UNAVAILABLE


def test_metadata_that_cannot_be_fetched_are_kept_for_good(google):
    google.sign_in()
    google.issuer.faults["discovery"] = Fault(500)
    google.clock.ahead += 14 * 24 * 3600
    assert google.sign_in().subject


def test_after_a_failure_the_provider_has_its_peace_for_a_while(google):
    google.issuer.faults["discovery"] = Fault(500)
    for _ in range(50):
        assert failure(google).code is UNAVAILABLE
    assert asked(google, "discovery") == 1
    google.clock.ahead += 6
    failure(google)
    assert asked(google, "discovery") == 2


def test_good_keys_among_odd_ones(google):
    good = rsa_key().as_dict(private=False)
    google.issuer.more_keys = [
        7,
        None,
        [],
        {},
        {"kty": "AKP", "kid": "key-0"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "key-0"},
        {**good, "use": "enc"},
        {**good, "n": "!!"},
        {**good, "n": 7},
        {**good, "e": ""},
        {**good, "kid": 7},
        {**good, "alg": "RS512"},
        {**good, "key_ops": ["encrypt"]},
        {**rsa_key(3).as_dict(private=False), "kid": "key-0"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "key-0"},
    ]
    assert google.sign_in().subject


def test_many_at_once_fetch_once(google):
    entered, go_on = threading.Event(), threading.Event()
    honest = google.client._fetch_metadata

    def slow(deadline):
        entered.set()
        assert go_on.wait(10)
        return honest(deadline)

    google.client._metadata._fetch = slow
    with ThreadPoolExecutor(20) as pool:
        running = [pool.submit(google.url) for _ in range(20)]
        assert entered.wait(10)
        go_on.set()
        urls = {one.result().partition("code_challenge")[0] for one in running}
    assert len(urls) == 1
    assert asked(google, "discovery") == 1


def test_while_one_fetches_others_use_what_is_there(google):
    google.sign_in()
    entered, go_on = threading.Event(), threading.Event()
    honest = google.client._fetch_keys

    def slow(deadline):
        entered.set()
        assert go_on.wait(10)
        return honest(deadline)

    google.client._keys._fetch = slow
    google.clock.ahead += 3601
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(google.sign_in)
        assert entered.wait(10)
        # The fetch goes on, and nobody waits for it.
        assert google.sign_in().subject
        assert not first.done()
        go_on.set()
        assert first.result().subject
    assert asked(google) == 2


# What is written down.


def test_no_log_line_holds_a_secret(google, caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("authlib", "requests", "urllib3", "joserfc"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    seen = []
    google.issuer.change = lambda claims: seen.append(claims["nonce"]) or claims
    google.sign_in()
    google.issuer.faults["token"] = Fault(400, {"error": "invalid_grant"})
    found = failure(google)
    google.issuer.faults["token"] = Fault(500, "x")
    failure(google)
    said = f"{caplog.text}{found!r}{google.client.provider!r}"
    forms = google.issuer.token_requests
    assert forms
    secrets = [CLIENT_SECRET, "canary-of-the-access-token", "eyJ", *seen]
    secrets += [form[name] for form in forms for name in ("code", "code_verifier")]
    for secret in secrets:
        assert secret not in said
    # Nor does the chain of exceptions, for those who log it with all its values.
    assert found.__cause__ is None
    assert found.__context__ is None


def test_netrc_is_not_read(google, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    google.issuer.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert google.sign_in().subject


def test_proxies_of_the_environment(monkeypatch):
    import requests

    from combine_auth.oidc.wire import equip

    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/ours.pem")
    with requests.Session() as session:
        equip(session, "https://accounts.google.com/x")
        assert session.proxies["https"] == "http://proxy.example:3128"
        assert session.verify == "/etc/ssl/ours.pem"
        equip(session, "http://127.0.0.1:9001/x")
        assert session.proxies == {}
