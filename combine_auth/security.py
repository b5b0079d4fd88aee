"""The security policy: who is asking, what they may do, and which forms are accepted."""

from __future__ import annotations

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

from combine_auth.authentication import Authenticator, CredentialKind, Proof
from combine_auth.cross_site import CsrfTokens
from combine_auth.sessions.cookie import SessionCookie
from combine_auth.tokens.bearer import BearerToken
from combine_core.settings import CoreSettings
from combine_core.users import Identity
from combine_core.web.cookies import cookies_are_secure
from combine_core.web.paths import needs_no_database

View = Callable[[Any, Any], Any]


class SecurityPolicy:
    """Pyramid's security policy (``pyramid.interfaces.ISecurityPolicy``).

    The first kind of credential that a request brings decides alone. A bad bearer token never falls
    back to the cookie: a program would work by accident, with somebody else's rights.

    The result is cached for the request. If the database is unreachable, its exception propagates, so
    that nobody is mistaken for signed out.
    """

    def __init__(self, bearer: Authenticator, cookie: SessionCookie) -> None:
        self._bearer = bearer
        self._cookie = cookie
        self._proofs = RequestLocalCache(self._find_proof)
        self._acl = ACLHelper()

    def _find_proof(self, request: Any) -> Proof | None:
        # Probes and static files have no transaction, and need no user.
        if needs_no_database(request):
            return None
        authenticators: tuple[Authenticator, ...] = (self._bearer, self._cookie)
        for authenticator in authenticators:
            credential = authenticator.presented(request)
            if credential is not None:
                return authenticator.prove(request, credential)
        return None

    def proof(self, request: Any) -> Proof | None:
        """The user who is asking and the credential; ``None`` for an anonymous request."""
        found: Proof | None = self._proofs.get_or_create(request)
        return found

    def identity(self, request: Any) -> Identity | None:
        proof = self.proof(request)
        return None if proof is None else proof.identity

    def authenticated_userid(self, request: Any) -> str | None:
        identity = self.identity(request)
        return None if identity is None else str(identity.user_id)

    def permits(self, request: Any, context: Any, permission: str) -> Any:
        """Whether the context's ``__acl__`` allows it at this moment, and the token's scopes do, too."""
        principals = [Everyone]
        proof = self.proof(request)
        if proof is not None:
            principals += [Authenticated, f"user:{proof.identity.user_id}"]
            if not proof.reaches(context):
                return Denied("the token is limited to another project")
        allowed = self._acl.permits(context, principals, permission)
        if allowed and proof is not None and not proof.covers(permission):
            return MissingScope("the token lacks the scope %s", permission)
        return allowed

    def remember(
        self, request: Any, userid: str | uuid.UUID, *, provider: str | None = None
    ) -> list[tuple[str, str]]:
        """Sign this user in: start a session, and return the headers that set its cookie.

        A session that the browser came with ends, and its CSRF token is renewed: nothing that
        somebody planted in the browser before the sign-in is of use after it.

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
        """Whether a change must bring the CSRF token: no browser sends a valid bearer token by itself."""
        if self._bearer.presented(request) is None:
            return True
        proof = self.proof(request)
        return proof is None or proof.kind is not CredentialKind.TOKEN


class MissingScope(Denied):  # type: ignore[misc]
    """The policy's refusal where the user has the permission and the token does not. It is false."""

    @property
    def scope(self) -> str:
        return str(self.args[0])


class InsufficientScope(HTTPForbidden):  # type: ignore[misc]
    """403, with the scope to ask for (RFC 6750, 3.1)."""

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"The token is not good for this: it lacks the scope {scope}.",
            headers={
                "WWW-Authenticate": (
                    f'Bearer realm="combine", error="insufficient_scope", scope="{scope}"'
                )
            },
        )


def name_missing_scope(view: View, info: Any) -> View:  # noqa: ARG001
    """View deriver around the permission check: turns a refusal for a missing scope into its own 403."""

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
    """Set the policy, ``request.proof``, and CSRF protection as the default of every view."""
    core = config.add_addon_settings(CoreSettings)
    secure = cookies_are_secure(core)

    policy = SecurityPolicy(BearerToken(), SessionCookie(secure=secure))
    config.set_security_policy(policy)
    # Not reified: the policy caches the result, and drops it at sign-in and sign-out.
    config.add_request_method(policy.proof, "proof", property=True)
    config.add_view_deriver(name_missing_scope, over="secured_view", under=INGRESS)

    origins = {core.public_url, *core.allowed_origins}
    settings = config.registry.settings
    # Pyramid's own check, which it makes over https.
    settings["pyramid.csrf_trusted_origins"] = [
        *aslist(settings.get("pyramid.csrf_trusted_origins", [])),
        *(urlsplit(origin).netloc for origin in sorted(origins)),
    ]
    config.set_csrf_storage_policy(CsrfTokens(secure=secure, origins=origins))
    config.set_default_csrf_options(
        require_csrf=True, check_origin=True, callback=policy.needs_csrf_token
    )
