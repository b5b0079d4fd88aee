"""Validates redirect URIs, and compares them exactly with the registered ones (RFC 9700, 2.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from combine_auth.failures import Refused

MAX_LENGTH = 500

# Characters of a URI (RFC 3986, 2), without the fragment's "#".
_URI = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+")
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_PORT = r"(?::[0-9]{1,5})?"
_REST = r"(?:[/?].*)?"
_HTTPS = re.compile(rf"https://{_HOST}{_PORT}{_REST}")
# A program on the same machine, which listens on any free port (RFC 8252, 7.3).
_LOOPBACK = re.compile(rf"(http://(?:127\.0\.0\.1|\[::1\])){_PORT}({_REST})")
_LOCALHOST = re.compile(rf"http://localhost{_PORT}{_REST}")
# A domain name in reverse order (RFC 8252, 7.1).
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+:/[^/].*")
_ORIGIN = re.compile(rf"https?://{_HOST}{_PORT}")


def check_redirect_uri(uri: str) -> str:
    """Return the URI if a client may register it.

    :raises Refused: the URI is too long, has a fragment, or does not use https, loopback or a private
        scheme such as ``com.example.app:/back``
    """
    if len(uri) > MAX_LENGTH or not _URI.fullmatch(uri):
        raise Refused(
            f"{uri[:100]!r} is not a valid redirect URI: write a full URI of at most {MAX_LENGTH} characters,"
            " without spaces and without #."
        )
    forms = (_HTTPS, _LOOPBACK, _LOCALHOST, _PRIVATE_SCHEME)
    if not any(form.fullmatch(uri) for form in forms):
        raise Refused(
            f"{uri} is not a valid redirect URI. Use https://, or for a program on a user's machine"
            " http://127.0.0.1/path or a scheme of your own such as com.example.app:/path."
        )
    return uri


def matches(uri: str, registered: Iterable[str]) -> bool:
    """Check whether the URI is registered. Only the port of a loopback address may differ."""
    if len(uri) > MAX_LENGTH or not _URI.fullmatch(uri):
        return False
    return any(uri == one or _same_loopback(uri, one) for one in registered)


def _same_loopback(uri: str, registered: str) -> bool:
    ours, theirs = _LOOPBACK.fullmatch(registered), _LOOPBACK.fullmatch(uri)
    return ours is not None and theirs is not None and ours.groups() == theirs.groups()


def form_target(uri: str) -> str:
    """Return the source expression of this URI for a Content-Security-Policy: an origin or a scheme."""
    origin = _ORIGIN.match(uri)
    return origin[0] if origin else uri.partition(":")[0] + ":"
