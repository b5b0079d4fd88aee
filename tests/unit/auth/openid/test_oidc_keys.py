"""Tests when metadata and keys are fetched, and how long they are cached (research T15)."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from combine_auth.failures import FailureCode
from tests.oidc_issuer import Fault, rsa_key
from tests.unit.auth.openid.conftest import failure

UNAVAILABLE = FailureCode.PROVIDER_UNAVAILABLE


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
def test_rotated_keys_are_fetched(google, how):
    google.sign_in()
    google.issuer.rotate(**how)
    google.sign_in()
    google.sign_in()
    assert asked(google) == 2


def test_unknown_keys_cause_a_fetch_twice_a_minute_at_most(google):
    google.sign_in()
    google.issuer.forge = lambda claims: google.issuer.id_token(claims, key=rsa_key(7))
    began = google.clock.monotonic()
    assert failure(google).code is FailureCode.ID_TOKEN_INVALID
    # One fetch at once, then one every half minute.
    assert asked(google) == 2
    for _ in range(20):
        google.clock.ahead += 6
        assert failure(google).code is FailureCode.ID_TOKEN_INVALID
    assert 2 + 3 <= asked(google) <= 2 + (google.clock.monotonic() - began) // 30
    google.issuer.forge = None
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


def test_metadata_that_cannot_be_fetched_are_kept(google):
    google.sign_in()
    google.issuer.faults["discovery"] = Fault(500)
    google.clock.ahead += 14 * 24 * 3600
    assert google.sign_in().subject


def test_the_provider_is_not_asked_again_right_after_a_failure(google):
    google.issuer.faults["discovery"] = Fault(500)
    for _ in range(50):
        assert failure(google).code is UNAVAILABLE
    assert asked(google, "discovery") == 1
    google.clock.ahead += 6
    failure(google)
    assert asked(google, "discovery") == 2


def test_valid_keys_among_invalid_ones_are_used(google):
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


def test_parallel_sign_ins_fetch_once(google):
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


def test_cached_keys_are_used_during_a_fetch(google):
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
        # The fetch continues, and no request waits for it.
        assert google.sign_in().subject
        assert not first.done()
        go_on.set()
        assert first.result().subject
    assert asked(google) == 2
