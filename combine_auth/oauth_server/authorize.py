"""``/oauth/authorize``: a user decides whether a client may act for them (RFC 6749, 4.1.1)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from oauthlib.common import add_params_to_uri
from oauthlib.oauth2.rfc6749 import errors
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.renderers import render_to_response
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from combine_auth.authentication import CredentialKind, Proof
from combine_auth.clients import OAuthClient
from combine_auth.clients.redirect_uri import form_target
from combine_auth.clients.service import owner_of
from combine_auth.limits import check_limit
from combine_auth.oauth_server.consent import find_page, is_what_was_shown, keep_page
from combine_auth.oauth_server.context import oauth_context
from combine_auth.oauth_server.grants import TooManyGrants
from combine_auth.oauth_server.messages import encoded, oauth_request, read_form, read_parameters
from combine_auth.oauth_server.server import server_of
from combine_auth.tokens.scopes import grantable, in_words
from combine_core.settings import CoreSettings, settings_of
from combine_core.web.endpoints import View
from combine_core.web.forms import text_of

logger = logging.getLogger(__name__)

_CONSENT = "combine_auth:oauth_server/consent.jinja2"
_REFUSED = "combine_auth:oauth_server/refused.jinja2"
# The longest path that the sign-in page can return to.
_LONGEST_PATH = 2000


class _NotAsShown(errors.FatalClientError):  # type: ignore[misc]
    """The form asks for something else than the page that it comes from."""

    error = "invalid_request"


def ask(request: Any) -> Response:
    """GET: show what the client asks for, if the request is valid and a user is signed in."""
    check_limit(request, "authorize")
    query: str = request.environ.get("QUERY_STRING", "")
    return _with_valid(request, lambda: read_parameters(query), _show)


def decide(request: Any) -> Response:
    """POST of the consent page: redirect with a code for the client, or with the refusal."""
    check_limit(request, "authorize")
    return _with_valid(request, lambda: read_form(request), _carry_out)


def _with_valid(request: Any, read: Any, go_on: Any) -> Response:
    """Call ``go_on(request, asked, parameters)`` if the client may make this request."""
    try:
        parameters = read()
        with oauth_context(request, request.dbsession):
            asked = oauth_request(request.path_url, parameters)
            server_of(request.registry).validate_authorization_request(asked)
            response: Response = go_on(request, asked, parameters)
            return response
    except errors.FatalClientError as error:
        return _refuse(request, error.description, error.status_code)
    except errors.OAuth2Error as error:
        if error.redirect_uri is None:
            return _refuse(request, error.description, error.status_code)
        return _back(request, error.redirect_uri, error.twotuples)
    except TooManyGrants as error:
        return _refuse(request, str(error), 409)


def _show(request: Any, asked: Any, parameters: Mapping[str, str]) -> Response:
    proof = _browser(request)
    if asked.prompt == "none":
        # Either sign-in or consent always needs a page.
        raise (errors.ConsentRequired if proof else errors.LoginRequired)(request=asked)
    if proof is None:
        return _sign_in(request, asked, parameters)
    _leave_out_what_the_user_cannot_grant(asked, proof)
    client: OAuthClient = asked.client
    values = {
        "client": client,
        "owner": owner_of(request.dbsession, client),
        "scopes": [(scope, in_words(scope)) for scope in asked.scopes],
        "target": _shown_target(asked.redirect_uri),
        "parameters": parameters,
        "page": keep_page(request.dbsession, proof.identity.user_id, asked, parameters),
        "me": proof.identity,
    }
    response = render_to_response(_CONSENT, values, request=request)
    # Browsers apply form-action also to the redirect that answers the form.
    response.headers["Content-Security-Policy"] = _policy(form_target(asked.redirect_uri))
    response.headers["X-Frame-Options"] = "DENY"
    return response


def _carry_out(request: Any, asked: Any, parameters: Mapping[str, str]) -> Response:
    proof = _browser(request)
    if proof is None:
        return _sign_in(request, asked, parameters)
    _leave_out_what_the_user_cannot_grant(asked, proof)
    page = find_page(request.dbsession, proof.identity.user_id, text_of(request, "page"))
    if page is None:
        raise _NotAsShown(
            "This page was open for too long. Go back to the program and start again."
        )
    if not is_what_was_shown(page, asked, parameters):
        raise _NotAsShown(
            "This is not what the page showed. Go back to the program and start again."
        )
    if request.POST.get("decision") != "approve":
        raise errors.AccessDeniedError(request=asked)
    headers, _, _ = server_of(request.registry).create_authorization_response(
        oauth_request(request.path_url, {**parameters, "scope": " ".join(page.scopes)}),
        credentials={"user": proof.identity.user_id},
    )
    client_id = asked.client.client_id
    logger.info("%s lets the client %s act for them", proof.identity.email, client_id)
    # 303, so that no browser forwards the form to the client (RFC 9700, 4.12).
    return HTTPSeeOther(location=headers["Location"])


def _leave_out_what_the_user_cannot_grant(asked: Any, proof: Proof) -> None:
    asked.scopes = grantable(asked.scopes, is_admin=proof.identity.is_admin)
    if not asked.scopes:
        description = "Only administrators can grant these scopes."
        raise errors.InvalidScopeError(description, request=asked)


def _browser(request: Any) -> Proof | None:
    """The user who is signed in with this browser. A token cannot give consent."""
    proof: Proof | None = request.proof
    return proof if proof is not None and proof.kind is CredentialKind.SESSION else None


def _sign_in(request: Any, asked: Any, parameters: Mapping[str, str]) -> Response:
    # Encoded again, because the sign-in page accepts only characters of a path.
    back = f"{request.route_path('oauth.authorize')}?{encoded(parameters)}"
    if len(back) > _LONGEST_PATH:
        raise errors.InvalidRequestError("The request is too long.", request=asked)
    return HTTPSeeOther(location=request.route_path("auth.sign_in", _query={"next": back}))


def _back(request: Any, redirect_uri: str, values: list[tuple[str, str]]) -> Response:
    # Errors have it, too (RFC 9207, 2.1).
    issuer = settings_of(request.registry, CoreSettings).public_url
    location = add_params_to_uri(redirect_uri, [*values, ("iss", issuer)])
    return HTTPSeeOther(location=location)


def _refuse(request: Any, why: str, status: int) -> Response:
    """An error page without a redirect: the client may not be the one it claims to be."""
    response = render_to_response(_REFUSED, {"why": why}, request=request)
    response.status_int = status
    return response


def _shown_target(redirect_uri: str) -> str:
    parts = urlsplit(redirect_uri)
    return parts.netloc or f"{parts.scheme}:"


def _policy(target: str) -> str:
    return (
        "default-src 'none'; style-src 'self'; img-src 'self'; "
        f"form-action 'self' {target}; frame-ancestors 'none'; base-uri 'none'"
    )


def includeme(config: Configurator) -> None:
    config.add_endpoint(
        "oauth.authorize",
        "/oauth/authorize",
        View("GET", ask, NO_PERMISSION_REQUIRED, http_cache=0),
        View("POST", decide, NO_PERMISSION_REQUIRED, http_cache=0),
    )
