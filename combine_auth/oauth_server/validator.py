"""Implements :class:`oauthlib.oauth2.RequestValidator` on the database.

The methods pass values to later methods as attributes of oauthlib's request object: ``client``, ``user``
(an id), ``scopes``, ``grant_id``, ``used_code``, ``refreshed``. A form cannot set them
(:mod:`combine_auth.oauth_server.messages`).
"""

# ruff: noqa: ARG002 - oauthlib defines the arguments

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from oauthlib.oauth2 import RequestValidator
from oauthlib.oauth2.rfc6749 import errors
from sqlalchemy import func

from combine_auth.audit import Action
from combine_auth.authentication import sha256
from combine_auth.clients import GrantType, OAuthClient
from combine_auth.clients.authentication import authenticate, find_client
from combine_auth.clients.redirect_uri import matches
from combine_auth.failures import Refused
from combine_auth.oauth_server import devices, issued_tokens, lifetimes
from combine_auth.oauth_server.context import current_context
from combine_auth.oauth_server.grants import CredentialReused, create_grant, revoke_grant
from combine_auth.oauth_server.model import OAuthCode, OAuthGrant
from combine_auth.tokens.scopes import parse_scopes
from combine_core.users import User


class Validator(RequestValidator):  # type: ignore[misc]
    """A validator that reads the tables, for the request of :func:`current_context`."""

    # The client.

    def client_authentication_required(self, request: Any) -> bool:
        """Return true: a public client authenticates too, with its client id alone."""
        return True

    def authenticate_client(self, request: Any) -> bool:
        """Authenticate the client by header or body (:mod:`combine_auth.clients.authentication`)."""
        context = current_context()
        if context.credentials is None:
            return False
        request.client = authenticate(context.session, context.credentials, context.built_in)
        return request.client is not None

    def validate_client_id(self, client_id: str, request: Any) -> bool:
        """Find the client at the authorization endpoint, where it sends no secret."""
        context = current_context()
        request.client = find_client(context.session, client_id, context.built_in)
        return request.client is not None

    # Grants and scopes.

    def validate_grant_type(
        self, client_id: str, grant_type: str, client: OAuthClient, request: Any
    ) -> bool:
        if grant_type == GrantType.CLIENT_CREDENTIALS:
            request.user = _service_user(client)
            if request.user is None:
                return False
        return grant_type in client.grant_types

    def validate_response_type(
        self, client_id: str, response_type: str, client: OAuthClient, request: Any
    ) -> bool:
        """Accept only ``code``, for clients that are registered for it."""
        return response_type == "code" and GrantType.AUTHORIZATION_CODE in client.grant_types

    def get_default_scopes(self, client_id: str, request: Any) -> list[str]:
        """Return all scopes of the client's registration. The user sees them and decides."""
        return list(request.client.scopes)

    def validate_scopes(
        self, client_id: str, scopes: Iterable[str], client: OAuthClient, request: Any
    ) -> bool:
        """Accept known scopes that the client is registered for."""
        try:
            request.scopes = parse_scopes(scopes)
        except Refused:
            return False
        return bool(request.scopes) and set(request.scopes) <= set(client.scopes)

    # Redirect URIs.

    def validate_redirect_uri(self, client_id: str, redirect_uri: str, request: Any) -> bool:
        """Accept only a registered URI, compared exactly."""
        return matches(redirect_uri, request.client.redirect_uris)

    def get_default_redirect_uri(self, client_id: str, request: Any) -> str | None:
        """Return the URI of the code, or the only registered one."""
        used = getattr(request, "used_code", None)
        if used is not None:
            return str(used.redirect_uri)
        registered = request.client.redirect_uris
        return registered[0] if len(registered) == 1 else None

    # Codes.

    def is_pkce_required(self, client_id: str, request: Any) -> bool:
        """Require PKCE of every client (RFC 9700, 2.1.1)."""
        return True

    def save_authorization_code(self, client_id: str, code: dict[str, str], request: Any) -> None:
        """Store the consent as a grant, and the code."""
        context = current_context()
        grant = create_grant(
            context.session,
            request.user,
            request.client,
            GrantType.AUTHORIZATION_CODE,
            request.scopes,
        )
        context.session.add(
            OAuthCode(
                grant_id=grant.id,
                code_sha256=sha256(code["code"]),
                redirect_uri=request.redirect_uri,
                redirect_uri_named=not request.using_default_redirect_uri,
                code_challenge=request.code_challenge,
                expires_at=func.now() + lifetimes.CODE,
            )
        )
        context.record(
            Action.CONSENT,
            user_id=request.user,
            target=f"grant:{grant.id}",
            client=request.client.client_id,
            scopes=request.scopes,
        )

    def validate_code(self, client_id: str, code: str, client: OAuthClient, request: Any) -> bool:
        """Mark the code as used. oauthlib does so after saving the tokens, too late for concurrent requests.

        If a later check fails, such as that of the verifier, the code stays used, which is safe.
        """
        context = current_context()
        try:
            used = issued_tokens.use_code(context.session, code, client)
        except CredentialReused as reused:
            _revoke_family(Action.CODE_REUSE, client, reused.grant)
            return False
        if used is None:
            return False
        request.used_code, grant = used
        _apply_grant(grant, request)
        return True

    def get_code_challenge(self, code: str, request: Any) -> str:
        return str(request.used_code.code_challenge)

    def get_code_challenge_method(self, code: str, request: Any) -> str:
        return "S256"

    def confirm_redirect_uri(
        self, client_id: str, code: str, redirect_uri: str, client: OAuthClient, request: Any
    ) -> bool:
        """Check that the URI is that of the authorization request, and repeated if it was named there."""
        used = request.used_code
        if request.using_default_redirect_uri and used.redirect_uri_named:
            return False
        return bool(redirect_uri == used.redirect_uri)

    def invalidate_authorization_code(self, client_id: str, code: str, request: Any) -> None:
        """Do nothing: :meth:`validate_code` has marked the code as used."""

    # Refresh tokens.

    def validate_refresh_token(self, refresh_token: str, client: OAuthClient, request: Any) -> bool:
        """Rotate the token. A request for more scopes is rejected first, and leaves the token valid."""
        context = current_context()
        found = issued_tokens.find_refresh_token(context.session, refresh_token, client)
        if found is None:
            return False
        token, grant = found
        if not set((request.scope or "").split()) <= set(token.scopes):
            raise errors.InvalidScopeError(request=request)
        try:
            issued_tokens.rotate(context.session, token, grant)
        except CredentialReused as reused:
            _revoke_family(Action.REFRESH_REUSE, client, reused.grant)
            return False
        request.refreshed = token
        request.grant_id = grant.id
        request.user = grant.user_id
        return True

    def get_original_scopes(self, refresh_token: str, request: Any) -> list[str]:
        return list(request.refreshed.scopes)

    # Devices.

    def validate_device_code(self, client_id: str, code: str, request: Any) -> str | None:
        """Return the status of the device. The code of an approved device is marked as used."""
        status, grant = devices.poll(current_context().session, code, request.client)
        if grant is not None:
            _apply_grant(grant, request)
        return status

    # Tokens.

    def save_bearer_token(self, token: dict[str, Any], request: Any) -> None:
        """Store the hashes of the new tokens."""
        context = current_context()
        refreshed = getattr(request, "refreshed", None)
        if request.grant_type == GrantType.CLIENT_CREDENTIALS:
            # The grant expires with its only token.
            request.grant_id = create_grant(
                context.session,
                request.user,
                request.client,
                GrantType.CLIENT_CREDENTIALS,
                request.scopes,
                lifetimes.ACCESS,
            ).id
        issued_tokens.save_tokens(
            context.session,
            request.grant_id,
            access=token["access_token"],
            access_scopes=request.scopes,
            refresh=token.get("refresh_token"),
            # The scopes of the previous refresh token, even if this access token has fewer (RFC 6749, 6).
            refresh_scopes=request.scopes if refreshed is None else refreshed.scopes,
            parent_id=None if refreshed is None else refreshed.id,
        )
        if refreshed is None:
            context.record(
                Action.OAUTH_TOKEN,
                user_id=request.user,
                target=f"grant:{request.grant_id}",
                client=request.client.client_id,
                grant_type=request.grant_type,
                scopes=request.scopes,
            )

    def revoke_token(self, token: str, token_type_hint: str | None, request: Any) -> None:
        """Revoke a token of this client. Its prefix shows its kind, so the hint is not needed."""
        context = current_context()
        grant_id = issued_tokens.revoke_issued(context.session, token, request.client)
        if grant_id is not None:
            context.record(
                Action.OAUTH_REVOKE,
                target=f"grant:{grant_id}",
                client=request.client.client_id,
            )

    def introspect_token(
        self, token: str, token_type_hint: str | None, request: Any
    ) -> dict[str, Any] | None:
        """Return the description of this client's token (RFC 7662, 2.2); ``None`` for any other."""
        context = current_context()
        found = issued_tokens.find_issued(context.session, token, request.client)
        if found is None:
            return None
        issued, grant = found
        user = context.session.get(User, grant.user_id)
        known: dict[str, Any] = {
            "scope": " ".join(issued.scopes),
            "client_id": request.client.client_id,
            "sub": str(grant.user_id),
            "username": user.email if user else None,
            "iat": int(issued.created_at.timestamp()),
            "exp": int(issued.expires_at.timestamp()),
        }
        if issued.kind == "access":
            known["token_type"] = "Bearer"  # noqa: S105 - the word of RFC 6749
        return known


def _service_user(client: OAuthClient) -> uuid.UUID | None:
    if client.service_user_id is None:
        return None
    user = current_context().session.get(User, client.service_user_id)
    return user.id if user is not None and user.disabled_at is None else None


def _apply_grant(grant: OAuthGrant, request: Any) -> None:
    request.grant_id = grant.id
    request.user = grant.user_id
    request.scopes = list(grant.scopes)


def _revoke_family(action: Action, client: OAuthClient, grant: OAuthGrant) -> None:
    """Revoke the grant of a reused code or token."""
    context = current_context()
    revoke_grant(context.session, grant.id)
    context.record(
        action,
        outcome="revoked",
        user_id=grant.user_id,
        target=f"grant:{grant.id}",
        client=client.client_id,
    )
    # The response is an error, so the endpoint does not commit.
    context.session.commit()
