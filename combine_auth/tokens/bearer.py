"""Authentication by bearer token (RFC 6750): a personal access token, or a client's access token."""

from __future__ import annotations

import re
from typing import Any

from combine_auth.authentication import Proof, use_credential
from combine_auth.oauth_server.issued_tokens import find_access_token
from combine_auth.oauth_server.model import OAuthGrant
from combine_auth.tokens.format import ACCESS, PERSONAL
from combine_auth.tokens.model import PersonalAccessToken
from combine_auth.tokens.service import find_token

# Several Authorization headers arrive as one, joined by commas.
_BEARER = re.compile(r"(?:^|,)\s*bearer(?![^\s,])", re.IGNORECASE)


class BearerToken:
    """The token in the header ``Authorization: Bearer``; tokens elsewhere are ignored."""

    def read_credential(self, request: Any) -> str | None:
        """The unchecked text after ``Bearer``; ``None`` without such a header.

        Other schemes are ignored: a proxy with Basic authentication passes its header on. But a
        bearer token after another credential counts as an invalid token, because it is unclear
        which of the two applies. So does one with a DPoP proof (RFC 9449): no token here is bound to
        a key, and a client that relies on it must not believe so.
        """
        header: str = request.environ.get("HTTP_AUTHORIZATION", "")
        if "HTTP_DPOP" in request.environ or header[:5].lower() == "dpop ":
            return "DPoP"
        bearer = _BEARER.search(header)
        if bearer is None:
            return None
        return header[bearer.end() :].strip(" \t") if bearer.start() == 0 else header

    def prove(self, request: Any, credential: str) -> Proof | None:
        """The user of the token. A wrong checksum is refused without a query."""
        if PERSONAL.fits(credential):
            found = find_token(request, credential)
            return use_credential(request, found, PersonalAccessToken.last_used_at)
        if ACCESS.fits(credential):
            found = find_access_token(request, credential)
            return use_credential(request, found, OAuthGrant.last_used_at)
        return None
