"""Exchanges with a provider: they end, they are verified, and they leave no secret behind."""

import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from combine_auth.failure import FailureCode, SignInFailure
from combine_auth.openid import OidcClient
from combine_auth.openid.wire import DEADLINE_S, LIMITS, Exchanges, equip
from tests.oidc_issuer import CLIENT_SECRET, Fault
from tests.unit.auth.openid.conftest import failure

UNAVAILABLE = FailureCode.PROVIDER_UNAVAILABLE


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
        if thread.name == "combine_auth.openid":
            thread.join(5)
            assert not thread.is_alive()


@pytest.mark.parametrize("endpoint", ["discovery", "token", "jwks"])
@pytest.mark.parametrize("fault", [HANGS, DRIPS], ids=["hangs", "drips"])
def test_a_server_that_never_ends(google, endpoint, fault, monkeypatch):
    monkeypatch.setattr("combine_auth.openid.client.DEADLINE_S", 1.0)
    monkeypatch.setitem(LIMITS, "timeout", (0.5, 0.5))
    never_ends(google, endpoint, fault, within=5)


@pytest.mark.parametrize("fault", [HANGS, DRIPS], ids=["hangs", "drips"])
def test_nobody_waits_longer_than_eight_seconds(google, fault):
    assert (LIMITS["timeout"], DEADLINE_S) == ((3.0, 5.0), 8.0)
    never_ends(google, "token", fault, within=9)


def test_more_than_fit_wait_for_their_turn():
    exchanges = Exchanges(at_once=2)
    gate, begun = threading.Event(), threading.Barrier(3)

    def busy():
        begun.wait(30)
        return gate.wait(30)

    with ThreadPoolExecutor(3) as pool:
        soon = time.monotonic() + 30
        running = [pool.submit(exchanges.within, soon, busy) for _ in range(2)]
        begun.wait(30)
        with pytest.raises(SignInFailure) as raised:
            exchanges.within(time.monotonic() + 0.05, lambda: None)
        assert raised.value.code is UNAVAILABLE
        third = pool.submit(exchanges.within, soon, lambda: 7)
        gate.set()
        assert all(one.result() for one in running)
        assert third.result() == 7


def test_more_people_at_once_than_exchanges(google):
    with ThreadPoolExecutor(40) as pool:
        people = [pool.submit(google.sign_in, sub=f"person-{n}") for n in range(40)]
        assert {one.result().subject for one in people} == {f"person-{n}" for n in range(40)}
    assert google.issuer.counts == {"discovery": 1, "jwks": 1, "token": 40}


# TLS.

CERTIFICATES = Path(__file__).parents[3] / "functional/health/certificates"


def test_https_and_an_authority_of_ones_own(make_party, monkeypatch):
    party = make_party(certificate=CERTIFICATES / "good.pem")
    found = failure(party)
    assert found.code is UNAVAILABLE
    assert "certificate" in found.detail
    assert party.issuer.counts == {}
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATES / "authority.pem"))
    party.clock.ahead += 6
    assert party.sign_in().subject


@pytest.mark.parametrize("name", ["expired", "future", "elsewhere"])
def test_certificates_that_are_not_accepted(make_party, monkeypatch, name):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATES / "authority.pem"))
    party = make_party(certificate=CERTIFICATES / f"{name}.pem")
    assert "certificate" in failure(party).detail
    assert party.issuer.counts == {}


@pytest.mark.parametrize("fault", [HANGS, DRIPS], ids=["hangs", "drips"])
def test_a_server_that_never_ends_behind_tls(make_party, monkeypatch, fault):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATES / "authority.pem"))
    monkeypatch.setattr("combine_auth.openid.client.DEADLINE_S", 2.0)
    never_ends(make_party(certificate=CERTIFICATES / "good.pem"), "token", fault, within=8)


def test_a_handshake_that_never_ends(monkeypatch, make_party):
    monkeypatch.setattr("combine_auth.openid.client.DEADLINE_S", 1.0)
    party = make_party()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"https://localhost:{silent.getsockname()[1]}"
        provider = replace(party.client.provider, discovery_url=f"{address}/x")
        party.client = OidcClient(provider)
        started = time.monotonic()
        assert failure(party).code is UNAVAILABLE
        assert time.monotonic() - started < 5


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
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/ours.pem")
    with requests.Session() as session:
        equip(session, "https://accounts.google.com/x")
        assert session.proxies["https"] == "http://proxy.example:3128"
        assert session.verify == "/etc/ssl/ours.pem"
        equip(session, "http://127.0.0.1:9001/x")
        assert session.proxies == {}
