"""Tests that any HTTP response of a provider leads to claims or to one kind of exception."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from combine_auth.failures import SignInFailure
from combine_auth.openid.id_token import Claims
from tests.oidc_issuer import Fault
from tests.unit.auth.openid.conftest import Party, running_party

numbers = st.sampled_from(["1e400", "-1e400", "NaN", "1e308", "-0", "9" * 4000, "9" * 5000, "0.5"])
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=12)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
# JSON as text, because the JSON writer of Python rejects some numbers that its reader accepts.
json_values = numbers | values.map(json.dumps)


def json_objects(*names: str) -> st.SearchStrategy[str]:
    """Generate JSON objects with some of these members."""
    members = st.dictionaries(st.sampled_from(names), json_values, max_size=4)
    return members.map(
        lambda given: "{" + ", ".join(f"{json.dumps(k)}: {v}" for k, v in given.items()) + "}"
    )


def bodies(*names: str) -> st.SearchStrategy[bytes]:
    return json_objects(*names).map(str.encode) | json_values.map(str.encode) | st.binary()


headers = st.dictionaries(
    st.sampled_from(
        ["Location", "Content-Type", "Content-Encoding", "Retry-After", "Set-Cookie", "Link"]
    ),
    st.sampled_from(["http://[x", "//", "https://a..b/", "http://\u00e4/", "gzip", "br", "a=b; x"])
    | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30),
    max_size=3,
)
statuses = st.sampled_from([200, 200, 200, 201, 204, 301, 302, 308, 400, 401, 403, 429, 500, 599])
TOKEN = (
    *("access_token", "id_token", "token_type", "expires_in", "expires_at", "scope"),
    *("refresh_token", "error", "error_description", "error_uri"),
)


@pytest.fixture(scope="module")
def party() -> Iterator[Party]:
    with running_party() as party:
        yield party


def check(failure: SignInFailure) -> None:
    """Check that the message for the operator is one short line."""
    assert failure.detail.isprintable()
    assert len(failure.detail) < 500


def end(party: Party) -> None:
    """Sign in, and accept only claims or a failure."""
    # A failed fetch is not repeated at once, and a fetched document is cached.
    party.clock.ahead += 4000
    try:
        assert isinstance(party.sign_in(), Claims)
    except SignInFailure as failure:
        check(failure)
    finally:
        party.issuer.faults.clear()
        party.issuer.metadata = {}
        party.issuer.token_answer = None
        party.issuer.is_thin = False
        party.issuer.userinfo_answer = None
        party.issuer.more_keys = []


@given(body=bodies(*TOKEN), status=statuses, more=headers)
@example(b'{"access_token": "a", "expires_in": 1e400}', 200, {})
@example(b'{"access_token": "a", "expires_at": 1e400}', 200, {})
@example(b'{"expires_in": {"a": 1}}', 200, {})
@example(b"{}", 302, {"Location": "http://[x"})
def test_any_response_of_the_token_endpoint_is_handled(party, body, status, more):
    party.issuer.faults["token"] = Fault(status, body, headers=more)
    end(party)


@given(changes=st.dictionaries(st.sampled_from(TOKEN), values, max_size=3))
@example({"expires_in": float("inf")})
@example({"expires_in": float("nan")})
@example({"token_type": []})
def test_any_members_beside_a_valid_id_token_are_handled(party, changes):
    party.issuer.token_answer = lambda honest: {**honest, **changes}
    end(party)


DISCOVERY = (
    *("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"),
    *("end_session_endpoint", "token_endpoint_auth_methods_supported"),
)


@given(body=bodies(*DISCOVERY), status=statuses, more=headers)
@example(b"{}", 302, {"Location": "http://[x"})
def test_any_discovery_document_is_handled(party, body, status, more):
    party.issuer.faults["discovery"] = Fault(status, body, headers=more)
    end(party)


endpoints = st.sampled_from(
    [
        *("https://[::1]:1/", "https://127.0.0.1:1/?a=b&a=%ff&%", "https://127.0.0.1:1/;x?;"),
        *("http://127.0.0.1:1/%zz", "https://" + "a" * 64 + ".invalid/", "https://a..invalid/"),
        *("https://xn--\u00e4.invalid/", "https://127.1/", "HTTPS://127.0.0.1:1", "http://0:1/"),
    ]
)


@given(
    changes=st.dictionaries(
        st.sampled_from(DISCOVERY),
        endpoints | values | st.text().map("http://127.0.0.1:1/".__add__),
    )
)
def test_any_members_of_the_discovery_document_are_handled(party, changes):
    party.issuer.metadata = changes
    end(party)


@given(body=bodies("keys"), status=statuses, more=headers)
@example(b"{}", 302, {"Location": "http://[x"})
def test_any_key_set_is_handled(party, body, status, more):
    party.issuer.faults["jwks"] = Fault(status, body, headers=more)
    end(party)


keys: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(["kty", "n", "e", "crv", "x", "y", "use", "alg", "kid", "key_ops", "x5c"]),
    values
    | st.sampled_from(
        ["RSA", "EC", "OKP", "oct", "sig", "RS256", "ES256", "P-256", "P-521", "secp256k1", "AQAB"]
    ),
)


@given(more=st.lists(keys, max_size=3))
@example([{"kty": "RSA", "n": "A" * 400, "e": "A" * 400}])
@example([{"kty": "EC", "crv": "secp256k1", "x": "AQ", "y": "AQ"}])
def test_any_keys_beside_the_valid_one_are_handled(party, more):
    party.issuer.more_keys = more
    end(party)


@given(body=bodies("sub", "email", "email_verified", "name"), status=statuses, more=headers)
@example(b'{"sub": "110169484474386276334", "email_verified": 1e400, "name": 1e400}', 200, {})
@example(b"{}", 302, {"Location": "http://[x"})
def test_any_userinfo_is_handled(party, body, status, more):
    party.issuer.is_thin = True
    party.issuer.faults["userinfo"] = Fault(status, body, headers=more)
    end(party)


@given(changes=st.dictionaries(st.sampled_from(["sub", "email", "name", "email_verified"]), values))
def test_any_members_of_the_userinfo_are_handled(party, changes):
    party.issuer.is_thin = True
    party.issuer.userinfo_answer = lambda about: {**about, **changes}
    end(party)
