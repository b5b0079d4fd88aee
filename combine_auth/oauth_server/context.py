"""Passes the current request to the validator that oauthlib calls."""

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
    """The current request, its credentials, and the database session for its results.

    :ivar session: not part of ``request.tm``, because an error response rolls that transaction back, and a
        used code must stay used, and a revoked grant revoked
    :ivar credentials: ``None`` if there are none, or they are malformed
    """

    request: Any
    session: Session
    credentials: Credentials | None
    built_in: Mapping[str, BuiltInClient]

    def record(self, action: Action, *, user_id: uuid.UUID | None = None, **event: Any) -> None:
        """Add an event to the audit, in the transaction of the change.

        :param event: further arguments of :func:`combine_auth.audit.record`
        """
        record(
            self.session,
            action,
            actor_id=user_id,
            ip=self.request.remote_addr,
            # Set by combine_core.observe, if the application includes it.
            request_id=getattr(self.request, "request_id", None),
            **event,
        )


# oauthlib's endpoints create their own request objects, so the context cannot be attached to them.
_current: ContextVar[OAuthContext] = ContextVar("combine_oauth_context")


@contextmanager
def oauth_context(
    request: Any, session: Session, credentials: Credentials | None = None
) -> Iterator[OAuthContext]:
    """Set the context of the validator for the ``with`` block."""
    built_in = built_in_clients(settings_of(request.registry, CoreSettings).public_url)
    context = OAuthContext(request, session, credentials, built_in)
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def current_context() -> OAuthContext:
    return _current.get()
