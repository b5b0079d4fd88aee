"""How a request shows who is asking."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from combine_core.users import Identity


class Kind(StrEnum):
    """By what the identity was shown."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - the name of a kind


@dataclass(frozen=True)
class Proof:
    """Who is asking, and by what that was shown.

    :ivar id: the row of the session or of the token
    :ivar scopes: the permissions it was given for, of those that its user has; ``None``: all
    """

    identity: Identity
    kind: Kind
    id: uuid.UUID
    scopes: frozenset[str] | None = None

    def covers(self, permission: str) -> bool:
        """Whether this permission is among those."""
        return self.scopes is None or str(permission) in self.scopes


class Means(Protocol):
    """One way to show who is asking; the security policy asks one after the other."""

    def presented(self, request: Any) -> str | None:
        """What the request brings, unchecked; ``None`` where it brings nothing of this kind."""

    def prove(self, request: Any, credential: str) -> Proof | None:
        """Whose it is; ``None`` where it is forged, expired, revoked, or its user is disabled."""
