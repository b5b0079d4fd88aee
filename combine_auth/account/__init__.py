"""The account pages: the context and the base class of the views of a user's own account."""

from __future__ import annotations

import logging
import uuid
from typing import Any, ClassVar

from pyramid.authorization import Allow
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden, HTTPSeeOther
from sqlalchemy.orm import Session

from combine_auth.audit import Action, record_request
from combine_auth.authentication import CredentialKind
from combine_auth.clients.model import CLIENT_ID_PATTERN
from combine_auth.tokens.scopes import PLAIN, SCOPES, describe_scope
from combine_core.users import Identity
from combine_core.web.endpoints import View
from combine_core.web.paths import UUID_PATTERN
from combine_core.web.shown_once import keep_for_page

logger = logging.getLogger(__name__)

MANAGE_ACCOUNT = "account:manage"


class OwnAccount:
    """The account of the user who is signed in with a browser (a route factory).

    A token is not accepted: a stolen token could create others, which would outlive it.
    """

    path_variables: ClassVar = {"id": UUID_PATTERN, "client_id": CLIENT_ID_PATTERN}
    identity: Identity

    def __init__(self, request: Any) -> None:
        proof = request.proof
        if proof is None:
            query = {"next": request.path_qs if request.method == "GET" else "/account"}
            raise HTTPSeeOther(location=request.route_path("auth.sign_in", _query=query))
        if proof.kind is not CredentialKind.SESSION:
            message = "A token cannot manage tokens and sessions. Sign in with a browser."
            raise HTTPForbidden(message)
        self.identity = proof.identity
        self.session_id = proof.id
        self.__acl__ = [(Allow, f"user:{self.identity.user_id}", [MANAGE_ACCOUNT])]


class AccountViews:
    """The base class of the views on :class:`OwnAccount`. A change redirects to ``route``."""

    route = "auth.account"

    def __init__(self, context: OwnAccount, request: Any) -> None:
        self.context = context
        self.request = request
        self.dbsession: Session = request.dbsession
        self.me = context.identity

    def id_of_path(self) -> uuid.UUID:
        return uuid.UUID(self.request.matchdict["id"])

    def record(self, action: Action, target: str | None = None, **details: Any) -> None:
        """Add an event to the audit, and a line to the log."""
        record_request(self.request, action, target=target, **details)
        logger.info("%s: %s %s", self.me.email, action, target or "")

    def redirect(self, **shown_once: str) -> HTTPSeeOther:
        """Redirect to the page of ``route``, which shows these values once."""
        query = keep_for_page(self.request, shown_once) if shown_once else None
        return HTTPSeeOther(location=self.request.route_path(self.route, _query=query))

    def checked_scopes(self) -> list[str]:
        """Return the scopes that are checked in the form."""
        return [scope for scope in self.request.POST.getall("scope") if isinstance(scope, str)]

    def offered_scopes(self) -> list[tuple[str, str]]:
        """Return the scopes that the user may choose from, each with its description."""
        return [(scope, describe_scope(scope)) for scope in (SCOPES if self.me.is_admin else PLAIN)]


def account_view(
    method: str, views: type[AccountViews], attr: str, page: str | None = None
) -> View:
    """Return a view of :class:`OwnAccount` for a method of ``views``."""
    return View(method, views, MANAGE_ACCOUNT, attr=attr, renderer=page, http_cache=0)


def add_account_page(config: Configurator, name: str, path: str, *views: View) -> None:
    """Add an endpoint of the signed-in user. The path may contain ``{id}`` and ``{client_id}``."""
    config.add_endpoint(f"auth.{name}", path, *views, factory=OwnAccount)
