"""Authentication by bearer token (RFC 6750): a personal access token, or a client's access token."""

from __future__ import annotations

import re
from typing import Any

from combine_auth.authentication import CredentialKind, Proof, record_use_after_request
from combine_auth.oauth_server import grants
from combine_auth.oauth_server.issued_tokens import find_access_token
from combine_auth.tokens.format import ACCESS, PERSONAL
from combine_auth.tokens.service import find_token, note_used

# Several Authorization headers arrive as one, joined by commas.
_BEARER = re.compile(r"(?:^|,)\s*bearer(?![^\s,])", re.IGNORECASE)


class BearerToken:
    """The token in the header ``Authorization: Bearer``; tokens elsewhere are ignored."""

    def presented(self, request: Any) -> str | None:
        """The unchecked text after ``Bearer``; ``None`` without such a header.

        Other schemes are ignored: a proxy with Basic authentication passes its header on. But a
        bearer token after another credential counts as an invalid token, because it is unclear
        which of the two applies.
        """
        header: str = request.environ.get("HTTP_AUTHORIZATION", "")
        bearer = _BEARER.search(header)
        if bearer is None:
            return None
        return header[bearer.end() :].strip(" \t") if bearer.start() == 0 else header

    def prove(self, request: Any, credential: str) -> Proof | None:
        """The user of the token. A wrong checksum is refused without a query."""
        if PERSONAL.fits(credential):
            return _personal(request, credential)
        if ACCESS.fits(credential):
            return _of_client(request, credential)
        return None


def _personal(request: Any, credential: str) -> Proof | None:
    found = find_token(request.dbsession, credential)
    if found is None:
        return None
    if found.used_long_ago:
        record_use_after_request(request, note_used, found.id)
    return Proof(found.identity, CredentialKind.TOKEN, found.id, found.scopes)


def _of_client(request: Any, credential: str) -> Proof | None:
    found = find_access_token(request.dbsession, credential)
    if found is None:
        return None
    if found.used_long_ago:
        record_use_after_request(request, grants.note_used, found.grant_id)
    return Proof(found.identity, CredentialKind.TOKEN, found.id, frozenset(found.scopes))
