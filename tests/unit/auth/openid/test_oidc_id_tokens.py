"""Tests forged ID tokens (research T07 to T14), each through the complete code exchange."""

import base64
import hmac
import json
import time
from datetime import UTC, datetime

import pytest
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, RSAKey

from combine_auth.failures import FailureCode, SignInFailure
from tests.oidc_issuer import CLIENT_ID, CLIENT_SECRET, TENANT, rsa_key

OTHER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
# Marks members that are left out of the token.
GONE = None


def refused(party, code=FailureCode.ID_TOKEN_INVALID, **claims):
    with pytest.raises(SignInFailure) as raised:
        party.sign_in(**claims)
    assert raised.value.code is code, raised.value
    assert "\n" not in raised.value.detail
    return raised.value.detail


def b64(value) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_an_honest_token_is_accepted(google):
    before = datetime.now(UTC)
    claims = google.sign_in(hd="Example.COM")
    assert claims.issuer == google.issuer.url
    assert claims.subject == "110169484474386276334"
    assert (claims.email, claims.email_verified, claims.name) == (
        "ann@example.com",
        True,
        "Ann Example",
    )
    assert (claims.tenant, claims.hosted_domain) == (None, "example.com")
    assert claims.auth_time is not None
    assert abs((claims.auth_time - before).total_seconds()) < 60


def test_an_honest_token_of_microsoft_is_accepted(microsoft):
    claims = microsoft.sign_in()
    assert claims.issuer == f"{microsoft.issuer.url}/{TENANT}/v2.0"
    assert claims.tenant == TENANT
    assert (claims.email, claims.email_verified) == ("ann@example.com", False)


# Algorithms: T07 and T08.


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_unsigned_tokens_are_rejected(google, algorithm):
    for signature in ("", b64(b"x" * 256)):
        google.issuer.forge = lambda claims, end=signature: (
            f"{b64({'alg': algorithm, 'kid': 'key-0'})}.{b64(claims)}.{end}"
        )
        refused(google)


@pytest.mark.parametrize("secret", ["secret", "pem", "der"])
def test_tokens_signed_with_public_data_are_rejected(google, secret):
    public = google.issuer.keys[0]
    key = {
        "secret": CLIENT_SECRET.encode(),
        "pem": public.as_pem(private=False),
        "der": public.as_der(private=False),
    }[secret]

    def forge(claims):
        signed = f"{b64({'alg': 'HS256', 'kid': 'key-0'})}.{b64(claims)}"
        return f"{signed}.{b64(hmac.digest(key, signed.encode(), 'sha256'))}"

    google.issuer.forge = forge
    assert "signed with HS256, not RS256" in refused(google)


@pytest.mark.parametrize("algorithm", ["RS512", "PS256"])
def test_other_algorithms_of_the_same_key_are_rejected(google, algorithm):
    google.issuer.forge = lambda claims: google.issuer.id_token(claims, alg=algorithm)
    refused(google)


def test_a_provider_may_use_another_algorithm(make_party):
    party = make_party(algorithms=("ES256",))
    key = ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"})
    party.issuer.keys = [key]
    party.issuer.forge = lambda claims: party.issuer.id_token(claims, key=key, alg="ES256")
    assert party.sign_in().subject
    party.issuer.forge = lambda claims: party.issuer.id_token(claims, key=rsa_key())
    refused(party)


def test_keys_in_the_token_are_ignored(google):
    mine = rsa_key(5)
    jwk = mine.as_dict(private=False)
    for header in ({"jwk": {"kty": "RSA", "n": jwk["n"][:40], "e": "AQAB"}}, {"jku": "http://x"}):
        google.issuer.forge = lambda claims, more=header: google.issuer.id_token(
            claims, key=mine, kid="key-0", **more
        )
        refused(google)


def test_other_members_of_a_header_are_ignored(google):
    google.issuer.header = {"x5t": "abc", "nonce": "x", "typ": "JWT"}
    assert google.sign_in().subject


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"]}, {"crit": "x"}, {"b64": False, "crit": ["b64"]}]
)
def test_unknown_critical_members_are_rejected(google, header):
    signed = google.issuer.id_token
    token = signed({"sub": "x"}).split(".")
    google.issuer.forge = lambda claims: ".".join(
        (b64({"alg": "RS256", "kid": "key-0", **header}), b64(claims), token[2])
    )
    refused(google)


def test_a_huge_header_is_rejected(google):
    google.issuer.forge = lambda claims: (
        f"{b64({'alg': 'RS256', 'x': 'y' * 600})}.{b64(claims)}.{b64(b'x')}"
    )
    refused(google)


# Audience: T09.


@pytest.mark.parametrize(
    ("aud", "azp", "accepted"),
    [
        (CLIENT_ID, GONE, True),
        ([CLIENT_ID], GONE, True),
        ([CLIENT_ID, CLIENT_ID], GONE, True),
        ([CLIENT_ID, "x"], CLIENT_ID, True),
        (["x", CLIENT_ID], CLIENT_ID, True),
        (CLIENT_ID, CLIENT_ID, True),
        ("x", GONE, False),
        ("x", CLIENT_ID, False),
        (["x"], CLIENT_ID, False),
        ([], GONE, False),
        ([], CLIENT_ID, False),
        ([CLIENT_ID, "x"], GONE, False),
        ([CLIENT_ID, "x"], "x", False),
        ([CLIENT_ID], "x", False),
        (CLIENT_ID, "x", False),
        (CLIENT_ID, [CLIENT_ID], False),
        (CLIENT_ID, "", False),
        ([[CLIENT_ID]], GONE, False),
        ([CLIENT_ID, 1], CLIENT_ID, False),
        ({CLIENT_ID: 1}, GONE, False),
        (CLIENT_ID.upper(), GONE, False),
        (f"{CLIENT_ID} ", GONE, False),
        ("", GONE, False),
        (True, GONE, False),
        (GONE, GONE, False),
        (GONE, CLIENT_ID, False),
    ],
)
def test_the_audience_is_checked(google, aud, azp, accepted):
    if accepted:
        assert google.sign_in(aud=aud, azp=azp).subject
    else:
        refused(google, aud=aud, azp=azp)


# Issuer and tenant: T10 and T11.


def test_the_issuer_is_checked(google):
    url = google.issuer.url
    for wrong in (f"{url}/", url.upper(), "https://accounts.google.com", "", 7, [url], {}, GONE):
        refused(google, iss=wrong)
    # Google's other spelling is the same identity.
    assert google.sign_in(iss=url.partition("://")[2]).issuer == url
    assert google.sign_in(iss=url).issuer == url


def test_only_google_may_omit_the_scheme_of_the_issuer(make_party):
    party = make_party(other_issuers=())
    refused(party, iss=party.issuer.url.partition("://")[2])


@pytest.mark.parametrize(
    "tid",
    [
        OTHER_TENANT,
        TENANT.upper(),
        TENANT[:-1],
        f"{TENANT}x",
        f"{TENANT}\n",
        "common",
        "{tenantid}",
        "",
        7,
        [TENANT],
        GONE,
    ],
)
def test_a_tenant_that_contradicts_the_issuer_is_rejected(microsoft, tid):
    refused(microsoft, FailureCode.TENANT_NOT_ALLOWED, tid=tid)
    template = microsoft.issuer.configured_issuer
    if tid != OTHER_TENANT:
        issuer = template.replace("{tenantid}", str(tid))
        refused(microsoft, FailureCode.TENANT_NOT_ALLOWED, tid=tid, iss=issuer)


@pytest.mark.parametrize(
    ("allowed", "tenant", "accepted"),
    [
        ((), TENANT, True),
        ((), OTHER_TENANT, True),
        ((TENANT,), TENANT, True),
        ((TENANT,), OTHER_TENANT, False),
        ((OTHER_TENANT,), TENANT, False),
        ((TENANT, OTHER_TENANT), OTHER_TENANT, True),
        (("organizations",), TENANT, True),
        (("organizations",), OTHER_TENANT, False),
        (("organizations", OTHER_TENANT), OTHER_TENANT, True),
    ],
)
def test_only_allowed_tenants_are_accepted(make_party, allowed, tenant, accepted):
    party = make_party(microsoft=True, allowed_tenants=frozenset(allowed))
    issuer = party.issuer.configured_issuer.replace("{tenantid}", tenant)
    if accepted:
        claims = party.sign_in(tid=tenant, iss=issuer)
        assert (claims.issuer, claims.tenant) == (issuer, tenant)
    else:
        refused(party, FailureCode.TENANT_NOT_ALLOWED, tid=tenant, iss=issuer)


def test_keys_of_another_tenant_are_rejected(microsoft):
    url = microsoft.issuer.url
    microsoft.issuer.key_members = {"issuer": f"{url}/{{tenantid}}/v2.0"}
    assert microsoft.sign_in().tenant == TENANT
    microsoft.clock.ahead += 3601
    microsoft.issuer.key_members = {"issuer": f"{url}/{TENANT}/v2.0"}
    assert microsoft.sign_in().tenant == TENANT
    other = microsoft.issuer.configured_issuer.replace("{tenantid}", OTHER_TENANT)
    refused(microsoft, tid=OTHER_TENANT, iss=other)


# Times: T12.


@pytest.mark.parametrize(
    ("claim", "offset", "accepted"),
    [
        ("exp", -59, True),
        ("exp", -62, False),
        ("exp", 10**12, True),
        ("exp", 10**300, False),
        ("exp", GONE, False),
        ("iat", 58, True),
        ("iat", 62, False),
        ("iat", -598, True),
        ("iat", -602, False),
        ("iat", GONE, False),
        ("nbf", 58, True),
        ("nbf", 62, False),
        ("nbf", -9999, True),
        ("nbf", GONE, True),
    ],
)
def test_times_are_checked(google, claim, offset, accepted):
    def change(claims):
        if offset is GONE:
            claims.pop(claim, None)
        else:
            claims[claim] = int(google.clock.wall()) + offset
        return claims

    google.issuer.change = change
    if accepted:
        assert google.sign_in().subject
    else:
        detail = refused(google)
        if offset in (-62, 62):
            # The clock skew, for the operator who has to set a clock.
            assert any(f"{seconds} s" in detail for seconds in (61, 62, 63))
            assert "clock" in detail


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("value", ["1", True, [], {}, float("nan"), float("inf"), -float("inf")])
def test_invalid_times_are_rejected(google, claim, value):
    google.issuer.change = lambda claims: {**claims, claim: value}
    refused(google)


def test_times_may_have_fractions(google):
    google.issuer.change = lambda claims: {**claims, "exp": time.time() + 0.5, "iat": time.time()}
    assert google.sign_in().subject


# Nonce: T13.


@pytest.mark.parametrize("nonce", ["other", "", GONE, 1, ["n"], {}, True, "\ud800"])
def test_the_nonce_is_checked(google, nonce):
    refused(google, nonce=nonce)


def test_a_token_of_another_sign_in_is_rejected(google):
    tokens = []
    google.issuer.forge = lambda claims: tokens.append(google.issuer.id_token(claims)) or tokens[0]
    assert google.sign_in().subject
    assert "nonce differs" in refused(google)


# Missing and malformed tokens: T14.


@pytest.mark.parametrize("token", [None, 7, [], {}, True, "", ".", "..", "a.b.c", "x" * 1_000])
def test_a_malformed_token_is_rejected(google, token):
    google.issuer.token_answer = lambda answer: {**answer, "id_token": token}
    refused(google)


def test_a_missing_token_is_an_error(google):
    google.issuer.token_answer = lambda answer: {"access_token": "x", "token_type": "Bearer"}
    assert "is missing" in refused(google)


def test_a_large_token_is_rejected(google):
    google.issuer.token_answer = lambda answer: {**answer, "id_token": "x" * 100_000}
    assert "larger than" in refused(google)
    google.issuer.token_answer = lambda answer: {**answer, "id_token": "x" * 1_000_000}
    refused(google, FailureCode.PROVIDER_UNAVAILABLE)


@pytest.mark.parametrize("payload", [b"[]", b"1", b"null", b"{", b"\xff", b"", b"[" * 30_00])
def test_signed_invalid_claims_are_rejected(google, payload):
    registry = jws.JWSRegistry(algorithms=["RS256"])
    google.issuer.forge = lambda _: jws.serialize_compact(
        {"alg": "RS256", "kid": "key-0"}, payload, google.issuer.keys[0], registry=registry
    )
    refused(google)


# Subject and other claims.


@pytest.mark.parametrize(
    "sub", ["", GONE, 7, True, [], {}, "x" * 256, "a\0b", "a\nb", "\ud800", "ä"]
)
def test_invalid_subjects_are_rejected(google, sub):
    refused(google, sub=sub)


def test_a_subject_may_have_255_characters(google):
    assert google.sign_in(sub="x" * 255).subject == "x" * 255


@pytest.mark.parametrize(
    ("said", "verified"),
    [(True, True), ("true", False), (1, False), ("false", False), (False, False), (GONE, False)],
)
def test_google_reports_verified_addresses(google, said, verified):
    assert google.sign_in(email_verified=said).email_verified is verified


@pytest.mark.parametrize(
    ("said", "verified"),
    [
        (True, True),
        (1, True),
        ("1", True),
        ("true", True),
        ("True", False),
        (0, False),
        ("0", False),
        (1.0, False),
        (False, False),
        (GONE, False),
        ([1], False),
    ],
)
def test_microsoft_reports_verified_addresses(microsoft, said, verified):
    # Microsoft does not vouch for `email_verified`.
    claims = microsoft.sign_in(xms_edov=said, email_verified=True)
    assert claims.email_verified is verified


@pytest.mark.parametrize(
    "email",
    ["ann", "a@b@c", "", " ann@example.com", "a\0@b.c", 7, ["a@b.c"], "x" * 65 + "@b.c", GONE],
)
def test_invalid_addresses_are_dropped(google, email):
    claims = google.sign_in(email=email)
    assert (claims.email, claims.email_verified) == (None, False)


def test_names_are_shortened_and_cleaned(google):
    claims = google.sign_in(name="Ann\r\n\x00  Example\u202e" + "x" * 500, hd=7, auth_time="x")
    assert claims.name is not None
    assert claims.name.startswith("Ann Example x")
    assert len(claims.name) <= 200
    assert (claims.hosted_domain, claims.auth_time) == (None, None)


# Restrictions to domains.


def test_only_allowed_hosted_domains_are_accepted(make_party):
    party = make_party(allowed_hosted_domains=frozenset({"example.com"}))
    assert party.sign_in(hd="example.com").hosted_domain == "example.com"
    for hd in ("example.org", "", GONE, ["example.com"], "example.com.evil.org"):
        refused(party, FailureCode.DOMAIN_NOT_ALLOWED, hd=hd)


def test_only_allowed_domains_of_addresses_are_accepted(make_party):
    party = make_party(allowed_email_domains=frozenset({"example.com"}))
    assert party.sign_in(email="ann@EXAMPLE.com").email == "ann@EXAMPLE.com"
    for more in (
        {"email": "ann@example.org"},
        {"email": "ann@evil.example.com"},
        {"email": "ann@example.com.evil.org"},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": GONE},
    ):
        refused(party, FailureCode.DOMAIN_NOT_ALLOWED, **more)


def test_domains_of_unverified_addresses_do_not_count(make_party):
    party = make_party(microsoft=True, allowed_email_domains=frozenset({"example.com"}))
    refused(party, FailureCode.DOMAIN_NOT_ALLOWED, email_verified=True)
    assert party.sign_in(xms_edov="1").email_verified


def test_small_keys_are_rejected(google):
    with pytest.warns(SecurityWarning):
        small = RSAKey.generate_key(1024, {"kid": "small"})
    google.issuer.keys = [small]
    google.issuer.forge = lambda claims: "a.b.c"
    refused(google, FailureCode.PROVIDER_UNAVAILABLE)
