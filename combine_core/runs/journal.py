"""Writes the journal of calls: inserts a row before a request, and updates it before the answer is used."""

from __future__ import annotations

import datetime
import hashlib
import json
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, func, null, or_, select, update
from sqlalchemy.orm import Session, undefer

from combine_core.database.metadata import new_id
from combine_core.llm import Completion, CompletionRequest, Offline, Provider, ProviderError
from combine_core.runs.claim import Claim, holds
from combine_core.runs.model import Call, CallState, Run, Step, StepState
from combine_core.runs.transitions import CallEvent, change

if TYPE_CHECKING:
    from combine_core.runs.ask import Question


def request_hash(provider: str, request: CompletionRequest, prompt: str | None = None) -> str:
    """Return a hash of the request, by which a paid answer is found again.

    :param prompt: the form of the prompt that does not depend on the labels of this run. With it, the hash
        is the same in every run.
    """
    materials = [(material.label, material.source_id) for material in request.materials]
    sent = [
        provider,
        request.model,
        request.system,
        request.prompt if prompt is None else prompt,
        request.schema,
        request.max_tokens,
        materials if prompt is None else None,
    ]
    canonical = json.dumps(sent, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def find_answer(session: Session, claim: Claim, sequence: int, sha256: str) -> Call | None:
    """Return the journaled answer to this request of this step, if there is one.

    An unusable answer is returned too, because the same request would produce it again.
    """
    answered = or_(Call.state == CallState.OK, Call.error_code == "bad_answer")
    return session.scalars(
        select(Call)
        .options(undefer(Call.response))
        .where(
            Call.step_id == claim.step_id,
            Call.sequence == sequence,
            Call.request_sha256 == sha256,
            answered,
        )
        .limit(1)
    ).first()


def find_earlier_answer(session: Session, claim: Claim, sha256: str) -> Call | None:
    """Return the newest answer of a model to this request in another run of the project.

    Only answers of successful steps are returned. Runs that failed for lack of evidence are ignored, because
    another answer may be better.
    """
    project = select(Run.project_id).where(Run.id == claim.run_id).scalar_subquery()
    return session.scalars(
        select(Call)
        .join(Step, Step.id == Call.step_id)
        .join(Run, Run.id == Call.run_id)
        .options(undefer(Call.response), undefer(Call.request))
        .where(
            Call.request_sha256 == sha256,
            Call.state == CallState.OK,
            Call.used_llm.is_(True),
            Call.run_id != claim.run_id,
            Step.state == StepState.DONE,
            Run.project_id == project,
            Run.error_code.is_distinct_from("no_evidence"),
        )
        .order_by(Call.id.desc())
        .limit(1)
    ).first()


def record_mends(session: Session, call_id: uuid.UUID, mends: list[str]) -> None:
    """Record the corrections that made the answer fit the schema."""
    session.execute(update(Call).where(Call.id == call_id).values(mends=mends))


def open_call(
    session: Session,
    claim: Claim,
    sequence: int,
    provider: Provider,
    question: Question,
    sha256: str,
) -> uuid.UUID | None:
    """Insert the row of a request before it is sent. Return ``None`` if the claim is no longer valid."""
    request = question.request
    if not holds(session, claim):
        return None
    call_id = new_id()
    session.add(
        Call(
            id=call_id,
            run_id=claim.run_id,
            step_id=claim.step_id,
            sequence=sequence,
            epoch=claim.epoch,
            provider=provider.name,
            model=request.model,
            used_llm=False if isinstance(provider, Offline) else None,
            request_sha256=sha256,
            request={
                "system": request.system,
                "prompt": request.prompt,
                "schema": request.schema,
                "max_tokens": request.max_tokens,
                "timeout": request.timeout,
                "sources": question.sources,
            },
            state=CallState.SENT,
        )
    )
    return call_id


def record_answer(
    session: Session, call_id: uuid.UUID, run_id: uuid.UUID, completion: Completion, seconds: float
) -> None:
    """Complete the call with its answer, and add its cost to the cost of the run once.

    A late answer to a lost call is recorded too, because it was charged.
    """
    values = _answer_values(completion, seconds)
    _close(session, call_id, run_id, CallEvent.ANSWER, values, completion)


def record_error(
    session: Session, call_id: uuid.UUID, run_id: uuid.UUID, error: ProviderError, seconds: float
) -> None:
    """Complete the call with its error. An unusable answer that was charged keeps its cost."""
    values = _answer_values(error.completion, seconds) if error.completion else {}
    values |= {
        "http_status": error.http_status,
        "provider_request_id": error.provider_request_id,
        "stop_reason": error.stop_reason,
        "error_code": error.code,
        "error": error.message,
        "latency_ms": round(seconds * 1000),
    }
    event = CallEvent.LOSE if error.lost else CallEvent.FAIL
    _close(session, call_id, run_id, event, values, error.completion)


def _answer_values(completion: Completion, seconds: float) -> dict[str, object]:
    return {
        "used_llm": completion.used_llm,
        "http_status": completion.http_status,
        "provider_request_id": completion.provider_request_id,
        "stop_reason": completion.stop_reason,
        "input_tokens": completion.usage.input_tokens,
        "cache_read_tokens": completion.usage.cache_read_tokens,
        "cache_write_tokens": completion.usage.cache_write_tokens,
        "output_tokens": completion.usage.output_tokens,
        "cost": completion.cost,
        "latency_ms": round(seconds * 1000),
        # PostgreSQL stores neither NUL nor unpaired surrogates. An answer with them is not valid JSON.
        "response": completion.text.replace("\0", "\ufffd").encode(errors="replace").decode(),
    }


def _close(
    session: Session,
    call_id: uuid.UUID,
    run_id: uuid.UUID,
    event: CallEvent,
    values: dict[str, object],
    completion: Completion | None,
) -> None:
    closed = session.scalar(change(event, Call.id == call_id, **values).returning(Call.id))
    if closed is None or completion is None:
        return
    unpriced = completion.cost is None
    session.execute(
        update(Run)
        .where(Run.id == run_id)
        .values(
            cost=Run.cost + (completion.cost or Decimal(0)),
            unpriced_calls=Run.unpriced_calls + int(unpriced),
        )
    )


# The number of calls whose texts one transaction deletes.
_BATCH_SIZE = 500
# Deleting the texts of a call keeps its figures, times, states and codes.
_WITHOUT_TEXTS = {"request": null(), "response": None, "mends": None, "request_sha256": ""}


def delete_texts(session: Session, run_ids: Sequence[uuid.UUID]) -> int:
    """Delete the requests and answers of these runs, and the answers of their steps. Figures stay.

    :returns: the number of calls that had texts
    """
    calls = _delete_texts(session, Call.run_id.in_(run_ids), error=None)
    session.execute(
        update(Step)
        .where(Step.run_id.in_(run_ids))
        .values(answer=null(), error=None)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(Run)
        .where(Run.id.in_(run_ids))
        .values(error=None)
        .execution_options(synchronize_session=False)
    )
    return calls


def delete_old_texts(session: Session, age: datetime.timedelta) -> int:
    """Delete the texts of a batch of calls that are older than ``age`` and whose runs have ended.

    :returns: the number of calls; ``0`` if no such call is left
    """
    old = (
        select(Call.id)
        .join(Run, Run.id == Call.run_id)
        .where(
            Call.created_at < func.now() - age,
            Call.request.is_not(null()),
            Run.ended_at.is_not(None),
        )
        .order_by(Call.created_at)
        .limit(_BATCH_SIZE)
        .with_for_update(of=Call, skip_locked=True)
        .cte()  # a subquery may be read several times, and get further rows each time
    )
    return _delete_texts(session, Call.id.in_(select(old.c.id)))


def _delete_texts(session: Session, *where: ColumnElement[bool], **more: None) -> int:
    emptied = session.execute(
        update(Call)
        .where(Call.request.is_not(null()), *where)
        .values(**_WITHOUT_TEXTS, **more)
        .returning(Call.id)
        .execution_options(synchronize_session=False)
    )
    return len(emptied.all())
