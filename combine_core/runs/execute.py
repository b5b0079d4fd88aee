"""Executes a step: asks the provider (:mod:`combine_core.runs.ask`), judges the answer and stores it."""

from __future__ import annotations

import itertools
import logging
import threading
import time
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import TemplateError
from sqlalchemy.orm import Session, sessionmaker

from combine_core.evidence import can_hold_statements, count_verdicts, judge_answer
from combine_core.llm import Offline, Provider, ProviderError, ProviderRegistry, UnknownModel
from combine_core.observe.context import working_at
from combine_core.postgres.diagnosis import is_database_fault
from combine_core.runs import claim as claims
from combine_core.runs.answer import UnusableAnswer
from combine_core.runs.ask import Answer, Asker, ClaimLost
from combine_core.runs.assignment import (
    Assignment,
    SourceTexts,
    join_answers,
    read_assignment,
    read_source_text,
    split_key,
)
from combine_core.runs.claim import Claim
from combine_core.runs.portions import ModelLimits
from combine_core.runs.questions import QuestionBuilder, context_for
from combine_core.runs.second_opinion import opinion_batches

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

# The retries of a step whose provider rejects requests. They take about ten minutes.
MAX_FAILURES = 8
# A request without an answer may have been charged, so it is retried only once.
MAX_LOST = 1
MAX_DELAY_S = 300.0
# During a database outage, a paid answer stays in memory and is stored again for this long.
DATABASE_RETRY_S = 300.0
# A step fails after this many unexpected errors, with increasing delays between the attempts.
MAX_ERRORS = 3
FIRST_RETRY_S = 5.0
RETRY_FACTOR = 4.0
# Steps of offline providers that run at the same time.
MAX_OFFLINE_STEPS = 2
# The default for runners that are created without an application's settings.
SLOW_PROVIDER_MS = 30_000


class StepRunner:
    """An executor of steps that any number of a worker's threads can use.

    :param sessions: creates sessions; each is open only during a transaction
    :param stopping: set when the worker stops, to end the wait for an unavailable database
    :param slow_provider_ms: a call to a model that takes at least this long is logged as slow
    :param limits: the operator's limits for models, which override the limits of a line
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        providers: ProviderRegistry,
        stopping: threading.Event,
        *,
        slow_provider_ms: int = SLOW_PROVIDER_MS,
        limits: ModelLimits | None = None,
    ) -> None:
        self._sessions = sessions
        self._providers = providers
        self._stopping = stopping
        self._limits = limits or ModelLimits()
        # Each step of an offline provider uses one CPU, and memory for the structure of its source.
        self._offline_slots = threading.BoundedSemaphore(MAX_OFFLINE_STEPS)
        self._asker = Asker(self._transact, self._limits, slow_provider_ms)

    def has_offline_slot(self) -> bool:
        """Check whether another step of an offline provider may start."""
        free = self._offline_slots.acquire(blocking=False)
        if free:
            self._offline_slots.release()
        return free

    def run_step(self, step_id: uuid.UUID, job_id: int) -> None:
        """Claim the step and execute it. Return at once if this job has nothing to do."""
        # Adds the step's id to its log lines and to its SQL.
        with working_at("worker.step", str(step_id)):
            self._run_step(step_id, job_id)

    def _run_step(self, step_id: uuid.UUID, job_id: int) -> None:
        claim = self._transact(lambda session: claims.claim_step(session, step_id, job_id))
        if claim is None:
            logger.debug("Job %s has nothing to do for step %s", job_id, step_id)
            return
        try:
            self._execute(claim)
        except ClaimLost:
            logger.info(
                "Another worker claimed step %s, or its run was cancelled; this attempt ends",
                step_id,
            )
            self._transact(lambda session: claims.report_late_end(session, claim))
        except ProviderError as error:
            self._handle_provider_error(claim, error)
        except (UnknownModel, TemplateError) as error:
            self._fail(claim, "unusable", str(error))
        except Exception as error:
            if is_database_fault(error):
                raise  # nothing can be stored now; the sweep enqueues the step again
            self._handle_unexpected_error(claim, error)

    def _execute(self, claim: Claim) -> None:
        assignment = self._transact(
            lambda session: read_assignment(session, claim.run_id, claim.key)
        )
        if assignment is None:
            raise ClaimLost
        unread = [source for source in assignment.sources.values() if source.error is not None]
        if unread and not assignment.step.needs:
            message = " ".join(f"{source.name} {source.error}" for source in unread)
            self._fail(claim, "source_unreadable", message)
            return
        if _lacks_evidence(assignment):
            self._fail(claim, "no_evidence", _no_evidence_message(assignment.inputs, assignment))
            return
        provider, model = self._providers.resolve(assignment.model)
        texts = SourceTexts(
            assignment.sources,
            lambda label: self._transact(
                lambda session: read_source_text(session, claim.run_id, label)
            ),
        )
        context = context_for(assignment.model, self._providers, self._limits)
        builder = QuestionBuilder(assignment, texts, provider, model, context)
        numbers = itertools.count(1)
        try:
            with self._offline_slots if isinstance(provider, Offline) else nullcontext():
                answer = self._answer(claim, builder, provider, numbers)
                if not answer.judged:
                    # This takes time, so it runs outside of a transaction.
                    judge_answer(answer.value, texts, assignment.inputs)
        except UnusableAnswer as error:
            problem = error.problems[0]
            # The message of a provider is a sentence with its own advice.
            advice = "" if problem.endswith(".") else ". Try another model."
            message = (
                f"The model's answer did not match the schema after {assignment.step.repairs} repairs:"
                f" {problem}{advice}"
            )
            self._fail(claim, "bad_answer", message)
            return
        if assignment.step.second_opinion and answer.used_llm:
            self._ask_for_second_opinion(claim, assignment, texts, answer.value, numbers)
        support = count_verdicts(answer.value)
        one_of_several = split_key(claim.key)[1] is not None
        needs_evidence = can_hold_statements(assignment.step.answer_schema) and not one_of_several
        if answer.used_llm and needs_evidence and not support.carried:
            self._fail(claim, "no_evidence", _no_evidence_message(answer.value, assignment))
            return
        stored = self._transact(
            lambda session: claims.finish_step(
                session,
                claim,
                assignment,
                answer.value,
                used_llm=answer.used_llm,
                adopted=answer.adopted,
            )
        )
        if not stored:
            raise ClaimLost
        logger.info("Step %s of run %s done", claim.key, claim.run_id)

    def _answer(
        self, claim: Claim, builder: QuestionBuilder, provider: Provider, numbers: Iterator[int]
    ) -> Answer:
        """Ask all questions of a step, one for each portion of its source, and join the answers."""
        repairs = builder.step.repairs
        answers: list[Answer] = []
        pending = deque(builder.questions())
        while pending:
            question = pending.popleft()
            try:
                answers.append(
                    self._asker.ask(claim, provider, question, repairs=repairs, numbers=numbers)
                )
            except ProviderError as error:
                if error.code != "answer_cut" or not (halves := builder.halves(question)):
                    raise
                pending.extendleft(reversed(halves))
        return Answer(
            join_answers(answer.value for answer in answers),
            used_llm=any(answer.used_llm for answer in answers),
            adopted=all(answer.adopted for answer in answers),
            judged=all(answer.judged for answer in answers),
        )

    def _ask_for_second_opinion(
        self,
        claim: Claim,
        assignment: Assignment,
        texts: SourceTexts,
        answer: dict[str, Any],
        numbers: Iterator[int],
    ) -> None:
        """Ask the model to lower verdicts. If a call fails, the verdicts of the rules stay."""
        provider, model = self._providers.resolve(assignment.model)
        repairs = assignment.step.repairs
        for batch in opinion_batches(answer, texts, model):
            try:
                opinions = self._asker.ask(
                    claim, provider, batch.question, repairs=repairs, numbers=numbers
                )
            except (ProviderError, UnusableAnswer) as error:
                logger.warning(
                    "Step %s of run %s: no second opinion on %s statements: %s",
                    claim.key,
                    claim.run_id,
                    len(batch.statements),
                    error,
                )
                continue
            batch.lower(opinions.value)

    def _handle_provider_error(self, claim: Claim, error: ProviderError) -> None:
        """Retry the step later if the error is temporary, else mark the step as failed."""
        max_failures = MAX_LOST if error.lost else MAX_FAILURES
        temporary = error.retryable or error.lost or error.code == "server_error"
        if not temporary or claim.failures >= max_failures:
            self._fail(claim, error.code, error.message)
            return
        delay = error.retry_after if error.retry_after is not None else 2.0**claim.failures
        delay = min(delay, MAX_DELAY_S)
        logger.warning(
            "Step %s of run %s: %s; retrying in %.0f s", claim.key, claim.run_id, error, delay
        )
        self._transact(lambda session: claims.retry_step(session, claim, delay))

    def _handle_unexpected_error(self, claim: Claim, error: Exception) -> None:
        """Retry the step a few times. Unexpected errors are mostly bugs, rarely temporary failures."""
        attempt = claim.errors + 1
        summary = f"An unexpected error ({type(error).__name__}) ended this step"
        remedy = f"Look for step {claim.step_id} in the workers' logs."
        if attempt < MAX_ERRORS:
            delay = FIRST_RETRY_S * RETRY_FACTOR**claim.errors
            logger.warning(
                "Step %s of run %s: unexpected %s at %s, attempt %s of %s; retrying in %.0f s",
                claim.key,
                claim.run_id,
                type(error).__name__,
                _place_of(error),
                attempt,
                MAX_ERRORS,
                delay,
            )
            message = f"{summary}; it will be retried (attempt {attempt} of {MAX_ERRORS}). {remedy}"
            self._transact(lambda session: claims.retry_step(session, claim, delay, error=message))
            return
        # Only the error that ends the step is logged with its traceback.
        logger.error(
            "Step %s of run %s failed after %s unexpected errors",
            claim.key,
            claim.run_id,
            attempt,
            exc_info=error,
        )
        message = f"{summary}, {attempt} times. {remedy}"
        self._transact(lambda session: claims.fail_step(session, claim, "internal", message))

    def _fail(self, claim: Claim, code: str, message: str) -> None:
        logger.error("Step %s of run %s failed: %s", claim.key, claim.run_id, message)
        self._transact(lambda session: claims.fail_step(session, claim, code, message))

    def _transact(self, work: Callable[[Session], Result]) -> Result:
        """Run ``work`` in a transaction. During a database outage, wait and retry.

        ``work`` may run twice, because a commit whose confirmation was lost is repeated. It must allow that.
        """
        deadline = time.monotonic() + DATABASE_RETRY_S
        delay = 0.2
        while True:
            try:
                with self._sessions.begin() as session:
                    return work(session)
            except Exception as error:
                if not is_database_fault(error) or time.monotonic() > deadline:
                    raise
                logger.warning("The database is unavailable; retrying in %.1f s", delay)
                if self._stopping.wait(delay):
                    raise
                delay = min(delay * 2, 5.0)


def _lacks_evidence(assignment: Assignment) -> bool:
    """Check whether models read the sources for this step and returned no supported statement."""
    if not assignment.inputs_by_llm:
        return False
    steps = [assignment.line.step(need) for need in assignment.step.needs]
    read = any(step.each and can_hold_statements(step.answer_schema) for step in steps)
    return read and not count_verdicts(assignment.inputs).carried


def _no_evidence_message(answer: dict[str, Any], assignment: Assignment) -> str:
    lines = sum(source.line_count for source in assignment.sources.values())
    unsupported = count_verdicts(answer).unsupported
    named, read = _count(unsupported, "statement"), _count(lines, "line")
    return f"The model named {named} for {read} of sources, and none is supported by them. Try another model."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _place_of(error: BaseException) -> str:
    """Return the file and line of the innermost frame in our code, for the log."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "combine_" in frame.filename]
    frame = (ours or frames)[-1]
    return f"{'/'.join(Path(frame.filename).parts[-3:])}:{frame.lineno}"
