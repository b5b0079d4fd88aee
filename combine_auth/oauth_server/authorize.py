"""``/oauth/authorize``, where a user allows or denies a client to act for them (RFC 6749, 4.1.1).

The content of each consent page is stored, so that a user grants exactly what the page showed.
"""

from __future__ import annotations

import logging
import secrets
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from oauthlib.common import add_params_to_uri
from oauthlib.oauth2.rfc6749 import errors
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.renderers import render_to_response
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from combine_auth.authentication import RANDOM, CredentialKind, Proof, sha256
from combine_auth.clients import OAuthClient
from combine_auth.clients.redirect_uri import form_target
from combine_auth.clients.service import owner_of
from combine_auth.limits import check_limit
from combine_auth.oauth_server import lifetimes
from combine_auth.oauth_server.context import oauth_context
from combine_auth.oauth_server.grants import TooManyGrants, delete_expired_rows
from combine_auth.oauth_server.messages import oauth_request, read_form, read_parameters
from combine_auth.oauth_server.model import OAuthConsentPage
from combine_auth.oauth_server.server import server_of
from combine_auth.tokens.scopes import describe_scope, grantable
from combine_core.settings import CoreSettings, settings_of
from combine_core.web.endpoints import View
from combine_core.web.forms import text_of

logger = logging.getLogger(__name__)
_CONSENT = "combine_auth:oauth_server/consent.jinja2"
_REFUSED = "combine_auth:oauth_server/refused.jinja2"
# The maximum length of a path that the sign-in page can redirect to.
_MAX_PATH = 2000


class _ConsentMismatch(errors.FatalClientError):  # type: ignore[misc]
    """The submitted form differs from its consent page."""

    error = "invalid_request"


def show_consent(request: Any) -> Response:
    """Render the consent page, if the request is valid and a user is signed in."""
    check_limit(request, "authorize")
    query: str = request.environ.get("QUERY_STRING", "")
    return _handle_valid(request, lambda: read_parameters(query), _show)


def decide(request: Any) -> Response:
    """Handle the form of the consent page: redirect to the client with a code, or with an error."""
    check_limit(request, "authorize")
    return _handle_valid(request, lambda: read_form(request), _decide)


def _handle_valid(request: Any, read: Any, handle: Any) -> Response:
    """Call ``handle(request, auth_request, parameters)`` if the client may make this request."""
    try:
        parameters = read()
        with oauth_context(request, request.dbsession):
            auth_request = oauth_request(request.path_url, parameters)
            server_of(request.registry).validate_authorization_request(auth_request)
            response: Response = handle(request, auth_request, parameters)
            return response
    except errors.FatalClientError as error:
        return _refuse(request, error.description, error.status_code)
    except errors.OAuth2Error as error:
        if error.redirect_uri is None:
            return _refuse(request, error.description, error.status_code)
        return _redirect_error(request, error.redirect_uri, error.twotuples)
    except TooManyGrants as error:
        return _refuse(request, str(error), 409)


def _show(request: Any, auth_request: Any, parameters: Mapping[str, str]) -> Response:
    proof = _browser_session(request)
    if auth_request.prompt == "none":
        # Sign-in and consent both need a page.
        raise (errors.ConsentRequired if proof else errors.LoginRequired)(request=auth_request)
    if proof is None:
        return _sign_in(request, auth_request, parameters)
    _limit_to_grantable_scopes(auth_request, proof)
    client: OAuthClient = auth_request.client
    values = {
        "client": client,
        "owner": owner_of(request.dbsession, client),
        "scopes": [(scope, describe_scope(scope)) for scope in auth_request.scopes],
        "target": _display_target(auth_request.redirect_uri),
        "parameters": parameters,
        "page": save_page(request.dbsession, proof.identity.user_id, auth_request, parameters),
        "me": proof.identity,
    }
    response = render_to_response(_CONSENT, values, request=request)
    # Browsers also apply form-action to the redirect after the form.
    response.headers["Content-Security-Policy"] = _policy(form_target(auth_request.redirect_uri))
    response.headers["X-Frame-Options"] = "DENY"
    return response


def _decide(request: Any, auth_request: Any, parameters: Mapping[str, str]) -> Response:
    proof = _browser_session(request)
    if proof is None:
        return _sign_in(request, auth_request, parameters)
    _limit_to_grantable_scopes(auth_request, proof)
    page = find_page(request.dbsession, proof.identity.user_id, text_of(request, "page"))
    if page is None:
        raise _ConsentMismatch(
            "This page was open for too long. Go back to the program and start again."
        )
    if not matches_page(page, auth_request, parameters):
        raise _ConsentMismatch(
            "The request has changed since the page was shown. Go back to the program and start again."
        )
    if request.POST.get("decision") != "approve":
        raise errors.AccessDeniedError(request=auth_request)
    headers, _, _ = server_of(request.registry).create_authorization_response(
        oauth_request(request.path_url, {**parameters, "scope": " ".join(page.scopes)}),
        credentials={"user": proof.identity.user_id},
    )
    client_id = auth_request.client.client_id
    logger.info("%s lets the client %s act for them", proof.identity.email, client_id)
    # 303, so that no browser forwards the form to the client (RFC 9700, 4.12).
    return HTTPSeeOther(location=headers["Location"])


def _limit_to_grantable_scopes(auth_request: Any, proof: Proof) -> None:
    auth_request.scopes = grantable(auth_request.scopes, is_admin=proof.identity.is_admin)
    if not auth_request.scopes:
        description = "Only administrators can grant these scopes."
        raise errors.InvalidScopeError(description, request=auth_request)


def _browser_session(request: Any) -> Proof | None:
    """Return the session of this browser. A token cannot give consent."""
    proof: Proof | None = request.proof
    return proof if proof is not None and proof.kind is CredentialKind.SESSION else None


def _sign_in(request: Any, auth_request: Any, parameters: Mapping[str, str]) -> Response:
    # Encoded again, because the sign-in page accepts only the characters of a path and its query.
    path = f"{request.route_path('oauth.authorize')}?{urlencode(parameters)}"
    if len(path) > _MAX_PATH:
        raise errors.InvalidRequestError("The request is too long.", request=auth_request)
    return HTTPSeeOther(location=request.route_path("auth.sign_in", _query={"next": path}))


def _redirect_error(request: Any, redirect_uri: str, values: list[tuple[str, str]]) -> Response:
    # Errors contain the issuer too (RFC 9207, 2.1).
    issuer = settings_of(request.registry, CoreSettings).public_url
    location = add_params_to_uri(redirect_uri, [*values, ("iss", issuer)])
    return HTTPSeeOther(location=location)


def _refuse(request: Any, reason: str, status: int) -> Response:
    """Render an error page. It does not redirect, because the client may be another than it claims."""
    response = render_to_response(_REFUSED, {"reason": reason}, request=request)
    response.status_int = status
    return response


def _display_target(redirect_uri: str) -> str:
    parts = urlsplit(redirect_uri)
    return parts.netloc or f"{parts.scheme}:"


def _policy(target: str) -> str:
    return (
        "default-src 'none'; style-src 'self'; img-src 'self'; "
        f"form-action 'self' {target}; frame-ancestors 'none'; base-uri 'none'"
    )


def save_page(
    session: Session, user_id: uuid.UUID, auth_request: Any, parameters: Mapping[str, str]
) -> str:
    """Store the content of the page, and return the token for its form."""
    delete_expired_rows(session)
    token = secrets.token_urlsafe(32)
    session.add(
        OAuthConsentPage(
            token_sha256=sha256(token),
            user_id=user_id,
            client_id=auth_request.client.id,
            parameters=dict(parameters),
            scopes=auth_request.scopes,
            redirect_uri=auth_request.redirect_uri,
            expires_at=func.now() + lifetimes.CONSENT_PAGE,
        )
    )
    session.flush()
    return token


def find_page(session: Session, user_id: uuid.UUID, token: str) -> OAuthConsentPage | None:
    """Return the page of this user with this token; ``None`` if there is none or it has expired."""
    if not RANDOM.fullmatch(token):
        return None
    return session.scalar(
        select(OAuthConsentPage).where(
            OAuthConsentPage.token_sha256 == sha256(token),
            OAuthConsentPage.user_id == user_id,
            OAuthConsentPage.expires_at > func.now(),
        )
    )


def matches_page(page: OAuthConsentPage, auth_request: Any, parameters: Mapping[str, str]) -> bool:
    """Check whether the submitted form still matches the page.

    The form may have been tampered with, or the client's registration, which supplies the defaults, may
    have changed.
    """
    return (
        page.client_id == auth_request.client.id
        and page.parameters == parameters
        and page.scopes == auth_request.scopes
        and page.redirect_uri == auth_request.redirect_uri
    )


def includeme(config: Configurator) -> None:
    config.add_endpoint(
        "oauth.authorize",
        "/oauth/authorize",
        View("GET", show_consent, NO_PERMISSION_REQUIRED, http_cache=0),
        View("POST", decide, NO_PERMISSION_REQUIRED, http_cache=0),
    )
