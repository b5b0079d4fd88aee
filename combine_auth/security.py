"""The security policy: authentication by session cookie or bearer token, permissions and CSRF protection."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from pyramid.authorization import ACLHelper, Authenticated, Everyone
from pyramid.config import Configurator
from pyramid.csrf import new_csrf_token
from pyramid.httpexceptions import HTTPForbidden
from pyramid.request import RequestLocalCache
from pyramid.security import Denied
from pyramid.settings import aslist
from pyramid.viewderivers import INGRESS

from combine_auth.authentication import RANDOM, CredentialKind, Proof, use_credential
from combine_auth.cross_site import CsrfTokens
from combine_auth.oauth_server.issued_tokens import find_access_token
from combine_auth.oauth_server.model import OAuthGrant
from combine_auth.sessions import (
    ABSOLUTE_LIMIT,
    BrowserSession,
    end_session_of_token,
    find_session,
    start_session,
)
from combine_auth.tokens.format import ACCESS, PERSONAL
from combine_auth.tokens.model import PersonalAccessToken
from combine_auth.tokens.service import find_token
from combine_core.settings import CoreSettings
from combine_core.users import Identity
from combine_core.web.cookies import Cookie, cookies_are_secure
from combine_core.web.paths import needs_no_database

View = Callable[[Any, Any], Any]
# The server joins several Authorization headers with commas.
_BEARER = re.compile(r"(?:^|,)\s*bearer(?![^\s,])", re.IGNORECASE)


class SessionCookie:
    """The cookie that contains a session's token."""

    def __init__(self, *, secure: bool) -> None:
        self._cookie = Cookie("session", secure=secure, lifetime=ABSOLUTE_LIMIT)

    def read_credential(self, request: Any) -> str | None:
        """Return the cookie's value, not yet verified; ``None`` without the cookie."""
        return self._cookie.read(request)

    def verify(self, request: Any, credential: str) -> Proof | None:
        if not RANDOM.fullmatch(credential):
            return None
        found = find_session(request, credential)
        return use_credential(request, found, BrowserSession.last_seen_at)

    def start(
        self, request: Any, user_id: Any, provider: str | None = None
    ) -> list[tuple[str, str]]:
        """Start a session, and return the headers that set its cookie."""
        token = start_session(
            request.dbsession,
            user_id,
            user_agent=request.user_agent or "",
            # Not client_addr, which a client can forge. The server has already replaced this address
            # with the one from its trusted proxy.
            ip=request.remote_addr,
            provider=provider,
        )
        return self._cookie.headers(token)

    def end(self, request: Any) -> list[tuple[str, str]]:
        """End the session of the request, and return the headers that delete the cookie."""
        token = self.read_credential(request)
        if token is not None and RANDOM.fullmatch(token):
            end_session_of_token(request.dbsession, token)
        return self._cookie.headers(None)


class BearerToken:
    """The token in the header ``Authorization: Bearer`` (RFC 6750). Tokens elsewhere are ignored."""

    def read_credential(self, request: Any) -> str | None:
        """Return the text after ``Bearer``, not yet verified; ``None`` without such a header.

        Other schemes are ignored, because a proxy with Basic authentication passes its header on. A bearer
        token after another credential counts as invalid, because it is ambiguous which of the two applies.
        A token with a DPoP proof (RFC 9449) counts as invalid too: no token is bound to a key, and the
        client must not assume that it is.
        """
        header: str = request.environ.get("HTTP_AUTHORIZATION", "")
        if "HTTP_DPOP" in request.environ or header[:5].lower() == "dpop ":
            return "DPoP"
        bearer = _BEARER.search(header)
        if bearer is None:
            return None
        return header[bearer.end() :].strip(" \t") if bearer.start() == 0 else header

    def verify(self, request: Any, credential: str) -> Proof | None:
        """Verify the token. A wrong checksum is rejected without a query."""
        if PERSONAL.is_valid(credential):
            found = find_token(request, credential)
            return use_credential(request, found, PersonalAccessToken.last_used_at)
        if ACCESS.is_valid(credential):
            found = find_access_token(request, credential)
            return use_credential(request, found, OAuthGrant.last_used_at)
        return None


class SecurityPolicy:
    """Pyramid's security policy (``pyramid.interfaces.ISecurityPolicy``).

    A bearer token takes precedence over the cookie. An invalid token never falls back to the cookie: a
    program would then run by accident with the rights of another user.

    The result is cached for the request. If the database is unreachable, its exception propagates,
    because the user must not seem to be signed out.
    """

    def __init__(self, bearer: BearerToken, cookie: SessionCookie) -> None:
        self._bearer = bearer
        self._cookie = cookie
        self._proofs = RequestLocalCache(self._find_proof)
        self._acl = ACLHelper()

    def _find_proof(self, request: Any) -> Proof | None:
        # Probes and static files have no transaction and need no user.
        if needs_no_database(request):
            return None
        token = self._bearer.read_credential(request)
        if token is not None:
            return self._bearer.verify(request, token)
        cookie = self._cookie.read_credential(request)
        return None if cookie is None else self._cookie.verify(request, cookie)

    def proof(self, request: Any) -> Proof | None:
        """Return the user and the credential of the request; ``None`` if it is anonymous."""
        found: Proof | None = self._proofs.get_or_create(request)
        return found

    def identity(self, request: Any) -> Identity | None:
        proof = self.proof(request)
        return None if proof is None else proof.identity

    def authenticated_userid(self, request: Any) -> str | None:
        identity = self.identity(request)
        return None if identity is None else str(identity.user_id)

    def permits(self, request: Any, context: Any, permission: str) -> Any:
        """Check that the context's ``__acl__`` and the token's scopes allow the permission."""
        principals = [Everyone]
        proof = self.proof(request)
        if proof is not None:
            principals += [Authenticated, f"user:{proof.identity.user_id}"]
            if not proof.allows_context(context):
                return Denied("the token is limited to another project")
        allowed = self._acl.permits(context, principals, permission)
        if allowed and proof is not None and not proof.allows_permission(permission):
            return MissingScope("the token lacks the scope %s", permission)
        return allowed

    def remember(
        self, request: Any, userid: str | uuid.UUID, *, provider: str | None = None
    ) -> list[tuple[str, str]]:
        """Sign the user in: start a session, and return the headers that set its cookie.

        The browser's previous session ends and its CSRF token is renewed, so that nothing that
        somebody planted in the browser before the sign-in has an effect after it.

        :param provider: the name of the provider that the user signed in with
        """
        self.forget(request)
        return self._cookie.start(request, uuid.UUID(str(userid)), provider)

    def forget(self, request: Any) -> list[tuple[str, str]]:
        """Sign the browser out: end its session, and return the headers that delete the cookie."""
        headers = self._cookie.end(request)
        new_csrf_token(request)
        self._proofs.clear(request)
        return headers

    def needs_csrf_token(self, request: Any) -> bool:
        """Check whether a change needs a CSRF token. No browser sends a bearer token by itself."""
        if self._bearer.read_credential(request) is None:
            return True
        proof = self.proof(request)
        return proof is None or proof.kind is not CredentialKind.TOKEN


class MissingScope(Denied):  # type: ignore[misc]
    """A false result of the policy: the user has the permission, and the token lacks the scope."""

    @property
    def scope(self) -> str:
        return str(self.args[0])


class InsufficientScope(HTTPForbidden):  # type: ignore[misc]
    """A 403 response that names the missing scope (RFC 6750, 3.1)."""

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"The token lacks the scope {scope}. Use a token that has it.",
            headers={
                "WWW-Authenticate": (
                    f'Bearer realm="combine", error="insufficient_scope", scope="{scope}"'
                )
            },
        )


def name_missing_scope(view: View, info: Any) -> View:  # noqa: ARG001
    """Wrap the permission check (a view deriver): raise InsufficientScope for a missing scope."""

    def checked(context: Any, request: Any) -> Any:
        try:
            return view(context, request)
        except HTTPForbidden as error:
            result = getattr(error, "result", None)
            if isinstance(result, MissingScope):
                raise InsufficientScope(result.scope) from error
            raise

    return checked


def includeme(config: Configurator) -> None:
    """Set the policy, add ``request.proof``, and turn on CSRF protection for every view."""
    core = config.add_addon_settings(CoreSettings)
    secure = cookies_are_secure(core)

    policy = SecurityPolicy(BearerToken(), SessionCookie(secure=secure))
    config.set_security_policy(policy)
    # Not reified: the policy caches the result, and clears it at sign-in and sign-out.
    config.add_request_method(policy.proof, "proof", property=True)
    config.add_view_deriver(name_missing_scope, over="secured_view", under=INGRESS)

    origins = {core.public_url, *core.allowed_origins}
    settings = config.registry.settings
    # For Pyramid's own check, which applies over https.
    settings["pyramid.csrf_trusted_origins"] = [
        *aslist(settings.get("pyramid.csrf_trusted_origins", [])),
        *(urlsplit(origin).netloc for origin in sorted(origins)),
    ]
    config.set_csrf_storage_policy(CsrfTokens(secure=secure, origins=origins))
    config.set_default_csrf_options(
        require_csrf=True, check_origin=True, callback=policy.needs_csrf_token
    )
