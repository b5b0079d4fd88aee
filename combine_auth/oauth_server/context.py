"""One request of a client, and what belongs to it, for the validator that oauthlib calls back."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from combine_auth.audit import Action, record
from combine_auth.clients.authentication import Credentials
from combine_auth.clients.built_in import BuiltInClient, built_in_clients
from combine_core.settings import CoreSettings, settings_of


@dataclass(frozen=True)
class OAuthContext:
    """What the request brought, and where its results go.

    :ivar session: outside of ``request.tm``: a used code must stay used, and a revoked grant revoked,
        although the answer is an error, with which the request's own transaction would roll back
    :ivar credentials: ``None`` where there are none that can be read
    """

    request: Any
    session: Session
    credentials: Credentials | None
    built_in: Mapping[str, BuiltInClient]

    def note(
        self,
        action: Action,
        *,
        outcome: str = "ok",
        user_id: uuid.UUID | None = None,
        target: str | None = None,
        **details: Any,
    ) -> None:
        """Add a line to the audit, together with what it tells of."""
        record(
            self.session,
            action,
            outcome=outcome,
            actor_id=user_id,
            target=target,
            ip=self.request.remote_addr,
            # Of combine_core.observe, if the application has it.
            request_id=getattr(self.request, "request_id", None),
            **details,
        )


# oauthlib's endpoints make their request objects themselves: there is no other place to hang ours on.
_current: ContextVar[OAuthContext] = ContextVar("combine_oauth_context")


@contextmanager
def oauth_context(
    request: Any, session: Session, credentials: Credentials | None = None
) -> Iterator[OAuthContext]:
    """The validator works for this request meanwhile."""
    built_in = built_in_clients(settings_of(request.registry, CoreSettings).public_url)
    context = OAuthContext(request, session, credentials, built_in)
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def current_context() -> OAuthContext:
    """The request that this thread answers."""
    return _current.get()
