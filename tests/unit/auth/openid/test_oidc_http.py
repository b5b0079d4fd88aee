"""Tests HTTP requests to a provider: they end, TLS is verified, and no secret is logged."""

import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from combine_auth.failures import FailureCode, SignInFailure
from combine_auth.openid.client import OidcClient
from combine_auth.openid.http import BoundedExchanges, Timeouts, configure_session
from tests.oidc_issuer import CLIENT_SECRET, Fault
from tests.unit.auth.openid.conftest import failure

UNAVAILABLE = FailureCode.PROVIDER_UNAVAILABLE
CERTIFICATES = Path(__file__).parents[3] / "functional/health/certificates"


# Slow servers. The client closes the connection, so that its thread ends.

HANGS = Fault(hangs=True)
DRIPS = Fault(drips=True, body="x" * 999)
# The timeout of the request in question is short. The others exceed the test.
SHORT_TOTAL = Timeouts(connect=60, read=60, total=0.3)
SHORT_READ = Timeouts(connect=60, read=0.2, total=60)


def check_cut_off(party):
    assert failure(party).code is UNAVAILABLE
    for thread in threading.enumerate():
        if thread.name == "combine_auth.openid":
            thread.join(30)
            assert not thread.is_alive()


@pytest.mark.parametrize("endpoint", ["discovery", "token", "jwks"])
@pytest.mark.parametrize(
    ("fault", "timeouts"),
    [(HANGS, SHORT_READ), (HANGS, SHORT_TOTAL), (DRIPS, SHORT_TOTAL)],
    ids=["silent", "hangs", "drips"],
)
def test_an_endless_response_is_cut_off(make_party, endpoint, fault, timeouts):
    party = make_party(timeouts=timeouts)
    party.issuer.faults[endpoint] = fault
    check_cut_off(party)


@pytest.mark.parametrize("fault", [HANGS, DRIPS], ids=["hangs", "drips"])
def test_an_endless_response_behind_tls_is_cut_off(make_party, monkeypatch, fault):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATES / "authority.pem"))
    timeouts = Timeouts(connect=60, read=60, total=1.0)
    party = make_party(certificate=CERTIFICATES / "good.pem", timeouts=timeouts)
    party.issuer.faults["token"] = fault
    check_cut_off(party)


def test_an_endless_handshake_is_cut_off(make_party):
    party = make_party()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"https://localhost:{silent.getsockname()[1]}"
        provider = replace(party.client.provider, discovery_url=f"{address}/x")
        party.client = OidcClient(provider, timeouts=SHORT_TOTAL)
        check_cut_off(party)


def test_no_request_waits_longer_than_eight_seconds():
    assert Timeouts() == Timeouts(connect=3.0, read=5.0, total=8.0)


def test_requests_beyond_the_limit_wait():
    exchanges = BoundedExchanges(max_concurrent=2)
    gate, begun = threading.Event(), threading.Barrier(3)

    def busy():
        begun.wait(30)
        return gate.wait(30)

    with ThreadPoolExecutor(3) as pool:
        in_time = time.monotonic() + 60
        running = [pool.submit(exchanges.run, busy, in_time) for _ in range(2)]
        begun.wait(30)
        with pytest.raises(SignInFailure) as raised:
            exchanges.run(lambda: None, time.monotonic())
        assert raised.value.code is UNAVAILABLE
        third = pool.submit(exchanges.run, lambda: 7, in_time)
        gate.set()
        assert all(one.result() for one in running)
        assert third.result() == 7


def test_more_users_than_parallel_requests_can_sign_in(make_party):
    # A slow machine gets time, because this test is about order and not about speed.
    party = make_party(timeouts=Timeouts(connect=60, read=60, total=60))
    with ThreadPoolExecutor(40) as pool:
        people = [pool.submit(party.sign_in, sub=f"person-{n}") for n in range(40)]
        assert {one.result().subject for one in people} == {f"person-{n}" for n in range(40)}
    assert party.issuer.counts == {"discovery": 1, "jwks": 1, "token": 40}


# TLS.


def test_a_private_certificate_authority_is_accepted(make_party, monkeypatch):
    party = make_party(certificate=CERTIFICATES / "good.pem")
    found = failure(party)
    assert found.code is UNAVAILABLE
    assert "certificate" in found.detail
    assert party.issuer.counts == {}
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATES / "authority.pem"))
    party.clock.ahead += 6
    assert party.sign_in().subject


VARIABLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")


@pytest.mark.parametrize("variable", VARIABLES)
def test_each_variable_sets_an_authority(make_party, monkeypatch, variable):
    for one in VARIABLES:
        monkeypatch.delenv(one, raising=False)
    monkeypatch.setenv(variable, str(CERTIFICATES / "authority.pem"))
    assert make_party(certificate=CERTIFICATES / "good.pem").sign_in().subject


def test_the_authority_in_the_settings_wins(make_party, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATES / "expired.pem"))
    party = make_party(certificate=CERTIFICATES / "good.pem")
    authority = CERTIFICATES / "authority.pem"
    party.client = OidcClient(party.client.provider, ca_file=authority)
    assert party.sign_in().subject


def test_a_missing_file_leads_to_the_error_page(make_party, monkeypatch):
    party = make_party(certificate=CERTIFICATES / "good.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/authorities.pem")
    found = failure(party)
    assert found.code is UNAVAILABLE
    assert "check that the file of REQUESTS_CA_BUNDLE or SSL_CERT_FILE" in found.detail


@pytest.mark.parametrize("name", ["expired", "future", "elsewhere"])
def test_invalid_certificates_are_rejected(make_party, monkeypatch, name):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATES / "authority.pem"))
    party = make_party(certificate=CERTIFICATES / f"{name}.pem")
    assert "certificate" in failure(party).detail
    assert party.issuer.counts == {}


# Log lines.


def test_log_lines_contain_no_secrets(google, caplog):
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
    # The chain of exceptions contains no secret either, for handlers that log all values.
    assert found.__cause__ is None
    assert found.__context__ is None


def test_netrc_is_not_read(google, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    google.issuer.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert google.sign_in().subject


def test_proxies_of_the_environment_are_used(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/ours.pem")
    with requests.Session() as session:
        configure_session(session, "https://accounts.google.com/x")
        assert session.proxies["https"] == "http://proxy.example:3128"
        assert session.verify == "/etc/ssl/ours.pem"
        configure_session(session, "http://127.0.0.1:9001/x")
        assert session.proxies == {}
