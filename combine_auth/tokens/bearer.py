"""Authenticates requests by a bearer token (RFC 6750): a personal or a client's access token."""

from __future__ import annotations

import re
from typing import Any

from combine_auth.authentication import Proof, use_credential
from combine_auth.oauth_server.issued_tokens import find_access_token
from combine_auth.oauth_server.model import OAuthGrant
from combine_auth.tokens.format import ACCESS, PERSONAL
from combine_auth.tokens.model import PersonalAccessToken
from combine_auth.tokens.service import find_token

# The server joins several Authorization headers with commas.
_BEARER = re.compile(r"(?:^|,)\s*bearer(?![^\s,])", re.IGNORECASE)


class BearerToken:
    """The token in the header ``Authorization: Bearer``. Tokens elsewhere are ignored."""

    def read_credential(self, request: Any) -> str | None:
        """Return the text after ``Bearer``, not yet verified; ``None`` without such a header.

        Other schemes are ignored, because a proxy with Basic authentication passes its header on. A bearer
        token after another credential counts as invalid, because it is ambiguous which of the two applies.
        A token with a DPoP proof (RFC 9449) counts as invalid too: no token is bound to a key, and the
        client must not assume that it is.
        """
        header: str = request.environ.get("HTTP_AUTHORIZATION", "")
        if "HTTP_DPOP" in request.environ or header[:5].lower() == "dpop ":
            return "DPoP"
        bearer = _BEARER.search(header)
        if bearer is None:
            return None
        return header[bearer.end() :].strip(" \t") if bearer.start() == 0 else header

    def verify(self, request: Any, credential: str) -> Proof | None:
        """Verify the token. A wrong checksum is rejected without a query."""
        if PERSONAL.is_valid(credential):
            found = find_token(request, credential)
            return use_credential(request, found, PersonalAccessToken.last_used_at)
        if ACCESS.is_valid(credential):
            found = find_access_token(request, credential)
            return use_credential(request, found, OAuthGrant.last_used_at)
        return None
