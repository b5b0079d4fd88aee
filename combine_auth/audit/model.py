"""The table of what happened to accounts and rights."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import JSON, Index
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database import Identified, Model


class AuditEvent(Identified, Model):
    """One line of the audit. Rows are only ever added: a trigger refuses updates, and deletes of
    rows that are younger than :data:`combine_auth.audit.KEPT_FOR`.

    No foreign keys: a line outlives what it is about.
    """

    __tablename__ = "audit_events"

    action: Mapped[str]
    # "ok", or the code of the refusal.
    outcome: Mapped[str]
    # Who did it, as far as that is known.
    actor_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    actor: Mapped[str | None]
    # What it was done to, such as "user:<id>", "session:<id>".
    target: Mapped[str | None]
    ip: Mapped[str | None]
    request_id: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSON)

    __table_args__ = (Index("ix_audit_events_action_id", "action", "id"),)
