"""The request that is being answered, for the validator that oauthlib calls back."""

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
    """The request, its credentials, and the session for its results.

    :ivar session: outside of ``request.tm``: a used code must stay used, and a revoked grant revoked,
        even when the response is an error, which would roll back the request's own transaction
    :ivar credentials: ``None`` if there are none, or they cannot be read
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
        """Add an event to the audit, in the transaction of what it describes."""
        record(
            self.session,
            action,
            outcome=outcome,
            actor_id=user_id,
            target=target,
            ip=self.request.remote_addr,
            # Set by combine_core.observe, if the application includes it.
            request_id=getattr(self.request, "request_id", None),
            **details,
        )


# oauthlib's endpoints create their request objects themselves, so that ours cannot be attached to them.
_current: ContextVar[OAuthContext] = ContextVar("combine_oauth_context")


@contextmanager
def oauth_context(
    request: Any, session: Session, credentials: Credentials | None = None
) -> Iterator[OAuthContext]:
    """The validator works for this request inside of the ``with`` block."""
    built_in = built_in_clients(settings_of(request.registry, CoreSettings).public_url)
    context = OAuthContext(request, session, credentials, built_in)
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def current_context() -> OAuthContext:
    """The context of the request that this thread answers."""
    return _current.get()
