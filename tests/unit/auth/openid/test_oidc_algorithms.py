"""Tests ID tokens with other algorithms than RS256, by setting, and keys without an id."""

from __future__ import annotations

import pytest
from joserfc.jwk import ECKey, RSAKey

from combine_auth.failures import FailureCode
from combine_auth.setting_values import ALGORITHMS
from tests.oidc_issuer import rsa_key
from tests.unit.auth.openid.conftest import failure

_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


def key_for(algorithm: str) -> ECKey | RSAKey:
    if algorithm in _CURVES:
        return ECKey.generate_key(_CURVES[algorithm], {"kid": "ec", "use": "sig"})
    return RSAKey.import_key(
        {k: v for k, v in rsa_key().as_dict(private=True).items() if k != "alg"}
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_can_be_set(make_party, algorithm):
    party = make_party(algorithms=(algorithm,))
    party.issuer.keys = [key_for(algorithm)]
    party.issuer.header = {"alg": algorithm}
    assert party.sign_in().email == "ann@example.com"
    party.issuer.keys = [rsa_key()]
    party.issuer.header = {}
    party.clock.ahead += 3601
    if algorithm != "RS256":
        found = failure(party)
        assert (found.code, algorithm in found.detail) == (FailureCode.ID_TOKEN_INVALID, True)


def test_several_algorithms_work_together(make_party):
    party = make_party(algorithms=("RS256", "ES256", "ES384"))
    keys = [key_for(one) for one in ("ES384", "RS256", "ES256")]
    for number, key in enumerate(keys):
        keys[number] = type(key).import_key({**key.as_dict(private=True), "kid": f"k{number}"})
    for algorithm, key in zip(("ES384", "RS256", "ES256"), keys, strict=True):
        party.issuer.keys = [key, *(one for one in keys if one is not key)]
        party.issuer.header = {"alg": algorithm}
        assert party.sign_in().subject


def test_a_key_of_another_curve_does_not_hide_the_right_one(make_party):
    party = make_party(algorithms=("ES256",))
    right = key_for("ES256")
    party.issuer.keys = [right]
    party.issuer.header = {"alg": "ES256"}
    # This key does not name its algorithm, and has the same id.
    party.issuer.more_keys = [key_for("ES384").as_dict(private=False)]
    assert party.sign_in().subject


# Keys without an id.


def without_kid(party) -> None:
    """The key set does not name the key, but the tokens do."""
    party.issuer.key_members = {"kid": None}


@pytest.mark.parametrize("kid", ["key-0", "anything", None])
def test_the_only_key_of_its_type_needs_no_id(make_party, kid):
    party = make_party(algorithms=("RS256", "ES256"))
    without_kid(party)
    party.issuer.more_keys = [key_for("ES256").as_dict(private=False)]
    party.issuer.header = {"kid": kid}
    assert party.sign_in().subject


def test_a_key_is_not_guessed_among_two_without_an_id(google):
    without_kid(google)
    google.issuer.more_keys = [
        {k: v for k, v in rsa_key(1).as_dict(private=False).items() if k != "kid"}
    ]
    found = failure(google)
    assert (found.code, found.detail) == (
        FailureCode.ID_TOKEN_INVALID,
        "no key has the id key-0",
    )
    # A token that names no key is checked with each key.
    google.issuer.header = {"kid": None}
    assert google.sign_in().subject


def test_a_key_with_another_id_is_not_used(google):
    google.issuer.key_members = {"kid": "another"}
    assert failure(google).code is FailureCode.ID_TOKEN_INVALID


def test_the_only_key_still_has_to_verify_the_token(google):
    without_kid(google)
    google.issuer.forge = lambda claims: google.issuer.id_token(claims, key=rsa_key(5))
    assert failure(google).code is FailureCode.ID_TOKEN_INVALID
