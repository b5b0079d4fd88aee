"""Tests that any ID token or key set leads to claims or to one kind of exception."""

import json
from base64 import urlsafe_b64encode
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from joserfc import jws

from combine_auth.failures import SignInFailure
from combine_auth.openid.discovery import ProviderMetadata, read_metadata, read_signing_keys
from combine_auth.openid.id_token import Claims, verify_id_token
from combine_auth.openid.identity_provider import GOOGLE, MICROSOFT
from tests.oidc_issuer import TENANT, rsa_key

NOW = 1_800_000_000
KEY = rsa_key()
KEYS = read_signing_keys({"keys": [KEY.as_dict(private=False)]}, ("RS256",))
ISSUERS = {
    "google": GOOGLE.issuer,
    "microsoft": MICROSOFT.issuer.replace("{tenantid}", TENANT),
}

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.characters(categories=["Cs", "Cc"])
    | st.sampled_from([NOW, NOW + 60, "", "client", "n", TENANT, *ISSUERS.values(), 10**400])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
claim_names = st.sampled_from(
    [
        *("iss", "aud", "azp", "sub", "exp", "iat", "nbf", "nonce", "tid", "email", "name", "hd"),
        *("email_verified", "xms_edov", "auth_time", "acr", ""),
    ]
)


def check(failure: SignInFailure) -> None:
    """Check that the message for the operator is one short line."""
    assert failure.detail.isprintable()
    assert len(failure.detail) < 500


def judge(token: object, provider) -> Claims | None:
    ours = replace(provider, client_id="client")
    try:
        found = verify_id_token(token, KEYS, ours, nonce="n", now=NOW)
    except SignInFailure as failure:
        check(failure)
        return None
    # The database accepts no NUL characters and no lone surrogates.
    for text in (found.subject, found.email or "", found.name or "", found.hosted_domain or ""):
        assert text == "" or text.isprintable()
        text.encode()
    assert found.issuer == ISSUERS[provider.name]
    assert 0 < len(found.subject) <= 255
    return found


def signed(payload: bytes, header: dict | None = None) -> str:
    protected = header or {"alg": "RS256", "kid": KEY.kid}
    return jws.serialize_compact(
        protected, payload, KEY, registry=jws.JWSRegistry(algorithms=["RS256"])
    )


@pytest.mark.parametrize("provider", [GOOGLE, MICROSOFT], ids=lambda one: one.name)
@given(
    changes=st.dictionaries(claim_names, values, max_size=4),
    without=st.sets(claim_names, max_size=2),
)
@settings(deadline=None)
@example({}, set())
def test_any_claims_are_handled(provider, changes, without):
    honest = {
        "iss": ISSUERS[provider.name],
        "aud": "client",
        "sub": "110",
        "iat": NOW,
        "exp": NOW + 3600,
        "nonce": "n",
        "tid": TENANT,
        "email": "ann@example.com",
    }
    claims = {name: v for name, v in {**honest, **changes}.items() if name not in without}
    try:
        payload = json.dumps(claims).encode()
    except ValueError:
        # Python cannot write such integers.
        return
    found = judge(signed(payload), provider)
    if not changes and not without:
        assert found is not None


@given(payload=st.binary(max_size=200))
@settings(deadline=None)
@example(b'{"a":' * 400 + b"1" + b"}" * 400)
@example(b'{"exp": 1e999, "iat": NaN}')
@example(b'{"exp": ' + b"9" * 5000 + b"}")
def test_any_payload_is_handled(payload):
    assert judge(signed(payload), GOOGLE) is None


@given(token=values | st.text("abcAB01.-_=/", max_size=60) | st.binary(max_size=50))
@settings(deadline=None)
@example("..")
@example("e30.e30.")
@example("e30.e30.e30.e30.e30")
@example("W10.e30.x")
@example("eyJhbGciOiJSUzI1NiJ9.e30.")
@example("\ud800")
def test_any_token_is_handled(token):
    assert judge(token, GOOGLE) is None


HEADER_NAMES = ["alg", "kid", "crit", "b64", "typ", "zip", "x5t", "jwk"]


@given(header=st.dictionaries(st.sampled_from(HEADER_NAMES), values))
@settings(deadline=None)
def test_any_header_is_handled(header):
    try:
        first = urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    except ValueError:
        return
    _, payload, signature = signed(b"{}").split(".")
    assert judge(f"{first}.{payload}.{signature}", GOOGLE) is None


@given(document=values | st.fixed_dictionaries({"keys": st.lists(values, max_size=4)}))
@settings(deadline=None)
def test_any_key_set_is_handled(document):
    with pytest.raises(SignInFailure):
        read_signing_keys(document, ("RS256", "ES256"))


@given(
    members=st.lists(
        st.dictionaries(
            st.sampled_from(["kty", "n", "e", "use", "alg", "kid", "key_ops", "issuer", "d"]),
            values | st.sampled_from(["RSA", "EC", "sig", "RS256", "AQAB", "AQ"]),
        ),
        max_size=4,
    )
)
@settings(deadline=None)
def test_any_keys_beside_a_valid_one_are_handled(members):
    keys = read_signing_keys({"keys": [*members, KEY.as_dict(private=False)]}, ("RS256",))
    assert keys[-1].kid == KEY.kid


ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri", "end_session_endpoint")


@given(
    document=values
    | st.fixed_dictionaries(
        {"issuer": st.just(GOOGLE.issuer) | values},
        optional={
            **{name: values | st.text().map("https://".__add__) for name in ENDPOINTS},
            "token_endpoint_auth_methods_supported": values,
            "authorization_response_iss_parameter_supported": values,
        },
    )
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_metadata_is_handled(document):
    try:
        found = read_metadata(document, GOOGLE)
    except SignInFailure as failure:
        check(failure)
        return
    assert isinstance(found, ProviderMetadata)
    assert found.token_endpoint.startswith("https://")
