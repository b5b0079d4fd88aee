"""The decisions that oauthlib leaves to us: :class:`oauthlib.oauth2.RequestValidator`.

oauthlib passes its own request object, on which the methods store what later ones need:
``client``, ``user`` (an id), ``scopes``, ``grant_id``, ``used_code``, ``refreshed``. A form cannot set
them (:mod:`combine_auth.oauth_server.messages`).
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
from combine_auth.oauth_server import devices, issued_tokens, lifetimes
from combine_auth.oauth_server.context import current_context
from combine_auth.oauth_server.grants import CredentialReused, create_grant, revoke_grant
from combine_auth.oauth_server.model import OAuthCode, OAuthGrant
from combine_auth.refused import Refused
from combine_auth.tokens.scopes import known_scopes
from combine_core.users import User


class Validator(RequestValidator):  # type: ignore[misc]
    """Decides by what the tables hold, for the request of :func:`current_context`."""

    # The client.

    def client_authentication_required(self, request: Any) -> bool:
        """Always. A public client authenticates with its client id alone."""
        return True

    def authenticate_client(self, request: Any) -> bool:
        """By header or body; see :mod:`combine_auth.clients.authentication`."""
        context = current_context()
        if context.credentials is None:
            return False
        request.client = authenticate(context.session, context.credentials, context.built_in)
        return request.client is not None

    def validate_client_id(self, client_id: str, request: Any) -> bool:
        """At the authorization endpoint, where clients send no secret."""
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
        """Only ``code``, for clients that are registered for it."""
        return response_type == "code" and GrantType.AUTHORIZATION_CODE in client.grant_types

    def get_default_scopes(self, client_id: str, request: Any) -> list[str]:
        """By default, all that the client is registered for. The user sees them and decides."""
        return list(request.client.scopes)

    def validate_scopes(
        self, client_id: str, scopes: Iterable[str], client: OAuthClient, request: Any
    ) -> bool:
        """Known scopes that the client is registered for."""
        try:
            request.scopes = known_scopes(scopes)
        except Refused:
            return False
        return bool(request.scopes) and set(request.scopes) <= set(client.scopes)

    # Redirect URIs.

    def validate_redirect_uri(self, client_id: str, redirect_uri: str, request: Any) -> bool:
        """Only a registered one, compared exactly."""
        return matches(redirect_uri, request.client.redirect_uris)

    def get_default_redirect_uri(self, client_id: str, request: Any) -> str | None:
        """The only registered one; at the token endpoint, the one of the code."""
        used = getattr(request, "used_code", None)
        if used is not None:
            return str(used.redirect_uri)
        registered = request.client.redirect_uris
        return registered[0] if len(registered) == 1 else None

    # Codes.

    def is_pkce_required(self, client_id: str, request: Any) -> bool:
        """For every client (RFC 9700, 2.1.1)."""
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
        context.note(
            Action.CONSENT,
            user_id=request.user,
            target=f"grant:{grant.id}",
            client=request.client.client_id,
            scopes=request.scopes,
        )

    def validate_code(self, client_id: str, code: str, client: OAuthClient, request: Any) -> bool:
        """Use it up. oauthlib would do so after it saves the tokens, too late for simultaneous requests.

        If a later check fails, such as that of the verifier, the code stays used, which is safe.
        """
        context = current_context()
        try:
            used = issued_tokens.use_code(context.session, code, client)
        except CredentialReused as reused:
            _end_family(Action.CODE_REUSE, client, reused.grant)
            return False
        if used is None:
            return False
        request.used_code, grant = used
        _act_for(grant, request)
        return True

    def get_code_challenge(self, code: str, request: Any) -> str:
        return str(request.used_code.code_challenge)

    def get_code_challenge_method(self, code: str, request: Any) -> str:
        return "S256"

    def confirm_redirect_uri(
        self, client_id: str, code: str, redirect_uri: str, client: OAuthClient, request: Any
    ) -> bool:
        """The one of the authorization request, repeated if it was named there."""
        used = request.used_code
        if request.using_default_redirect_uri and used.redirect_uri_named:
            return False
        return bool(redirect_uri == used.redirect_uri)

    def invalidate_authorization_code(self, client_id: str, code: str, request: Any) -> None:
        """Does nothing: :meth:`validate_code` has used it up."""

    # Refresh tokens.

    def validate_refresh_token(self, refresh_token: str, client: OAuthClient, request: Any) -> bool:
        """Rotate it. A request for more scopes is refused first, so that the token stays valid."""
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
            _end_family(Action.REFRESH_REUSE, client, reused.grant)
            return False
        request.refreshed = token
        request.grant_id = grant.id
        request.user = grant.user_id
        return True

    def get_original_scopes(self, refresh_token: str, request: Any) -> list[str]:
        return list(request.refreshed.scopes)

    # Devices.

    def validate_device_code(self, client_id: str, code: str, request: Any) -> str | None:
        """The status of the device; an approved code is used up."""
        status, grant = devices.poll(current_context().session, code, request.client)
        if grant is not None:
            _act_for(grant, request)
        return status

    # Tokens.

    def save_bearer_token(self, token: dict[str, Any], request: Any) -> None:
        """Store the hashes of the tokens that the client gets."""
        context = current_context()
        refreshed = getattr(request, "refreshed", None)
        if request.grant_type == GrantType.CLIENT_CREDENTIALS:
            # The grant ends with its only token.
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
            # Those of the previous refresh token, even if this access token has fewer (RFC 6749, 6).
            refresh_scopes=request.scopes if refreshed is None else refreshed.scopes,
            parent_id=None if refreshed is None else refreshed.id,
        )
        if refreshed is None:
            context.note(
                Action.OAUTH_TOKEN,
                user_id=request.user,
                target=f"grant:{request.grant_id}",
                client=request.client.client_id,
                grant_type=request.grant_type,
                scopes=request.scopes,
            )

    def revoke_token(self, token: str, token_type_hint: str | None, request: Any) -> None:
        """Only a token of this client. Its prefix shows its kind, so that no hint is needed."""
        context = current_context()
        grant_id = issued_tokens.revoke_issued(context.session, token, request.client)
        if grant_id is not None:
            context.note(
                Action.OAUTH_REVOKE,
                target=f"grant:{grant_id}",
                client=request.client.client_id,
            )

    def introspect_token(
        self, token: str, token_type_hint: str | None, request: Any
    ) -> dict[str, Any] | None:
        """The description of a token of this client (RFC 7662, 2.2); ``None`` for any other."""
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


def _act_for(grant: OAuthGrant, request: Any) -> None:
    request.grant_id = grant.id
    request.user = grant.user_id
    request.scopes = list(grant.scopes)


def _end_family(action: Action, client: OAuthClient, grant: OAuthGrant) -> None:
    """Revoke the grant of a code or token that two parties have."""
    context = current_context()
    revoke_grant(context.session, grant.id)
    context.note(
        action,
        outcome="revoked",
        user_id=grant.user_id,
        target=f"grant:{grant.id}",
        client=client.client_id,
    )
    # The response is an error, so that nobody else commits.
    context.session.commit()
