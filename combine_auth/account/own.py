"""Route factory: the asker's own account."""

from __future__ import annotations

from typing import Any

from pyramid.authorization import Allow
from pyramid.httpexceptions import HTTPForbidden, HTTPSeeOther

from combine_auth.authentication import CredentialKind
from combine_core.users import Identity

LOOK_AFTER = "account:look-after"


class OwnAccount:
    """Nobody's but the asker's, who is signed in with a browser.

    A token is not enough: whoever found one could make others with it, which outlive it.
    """

    identity: Identity

    def __init__(self, request: Any) -> None:
        proof = request.proof
        if proof is None:
            back = {"next": request.path_qs if request.method == "GET" else "/account"}
            raise HTTPSeeOther(location=request.route_path("auth.sign_in", _query=back))
        if proof.kind is not CredentialKind.SESSION:
            message = "A token cannot look after tokens and sessions. Sign in with a browser."
            raise HTTPForbidden(message)
        self.identity = proof.identity
        self.session_id = proof.id
        self.__acl__ = [(Allow, f"user:{self.identity.user_id}", [LOOK_AFTER])]
