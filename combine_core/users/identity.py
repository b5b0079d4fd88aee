"""The identity of the user who sends a request."""

from __future__ import annotations

import uuid
from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """What ``request.identity`` returns: plain values, so that it outlives the session it was read with."""

    user_id: uuid.UUID
    email: str
    name: str
    is_admin: bool
