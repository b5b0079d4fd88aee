"""Tests a private key instead of a client secret (private_key_jwt)."""

from __future__ import annotations

import datetime
import json
import logging
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding
from cryptography.hazmat.primitives.serialization import PrivateFormat as Format
from joserfc.jwk import ECKey, OctKey, RSAKey
from pydantic import SecretStr

from combine_auth.failures import FailureCode
from combine_auth.openid.client_key import UnusableKey, read_client_key
from tests.oidc_issuer import rsa_key
from tests.unit.auth.openid.conftest import failure
from tests.unit.auth.openid.test_oidc_providers import application, identity_providers

PLAIN = RSAKey.import_key({k: v for k, v in rsa_key(3).as_dict(private=True).items() if k != "alg"})


def private_jwk(key, **more) -> str:
    return json.dumps({**key.as_dict(private=True), **more})


def certificate_of(key: RSAKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "combine")])
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    return (
        x509.CertificateBuilder(name, name, key.public_key, 1, begin, begin.replace(year=2036))
    ).sign(key.private_key, hashes.SHA256())


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "client.key"


@pytest.fixture
def party(make_party, key_file):
    party = make_party(client_key_file=key_file)
    party.issuer.client_key = PLAIN
    return party


CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


@pytest.mark.parametrize("form", ["jwk", "pem"])
@pytest.mark.parametrize("algorithm", ["RS256", *CURVES])
def test_a_key_authenticates_the_client(party, key_file, algorithm, form):
    key = ECKey.generate_key(CURVES[algorithm]) if algorithm in CURVES else PLAIN
    text = (
        private_jwk(key, kid="of-combine") if form == "jwk" else key.as_pem(private=True).decode()
    )
    key_file.write_text(text)
    party.issuer.client_key = key
    assert party.sign_in().subject
    assert party.sign_in().subject
    for assertion in party.issuer.assertions:
        assert assertion.header["alg"] == algorithm
        assert assertion.header.get("kid") == ("of-combine" if form == "jwk" else None)
        assert assertion.claims["exp"] - assertion.claims["iat"] == 300


def test_a_jwk_may_name_the_algorithm(party, key_file):
    key_file.write_text(private_jwk(PLAIN, alg="PS256"))
    assert party.sign_in().subject
    assert party.issuer.assertions[0].header["alg"] == "PS256"


def test_a_certificate_beside_the_key_is_named(party, key_file):
    certificate = certificate_of(PLAIN)
    pem = certificate.public_bytes(Encoding.PEM) + PLAIN.as_pem(private=True)
    key_file.write_bytes(pem)
    assert party.sign_in().subject
    header = party.issuer.assertions[0].header
    for name, digest in (("x5t", hashes.SHA1()), ("x5t#S256", hashes.SHA256())):
        assert urlsafe_b64decode(header[name] + "==") == certificate.fingerprint(digest)


def test_a_new_key_needs_no_restart(party, key_file):
    key_file.write_text(private_jwk(rsa_key(4)))
    assert failure(party).code is FailureCode.INVALID_CLIENT
    key_file.write_text(private_jwk(PLAIN))
    assert party.sign_in().subject


def test_a_missing_key_leads_to_the_error_page(party, key_file, caplog):
    caplog.set_level(logging.DEBUG)
    found = failure(party)
    assert found.code is FailureCode.INVALID_CLIENT
    assert found.detail == (
        "GOOGLE_CLIENT_KEY_FILE names a file that cannot be read (No such file or directory)"
    )
    assert str(key_file) not in found.detail + caplog.text


def test_the_key_is_never_sent_nor_logged(party, key_file, caplog):
    caplog.set_level(logging.DEBUG)
    key_file.write_text(private_jwk(PLAIN))
    party.sign_in()
    secret = PLAIN.as_dict(private=True)["d"]
    assert secret not in caplog.text + json.dumps(party.issuer.token_requests)


NO_KEY = "without a private RSA or EC key"
UNUSABLE = {
    "nothing": ("", NO_KEY),
    "a secret": ("GOCSPX-a-secret", NO_KEY),
    "half a JWK": ("{", NO_KEY),
    "an empty JWK": ("{}", NO_KEY),
    "an odd JWK": ('{"kty": "RSA", "n": 7}', NO_KEY),
    "a shared key": (private_jwk(OctKey.generate_key(256)), NO_KEY),
    "a public JWK": (json.dumps(PLAIN.as_dict(private=False)), "contains a public key"),
    "a public PEM": (PLAIN.as_pem(private=False).decode(), NO_KEY),
    "another algorithm": (private_jwk(PLAIN, alg="HS256"), "unsupported algorithm"),
    "an encrypted key": (
        PLAIN.private_key.private_bytes(
            Encoding.PEM, Format.PKCS8, BestAvailableEncryption(b"word")
        ).decode(),
        NO_KEY,
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_files_without_a_key_are_rejected(key_file, name):
    content, why = UNUSABLE[name]
    key_file.write_text(content)
    with pytest.raises(UnusableKey, match=why):
        read_client_key(key_file)


@pytest.mark.filterwarnings("ignore:Key size:joserfc.errors.SecurityWarning")
def test_a_key_that_is_too_short_is_rejected(key_file):
    key_file.write_text(private_jwk(RSAKey.generate_key(1024)))
    with pytest.raises(UnusableKey, match="fewer than 2048 bits"):
        read_client_key(key_file)


OKTA = {
    "combine_auth.providers": "okta",
    "combine_auth.okta.issuer": "https://example.okta.com",
    "combine_auth.okta.client_id": "0oa",
}


def test_a_provider_with_a_key_needs_no_secret(key_file):
    key_file.write_text(private_jwk(PLAIN))
    ini = {**OKTA, "combine_auth.okta.client_key_file": str(key_file)}
    provider = identity_providers(application(ini=ini)).clients["okta"].provider
    assert provider.client_key_file == key_file
    assert provider.client_secret == SecretStr("")


def test_a_missing_key_file_is_named_at_the_start(key_file, caplog):
    ini = {**OKTA, "combine_auth.okta.client_key_file": str(key_file)}
    providers = identity_providers(application(ini=ini))
    assert providers.clients == {}
    assert "okta" in providers.faulty
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "OKTA_CLIENT_KEY_FILE names a file that cannot be read (No such file" in line
    assert "write the path" in line


def test_a_secret_and_a_key_together_are_rejected(key_file):
    key_file.write_text(private_jwk(PLAIN))
    ini = {
        **OKTA,
        "combine_auth.okta.client_key_file": str(key_file),
        "combine_auth.okta.client_secret": "s3cr3t-of-okta",
    }
    hidden = identity_providers(application(ini=ini)).hidden["okta"]
    assert hidden.startswith("OKTA_CLIENT_KEY_FILE ")
    assert hidden.endswith(" is set, and so is OKTA_CLIENT_SECRET: remove one of them")
