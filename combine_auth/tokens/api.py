"""The API of one's own tokens, and the report of leaked ones."""

from __future__ import annotations

import datetime
import logging
import uuid
from typing import TYPE_CHECKING, Any

from pyramid.authorization import Allow, Authenticated
from pyramid.httpexceptions import (
    HTTPForbidden,
    HTTPMethodNotAllowed,
    HTTPNoContent,
    HTTPNotFound,
    HTTPUnauthorized,
)
from pyramid.security import NO_PERMISSION_REQUIRED

from combine_auth.audit import Action, record_request
from combine_auth.limits import check_limit
from combine_auth.tokens.form import PREFIX
from combine_auth.tokens.leaked import revoke_leaked
from combine_auth.tokens.model import PersonalAccessToken
from combine_auth.tokens.service import list_tokens, revoke_token

if TYPE_CHECKING:
    from pyramid.config import Configurator

logger = logging.getLogger(__name__)

Json = dict[str, Any]
_LOOK_AFTER = "tokens:look-after"


class OwnTokens:
    """Route factory: the asker's tokens.

    A token that is limited to some permissions is not good for all of them: no permission stands for
    looking after tokens.
    """

    def __init__(self, request: Any) -> None:
        proof = request.proof
        if proof is None:
            raise HTTPUnauthorized
        if proof.scopes is not None:
            message = (
                "This token is limited to some permissions, and looking after tokens is none of them."
                " Sign in with a browser, or use a personal access token without limits."
            )
            raise HTTPForbidden(message)
        self.user_id: uuid.UUID = proof.identity.user_id
        self.__acl__ = [(Allow, Authenticated, [_LOOK_AFTER])]


def list_own(context: OwnTokens, request: Any) -> Json:
    """GET /me/tokens."""
    return {"items": [_show(token) for token in list_tokens(request.dbsession, context.user_id)]}


def revoke_own(context: OwnTokens, request: Any) -> Any:
    """DELETE /me/tokens/{token_id}."""
    token_id: uuid.UUID = request.openapi_validated.parameters.path["token_id"]
    if not revoke_token(request.dbsession, token_id, context.user_id):
        raise HTTPNotFound
    record_request(request, Action.TOKEN_REVOKE, target=f"token:{token_id}")
    logger.info("token %s was revoked through the API", token_id)
    return HTTPNoContent()


def report(request: Any) -> Any:
    """POST /tokens/report. The same answer whatever it was."""
    check_limit(request, "report")
    revoke_leaked(request, request.openapi_validated.body["token"].strip())
    return HTTPNoContent()


def _show(token: PersonalAccessToken) -> Json:
    return {
        "id": str(token.id),
        "name": token.name,
        "token": f"{PREFIX}...{token.last4}",
        "scopes": token.scopes,
        "created_at": _moment(token.created_at),
        "expires_at": _moment(token.expires_at),
        "last_used_at": _moment(token.last_used_at),
        "revoked_at": _moment(token.revoked_at),
        "leaked_at": _moment(token.leaked_at),
    }


def _moment(moment: datetime.datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")


def includeme(config: Configurator) -> None:
    """Add the endpoints, if the application has the API of combine_core."""
    if not hasattr(config, "add_api_spec"):
        return
    config.add_api_spec("combine_auth:tokens/openapi.yaml")
    for name, path, factory, method, view, permission in (
        ("tokens", "/me/tokens", OwnTokens, "GET", list_own, _LOOK_AFTER),
        ("token", "/me/tokens/{token_id}", OwnTokens, "DELETE", revoke_own, _LOOK_AFTER),
        ("report", "/tokens/report", None, "POST", report, NO_PERMISSION_REQUIRED),
    ):
        route = f"auth.api.{name}"
        config.add_route(route, f"/api/v1{path}", factory=factory)
        config.add_view(
            view,
            route_name=route,
            request_method=method,
            permission=permission,
            renderer="json",
            openapi=True,
            # Whoever reports need not be anybody here.
            **({"require_csrf": False} if factory is None else {}),
        )
        config.add_view(
            _refuse("GET, HEAD" if method == "GET" else method),
            route_name=route,
            permission=NO_PERMISSION_REQUIRED,
            require_csrf=False,
        )


def _refuse(allowed: str) -> Any:
    def method_not_allowed(_request: Any) -> None:
        raise HTTPMethodNotAllowed(headers={"Allow": allowed})

    return method_not_allowed
