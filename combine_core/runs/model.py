"""Defines the tables of runs, their steps and the journal of calls."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    Numeric,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.orm import Mapped, mapped_column, relationship

from combine_core.database.metadata import Identified, Model, one_of
from combine_core.lines import LineVersion
from combine_core.sources import Source

# US dollars with six decimal places. Money is never a float.
Money = Numeric(14, 6)


class RunState(StrEnum):
    """The state of a run.

    No code sets ``waiting`` (for a person) or ``paused`` (by a limit or an operator) yet; the
    database's constraint allows them.
    """

    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepState(StrEnum):
    """The state of a step. ``pending`` waits for other steps, ``ready`` waits for a worker."""

    PENDING = "pending"
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


# Error codes of steps that failed without a fault of the provider: a bug, a worker that is always killed,
# or a model or template that this service cannot use.
SERVICE_FAULTS = ("internal", "worker_lost", "unusable")


class CallState(StrEnum):
    """The state of a call. ``sent``: no answer yet. ``lost``: an answer may have arrived unrecorded."""

    SENT = "sent"
    OK = "ok"
    ERROR = "error"
    LOST = "lost"


class Run(Identified, Model):
    """One execution of a line on sources."""

    __tablename__ = "runs"

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    line_version_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("line_versions.id"), index=True)
    model: Mapped[str]
    state: Mapped[str] = mapped_column(default=RunState.RUNNING)
    # The cost in US dollars of all calls with a known price.
    cost: Mapped[Decimal] = mapped_column(Money, default=Decimal(0))
    # The number of calls without a known price. With any, the cost above is a lower bound.
    unpriced_calls: Mapped[int] = mapped_column(default=0)
    error_code: Mapped[str | None]
    error: Mapped[str | None]
    # NULL: the user was deleted.
    requested_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    ended_at: Mapped[datetime.datetime | None]

    line_version: Mapped[LineVersion] = relationship(lazy="raise")
    steps: Mapped[list[Step]] = relationship(
        lazy="raise", order_by="Step.position", back_populates="run"
    )
    inputs: Mapped[list[RunSource]] = relationship(
        lazy="raise", order_by="RunSource.position", viewonly=True
    )

    __table_args__ = (
        one_of("state", RunState),
        Index("ix_runs_project_id_id", "project_id", "id"),
        Index("ix_runs_project_id_state_id", "project_id", "state", "id"),
        Index("ix_runs_live", "id", postgresql_where=text("state = 'running'")),
    )


class RunSource(Model):
    """A source of a run. Its position gives its label (S1, S2, ...)."""

    __tablename__ = "run_sources"

    run_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    source_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("sources.id", ondelete="CASCADE"), index=True
    )
    # The revision of the source. NULL: the newest one, in runs older than the table of revisions.
    revision: Mapped[int | None]

    source: Mapped[Source] = relationship(lazy="raise", viewonly=True)


class Step(Identified, Model):
    """A step of a run. Its row decides which worker may work on it: see :mod:`combine_core.runs.claim`."""

    __tablename__ = "steps"

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    key: Mapped[str]
    position: Mapped[int]
    title: Mapped[str]
    needs: Mapped[list[str]] = mapped_column(ARRAY(TEXT))
    state: Mapped[str]
    # Each claim adds one. A late attempt has an older epoch, so it cannot change the row.
    epoch: Mapped[int] = mapped_column(default=0)
    # The number of temporary failures of the provider.
    failures: Mapped[int] = mapped_column(default=0)
    # The number of attempts that ended with an unexpected exception.
    errors: Mapped[int] = mapped_column(default=0, server_default="0")
    # Attempts that did not report their end. Each claim adds one, and each report subtracts one.
    unreported: Mapped[int] = mapped_column(default=0, server_default="0")
    # The Procrastinate job of the newest claim.
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    answer: Mapped[dict[str, Any] | None] = mapped_column(deferred=True, deferred_raiseload=True)
    # Whether a language model wrote the answer. Known when the step is done.
    used_llm: Mapped[bool | None]
    # Whether the answer was copied from an earlier run, at no cost.
    adopted: Mapped[bool | None]
    # The format of the line. It decides which releases may work on the step.
    line_format: Mapped[int] = mapped_column(default=1, server_default="1")
    error_code: Mapped[str | None]
    error: Mapped[str | None]
    started_at: Mapped[datetime.datetime | None]
    ended_at: Mapped[datetime.datetime | None]

    run: Mapped[Run] = relationship(lazy="raise", back_populates="steps")

    __table_args__ = (
        UniqueConstraint("run_id", "key"),
        one_of("state", StepState),
        Index("ix_steps_live", "state", postgresql_where=text("state IN ('ready', 'running')")),
        Index("ix_steps_failed", "ended_at", postgresql_where=text("state = 'failed'")),
    )


class Call(Identified, Model):
    """A request to a provider. The row is written before the request is sent; all rows form the journal."""

    __tablename__ = "calls"

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    step_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("steps.id", ondelete="CASCADE"))
    # The number of the call in its step, from 1. Repairs have numbers too.
    sequence: Mapped[int]
    epoch: Mapped[int]
    provider: Mapped[str]
    model: Mapped[str]
    used_llm: Mapped[bool | None]
    # Empty after the texts are deleted, so that no later run reuses the answer.
    request_sha256: Mapped[str]
    # NULL: deleted with a source, or because of age.
    request: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)
    state: Mapped[str] = mapped_column(default=CallState.SENT)
    http_status: Mapped[int | None]
    provider_request_id: Mapped[str | None]
    stop_reason: Mapped[str | None]
    input_tokens: Mapped[int | None]
    cache_read_tokens: Mapped[int | None]
    cache_write_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    # NULL: the price of this model is unknown. That differs from zero.
    cost: Mapped[Decimal | None] = mapped_column(Money)
    latency_ms: Mapped[int | None]
    response: Mapped[str | None] = mapped_column(deferred=True)
    # The corrections that made the answer fit the schema.
    mends: Mapped[list[str] | None] = mapped_column(ARRAY(TEXT))
    error_code: Mapped[str | None]
    error: Mapped[str | None]
    ended_at: Mapped[datetime.datetime | None]

    step: Mapped[Step] = relationship(lazy="raise")

    __table_args__ = (
        one_of("state", CallState),
        Index("ix_calls_step_id_sequence", "step_id", "sequence"),
        Index("ix_calls_answered", "request_sha256", postgresql_where=text("state = 'ok'")),
        Index("ix_calls_with_texts", "created_at", postgresql_where=text("request IS NOT NULL")),
    )
