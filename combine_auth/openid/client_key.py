"""Authenticates with a private key in place of a client secret (``private_key_jwt``).

OpenID Connect Core 1.0, 9. The file contains a JSON Web Key, or PEM. If the PEM includes a certificate,
the assertion names it, which Microsoft requires. The file is read for each exchange, so a new key needs
no restart.
"""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from combine_auth.setting_values import ALGORITHMS

_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFETIME_S: Final = 300
_MIN_RSA_BITS: Final = 2048
_ALGORITHM_OF_CURVE: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


class UnusableKey(Exception):
    """The file has no usable key. The message continues a sentence that begins with the setting's name."""


def client_assertion(path: Path, client_id: str, audience: str, now: float) -> dict[str, str]:
    """Return the parameters of a token request that authenticate the client. Raises UnusableKey.

    :param audience: the token endpoint
    :param now: seconds since the epoch
    """
    key, header = read_client_key(path)
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": secrets.token_urlsafe(24),
        "iat": int(now),
        "exp": int(now) + _LIFETIME_S,
    }
    registry = JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
    return {
        "client_assertion_type": _ASSERTION_TYPE,
        "client_assertion": jwt.encode(header, claims, key, registry=registry),
    }


def read_client_key(path: Path) -> tuple[RSAKey | ECKey, dict[str, str]]:
    """Return the private key, and the JWS header for its signatures. Raises UnusableKey."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnusableKey(f"names a file that cannot be read ({error.strerror})") from None
    try:
        key, header = (
            _from_jwk(content) if content.lstrip().startswith(b"{") else _from_pem(content)
        )
        bits = key.raw_value.key_size
        algorithm = header.pop("alg", "") or _algorithm(key)
    except Exception as error:  # noqa: BLE001 - joserfc and cryptography do not document what they raise
        problem = f"names a file without a private RSA or EC key ({type(error).__name__})"
        raise UnusableKey(problem) from None
    if not key.is_private:
        raise UnusableKey("names a file that contains a public key, not the private one")
    if isinstance(key, RSAKey) and bits < _MIN_RSA_BITS:
        raise UnusableKey(f"names an RSA key with fewer than {_MIN_RSA_BITS} bits")
    if algorithm not in ALGORITHMS:
        raise UnusableKey("names a key for an unsupported algorithm")
    return key, {"typ": "JWT", "alg": algorithm, **header}


def _from_jwk(content: bytes) -> tuple[RSAKey | ECKey, dict[str, str]]:
    jwk = json.loads(content)
    kind = ECKey if jwk["kty"] == "EC" else RSAKey
    header = {name: jwk[name] for name in ("alg", "kid", "x5t", "x5t#S256") if name in jwk}
    return kind.import_key(jwk), header


def _from_pem(content: bytes) -> tuple[RSAKey | ECKey, dict[str, str]]:
    native = load_pem_private_key(content, password=None)
    kind = ECKey if isinstance(native, EllipticCurvePrivateKey) else RSAKey
    header = {}
    if b"-----BEGIN CERTIFICATE-----" in content:
        certificate = load_pem_x509_certificate(content)
        for name, digest in (("x5t", SHA1()), ("x5t#S256", SHA256())):  # noqa: S303 - RFC 7515, 4.1.7
            header[name] = urlsafe_b64encode(certificate.fingerprint(digest)).rstrip(b"=").decode()
    return kind.import_key(content), header


def _algorithm(key: RSAKey | ECKey) -> str:
    return "RS256" if isinstance(key, RSAKey) else _ALGORITHM_OF_CURVE[key.curve_name]
