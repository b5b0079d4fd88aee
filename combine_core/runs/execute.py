"""Executes one step: asks the provider (:mod:`combine_core.runs.ask`), judges the answer, stores it."""

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
from combine_core.runs.limits import ModelLimits
from combine_core.runs.second_opinion import opinions_on
from combine_core.runs.writing import Writing, context_for

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

# How often a provider that turns requests away is asked, over about ten minutes.
MAX_FAILURES = 8
# A request without an answer may have been paid for, so it is sent once more, not eight times.
MAX_LOST = 1
MAX_DELAY_S = 300.0
# How long a paid answer is kept in memory while the database is away.
DATABASE_PATIENCE_S = 300.0
# An unexpected error ends a step after this many attempts, with these pauses between them.
MAX_ERRORS = 3
FIRST_RETRY_S = 5.0
RETRY_FACTOR = 4.0
# Steps of offline providers at once.
MOST_COMPUTING = 2
# For runners that are made without an application's settings.
SLOW_PROVIDER_MS = 30_000


class StepRunner:
    """Runs steps for a worker, on any number of threads.

    :param sessions: makes sessions; one is open only for the moment of a transaction
    :param stopping: set when the worker stops; ends the waiting for a database that is away
    :param slow_provider_ms: calls of a model that take as long are logged as slow
    :param limits: what models are allowed, whatever a line says
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
        # Each step of an offline provider takes a processor, and memory for the structure of its source.
        self._computing = threading.BoundedSemaphore(MOST_COMPUTING)
        self._asker = Asker(self._transact, self._limits, slow_provider_ms)

    def may_compute_more(self) -> bool:
        """Whether fewer steps of offline providers run than may at once."""
        free = self._computing.acquire(blocking=False)
        if free:
            self._computing.release()
        return free

    def run_step(self, step_id: uuid.UUID, job_id: int) -> None:
        """Claim the step and execute it. Returns at once if this job has nothing to do."""
        # Adds the step's id to its log lines and to its SQL.
        with working_at("worker.step", str(step_id)):
            self._run_step(step_id, job_id)

    def _run_step(self, step_id: uuid.UUID, job_id: int) -> None:
        claim = self._transact(lambda session: claims.claim_step(session, step_id, job_id))
        if claim is None:
            logger.debug("Job %s has nothing to do for step %s", job_id, step_id)
            return
        try:
            self._do(claim)
        except ClaimLost:
            logger.info("Step %s was taken over or cancelled; this attempt ends", step_id)
            self._transact(lambda session: claims.report_late_end(session, claim))
        except ProviderError as error:
            self._give_up_or_postpone(claim, error)
        except (UnknownModel, TemplateError) as error:
            self._fail(claim, "unusable", str(error))
        except Exception as error:
            if is_database_fault(error):
                raise  # nothing can be stored now; the sweep queues the step again
            self._give_up_or_retry(claim, error)

    def _do(self, claim: Claim) -> None:
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
        if _rests_on_nothing(assignment):
            self._fail(claim, "no_evidence", _nothing_carried(assignment.inputs, assignment))
            return
        provider, model = self._providers.resolve(assignment.model)
        texts = SourceTexts(
            assignment.sources,
            lambda label: self._transact(
                lambda session: read_source_text(session, claim.run_id, label)
            ),
        )
        context = context_for(assignment.model, self._providers, self._limits)
        writing = Writing(assignment, texts, provider, model, context)
        numbers = itertools.count(1)
        try:
            with self._computing if isinstance(provider, Offline) else nullcontext():
                answer = self._answer(claim, writing, provider, numbers)
                if not answer.judged:
                    # Before the transaction: this takes time.
                    judge_answer(answer.value, texts, assignment.inputs)
        except UnusableAnswer as error:
            message = (
                f"The model's answer did not fit after {assignment.step.repairs} repairs:"
                f" {error.problems[0]}. Try another model."
            )
            self._fail(claim, "bad_answer", message)
            return
        if assignment.step.second_opinion and answer.used_llm:
            self._ask_for_second_opinion(claim, assignment, texts, answer.value, numbers)
        support = count_verdicts(answer.value)
        one_of_several = split_key(claim.key)[1] is not None
        has_to_carry = can_hold_statements(assignment.step.answer_schema) and not one_of_several
        if answer.used_llm and has_to_carry and not support.carried:
            self._fail(claim, "no_evidence", _nothing_carried(answer.value, assignment))
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
        self, claim: Claim, writing: Writing, provider: Provider, numbers: Iterator[int]
    ) -> Answer:
        """The answer to a step: of one call, or joined of one call for each portion of its source."""
        repairs = writing.step.repairs
        answers: list[Answer] = []
        left = deque(writing.questions())
        while left:
            question = left.popleft()
            try:
                answers.append(
                    self._asker.ask(claim, provider, question, repairs=repairs, numbers=numbers)
                )
            except ProviderError as error:
                if error.code != "answer_cut" or not (halves := writing.halves(question)):
                    raise
                left.extendleft(reversed(halves))
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
        """Let a model lower verdicts. If it fails, those of the rules stay."""
        provider, model = self._providers.resolve(assignment.model)
        repairs = assignment.step.repairs
        for opinions in opinions_on(answer, texts, model):
            try:
                given = self._asker.ask(
                    claim, provider, opinions.question, repairs=repairs, numbers=numbers
                )
            except (ProviderError, UnusableAnswer) as error:
                logger.warning(
                    "Step %s of run %s: no second opinion on %s statements: %s",
                    claim.key,
                    claim.run_id,
                    len(opinions.statements),
                    error,
                )
                continue
            opinions.lower(given.value)

    def _give_up_or_postpone(self, claim: Claim, error: ProviderError) -> None:
        most = MAX_LOST if error.lost else MAX_FAILURES
        may_pass = error.retryable or error.lost or error.code == "server_error"
        if not may_pass or claim.failures >= most:
            self._fail(claim, error.code, error.message)
            return
        delay = error.retry_after if error.retry_after is not None else 2.0**claim.failures
        delay = min(delay, MAX_DELAY_S)
        logger.warning(
            "Step %s of run %s: %s; retrying in %.0f s", claim.key, claim.run_id, error, delay
        )
        self._transact(lambda session: claims.retry_step(session, claim, delay))

    def _give_up_or_retry(self, claim: Claim, error: Exception) -> None:
        """Handle an error that the code does not know: most likely a bug, rarely a temporary failure."""
        attempt = claim.errors + 1
        what = f"An unexpected error ({type(error).__name__}) ended this step"
        where = f"Look for step {claim.step_id} in the log of the workers."
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
            message = f"{what}; it is tried again (attempt {attempt} of {MAX_ERRORS}). {where}"
            self._transact(lambda session: claims.retry_step(session, claim, delay, error=message))
            return
        # The only traceback: that of the error that ends the step.
        logger.error(
            "Step %s of run %s failed after %s unexpected errors",
            claim.key,
            claim.run_id,
            attempt,
            exc_info=error,
        )
        message = f"{what}, {attempt} times. {where}"
        self._transact(lambda session: claims.fail_step(session, claim, "internal", message))

    def _fail(self, claim: Claim, code: str, message: str) -> None:
        logger.error("Step %s of run %s failed: %s", claim.key, claim.run_id, message)
        self._transact(lambda session: claims.fail_step(session, claim, code, message))

    def _transact(self, work: Callable[[Session], Result]) -> Result:
        """Run ``work`` in a transaction. While the database is away, wait and try again.

        Every such piece of work may be done twice: a commit whose answer was lost is repeated.
        """
        deadline = time.monotonic() + DATABASE_PATIENCE_S
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


def _rests_on_nothing(assignment: Assignment) -> bool:
    """Whether models read several sources for this step and named no statement that these support."""
    if not assignment.inputs_by_llm:
        return False
    steps = [assignment.line.step(need) for need in assignment.step.needs]
    read = any(step.each and can_hold_statements(step.answer_schema) for step in steps)
    return read and not count_verdicts(assignment.inputs).carried


def _nothing_carried(answer: dict[str, Any], assignment: Assignment) -> str:
    lines = sum(source.line_count for source in assignment.sources.values())
    unsupported = count_verdicts(answer).unsupported
    named, read = _count(unsupported, "statement"), _count(lines, "line")
    return f"The model named {named} for {read} of sources, and none is supported by them. Try another model."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _place_of(error: BaseException) -> str:
    """Return file and line of the innermost frame of our code, for the log."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "combine_" in frame.filename]
    frame = (ours or frames)[-1]
    return f"{'/'.join(Path(frame.filename).parts[-3:])}:{frame.lineno}"
