"""The context of the pages of one's own account, and the views on it."""

from __future__ import annotations

from typing import Any

from pyramid.authorization import Allow
from pyramid.httpexceptions import HTTPForbidden, HTTPSeeOther

from combine_auth.authentication import CredentialKind
from combine_core.users import Identity
from combine_core.web.endpoints import View

MANAGE_ACCOUNT = "account:manage"


class OwnAccount:
    """Route factory: the account of the user who is signed in with a browser.

    A token is not enough: a stolen one could create others, which would outlive it.
    """

    identity: Identity

    def __init__(self, request: Any) -> None:
        proof = request.proof
        if proof is None:
            back = {"next": request.path_qs if request.method == "GET" else "/account"}
            raise HTTPSeeOther(location=request.route_path("auth.sign_in", _query=back))
        if proof.kind is not CredentialKind.SESSION:
            message = "A token cannot manage tokens and sessions. Sign in with a browser."
            raise HTTPForbidden(message)
        self.identity = proof.identity
        self.session_id = proof.id
        self.__acl__ = [(Allow, f"user:{self.identity.user_id}", [MANAGE_ACCOUNT])]


def account_view(method: str, views: type, attr: str, page: str | None = None) -> View:
    """A view of :class:`OwnAccount`: the method ``attr`` of the class ``views``.

    :param page: the template of the page; ``None``: the view returns a response
    """
    return View(method, views, MANAGE_ACCOUNT, attr=attr, renderer=page, http_cache=0)
