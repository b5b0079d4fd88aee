"""The API endpoints for the user's own tokens, and for reports of leaked tokens."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from pyramid.authorization import Allow, Authenticated
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden, HTTPNoContent, HTTPNotFound, HTTPUnauthorized
from pyramid.security import NO_PERMISSION_REQUIRED

from combine_auth.audit import Action, record_request
from combine_auth.limits import check_limit
from combine_auth.tokens.format import PREFIX
from combine_auth.tokens.model import PersonalAccessToken
from combine_auth.tokens.service import list_tokens, revoke_leaked, revoke_token
from combine_core.web.endpoints import View

logger = logging.getLogger(__name__)

Json = dict[str, Any]
_MANAGE_TOKENS = "tokens:manage"


class OwnTokens:
    """The tokens of the user (a route factory).

    A token with scopes has no access, because no scope covers the management of tokens.
    """

    def __init__(self, request: Any) -> None:
        proof = request.proof
        if proof is None:
            raise HTTPUnauthorized
        if proof.scopes is not None:
            raise HTTPForbidden(
                "This token is limited to scopes, and no scope covers the management of tokens."
                " Sign in with a browser, or use a personal access token without scopes."
            )
        self.user_id: uuid.UUID = proof.identity.user_id
        self.__acl__ = [(Allow, Authenticated, [_MANAGE_TOKENS])]


def list_own(context: OwnTokens, request: Any) -> Json:
    return {"items": [_show(token) for token in list_tokens(request.dbsession, context.user_id)]}


def revoke_own(context: OwnTokens, request: Any) -> Any:
    token_id: uuid.UUID = request.openapi_validated.parameters.path["token_id"]
    if not revoke_token(request.dbsession, token_id, context.user_id):
        raise HTTPNotFound
    record_request(request, Action.TOKEN_REVOKE, target=f"token:{token_id}")
    logger.info("token %s was revoked through the API", token_id)
    return HTTPNoContent()


def report(request: Any) -> Any:
    """Revoke a reported token. The response is the same for any text."""
    check_limit(request, "report")
    revoke_leaked(request, request.openapi_validated.body["token"].strip())
    return HTTPNoContent()


def _show(token: PersonalAccessToken) -> Json:
    return {
        "id": token.id,
        "name": token.name,
        "token": f"{PREFIX}...{token.last4}",
        "scopes": token.scopes,
        "project_id": token.project_id,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
        "revoked_at": token.revoked_at,
        "leaked_at": token.leaked_at,
    }


def includeme(config: Configurator) -> None:
    """Add the endpoints if the application includes the API of combine_core."""
    if not hasattr(config, "add_api_spec"):
        return
    config.add_api_spec("combine_auth:tokens/openapi.yaml")
    config.add_endpoint(
        "auth.api.tokens",
        "/me/tokens",
        View("GET", list_own, _MANAGE_TOKENS),
        factory=OwnTokens,
        openapi=True,
    )
    config.add_endpoint(
        "auth.api.token",
        "/me/tokens/{token_id}",
        View("DELETE", revoke_own, _MANAGE_TOKENS),
        factory=OwnTokens,
        openapi=True,
    )
    # People without an account may report a token, so there is no CSRF token.
    config.add_endpoint(
        "auth.api.report",
        "/tokens/report",
        View("POST", report, NO_PERMISSION_REQUIRED, require_csrf=False),
        openapi=True,
    )
