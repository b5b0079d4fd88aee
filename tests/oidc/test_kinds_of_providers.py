"""Tests providers that differ from Google and Microsoft, simulated by the certified oidc-provider."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from tests.oidc.issuer import CLIENT_ID, CLIENT_SECRET, Issuer, skip_without_node

pytestmark = pytest.mark.slow

skip_without_node()


def acme(google: Issuer, **more: str) -> dict[str, str]:
    """Return the settings of a service with the issuer as another provider."""
    return {
        "AUTH_PROVIDERS": "acme",
        "ACME_ISSUER": google.issuer,
        "ACME_CLIENT_ID": CLIENT_ID,
        "ACME_CLIENT_SECRET": CLIENT_SECRET,
        **more,
    }


def register_with(google: Issuer, service: Any, **client: Any) -> None:
    """Register the service and one user with the issuer."""
    google.register(
        service.url, **{"redirect_uris": [f"{service.url}/auth/acme/callback"], **client}
    )
    google.account("anna", email="anna@example.com", email_verified=True)


def test_claims_may_come_from_userinfo(serve, new_visitor, google):
    service = serve(**acme(google))
    google.reset(thin=True)
    register_with(google, service)
    visitor = new_visitor(service)
    visitor.sign_in("acme", "anna")
    assert (visitor.me()["name"], visitor.me()["email"]) == ("Anna", "anna@example.com")
    assert CLIENT_SECRET not in service.log()


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "PS256"])
def test_other_signature_algorithms_work(serve, new_visitor, google, algorithm):
    service = serve(**acme(google, ACME_ALGORITHMS=f"RS256 {algorithm}"))
    google.reset(algorithm=algorithm)
    register_with(google, service, id_token_signed_response_alg=algorithm)
    visitor = new_visitor(service)
    visitor.sign_in("acme", "anna")
    assert visitor.me()["name"] == "Anna"
    google.rotate_keys(overlap=True)
    again = new_visitor(service)
    again.sign_in("acme", "anna")
    assert again.me()["id"] == visitor.me()["id"]


@pytest.mark.parametrize("kind", ["RSA", "EC"])
def test_a_private_key_may_replace_the_secret(serve, new_visitor, google, tmp_path, kind):
    key = (RSAKey if kind == "RSA" else ECKey).generate_key(2048 if kind == "RSA" else "P-256")
    file = tmp_path / "client.pem"
    file.write_bytes(key.as_pem(private=True))
    service = serve(**acme(google, ACME_CLIENT_SECRET="", ACME_CLIENT_KEY_FILE=str(file)))
    register_with(
        google,
        service,
        client_secret=None,
        token_endpoint_auth_method="private_key_jwt",
        token_endpoint_auth_signing_alg="RS256" if kind == "RSA" else "ES256",
        jwks={"keys": [key.as_dict(private=False)]},
    )
    visitor = new_visitor(service)
    visitor.sign_in("acme", "anna")
    assert visitor.me()["name"] == "Anna"


def test_the_discovery_address_may_differ_from_the_issuer(serve, new_visitor, google):
    address = f"{google.origin}/b2c_1_sign_in/.well-known/openid-configuration"
    service = serve(**acme(google, ACME_DISCOVERY_URL=address))
    register_with(google, service)
    visitor = new_visitor(service)
    visitor.sign_in("acme", "anna")
    assert visitor.me()["name"] == "Anna"


def test_users_are_recognized_after_a_new_registration_at_entra(service, new_visitor, microsoft):
    known = {"oid": "1f9c4b6e-3a3a-4c7e-9a70-6d0f4be0a111", "email": "carla@example.com"}
    ids = []
    for sub in ("of-the-first-registration", "of-the-second"):
        microsoft.account("carla", sub=sub, xms_edov=True, **known)
        visitor = new_visitor(service)
        visitor.sign_in("microsoft", "carla")
        ids.append(visitor.me()["id"])
    assert ids[0] == ids[1]
