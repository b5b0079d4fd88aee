"""The bearer token as proof of who is asking (RFC 6750): a personal one, or a client's."""

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
    """What comes in the header ``Authorization: Bearer``, and nowhere else."""

    def presented(self, request: Any) -> str | None:
        """What stands behind ``Bearer``, unchecked; ``None`` where no such header came.

        Another scheme is not ours: a proxy with Basic authentication in front leaves its header
        there. But a bearer behind another is still one that was brought, and a bad one: nobody can
        say which of the two should count.
        """
        header: str = request.environ.get("HTTP_AUTHORIZATION", "")
        bearer = _BEARER.search(header)
        if bearer is None:
            return None
        return header[bearer.end() :].strip(" \t") if bearer.start() == 0 else header

    def prove(self, request: Any, credential: str) -> Proof | None:
        """Whose token this is. A wrong checksum is refused without the database."""
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
