"""The security policy: who is asking, and whether the context lets them."""

from __future__ import annotations

import uuid
from typing import Any

from pyramid.authorization import ACLHelper, Authenticated, Everyone
from pyramid.csrf import new_csrf_token
from pyramid.request import RequestLocalCache

from combine_auth.proof import Kind, Means, Proof
from combine_auth.scopes import scope_lacking
from combine_auth.sessions import SessionCookie
from combine_core.database import needs_no_transaction
from combine_core.users import Identity


class SecurityPolicy:
    """Pyramid's security policy (``pyramid.interfaces.ISecurityPolicy``).

    The first means of which a request brings anything decides. So a bad bearer token never falls
    back to the cookie: a program would work by accident, as somebody else.

    An answer is kept for the request. A database that is away is no answer: its exception goes on,
    so that nobody is taken for signed out.
    """

    def __init__(self, bearer: Means, cookie: SessionCookie) -> None:
        self._cookie = cookie
        self._means: tuple[Means, ...] = (bearer, cookie)
        self._proofs = RequestLocalCache(self._find_proof)
        self._acl = ACLHelper()

    def _find_proof(self, request: Any) -> Proof | None:
        # Probes and static files have no transaction, and nobody to ask for.
        if needs_no_transaction(request):
            return None
        for means in self._means:
            credential = means.presented(request)
            if credential is not None:
                return means.prove(request, credential)
        return None

    def proof(self, request: Any) -> Proof | None:
        """Who is asking and by what that was shown; ``None`` for a stranger."""
        found: Proof | None = self._proofs.get_or_create(request)
        return found

    def identity(self, request: Any) -> Identity | None:
        """Who is asking."""
        proof = self.proof(request)
        return None if proof is None else proof.identity

    def authenticated_userid(self, request: Any) -> str | None:
        """The id of the user who is asking."""
        identity = self.identity(request)
        return None if identity is None else str(identity.user_id)

    def permits(self, request: Any, context: Any, permission: str) -> Any:
        """Whether the context's ``__acl__`` lets the asker, and the token's scopes do.

        Both are asked at each use: a token never opens what its user may not do, or no longer.
        """
        principals = [Everyone]
        proof = self.proof(request)
        if proof is not None:
            principals += [Authenticated, f"user:{proof.identity.user_id}"]
        allowed = self._acl.permits(context, principals, permission)
        if allowed and proof is not None and not proof.covers(permission):
            return scope_lacking(permission)
        return allowed

    def remember(
        self, request: Any, userid: str | uuid.UUID, *, provider: str | None = None
    ) -> list[tuple[str, str]]:
        """Sign this user in: a new session, and the headers that set its cookie.

        A session that the browser came with ends, and its CSRF token is renewed: nothing that
        somebody planted there before the sign-in is worth anything after it.

        :param provider: the provider that the sign-in was made with, by name
        """
        self.forget(request)
        return self._cookie.start(request, uuid.UUID(str(userid)), provider)

    def forget(self, request: Any) -> list[tuple[str, str]]:
        """Sign the browser out: its session ends, and the headers take its cookie back."""
        headers = self._cookie.end(request)
        new_csrf_token(request)
        self._proofs.clear(request)
        return headers

    def needs_csrf_token(self, request: Any) -> bool:
        """Whether a request that changes something must bring the CSRF token.

        Not if a bearer token has shown who is asking: no browser sends that by itself.
        """
        if self._means[0].presented(request) is None:
            return True
        proof = self.proof(request)
        return proof is None or proof.kind is not Kind.TOKEN
