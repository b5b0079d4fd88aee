"""Asks a provider until its answer fits: every request is in the journal before it is sent.

No database connection is held while a call is in flight.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from sqlalchemy.orm import Session

from combine_core.evidence import statements_of
from combine_core.llm import (
    Completion,
    CompletionRequest,
    Offline,
    Preparable,
    Provider,
    ProviderError,
)
from combine_core.llm.offline import compute
from combine_core.observe.provider_calls import provider_call
from combine_core.runs import journal
from combine_core.runs.answer import UnusableAnswer, parse_answer, repair_prompt
from combine_core.runs.claim import Claim
from combine_core.runs.limits import ModelLimits

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

# Reasons to stop by which vendors say that the limit of tokens has cut the answer off.
_CUT = frozenset({"max_tokens", "length"})
_WORD = re.compile(r"[^\W\d_]+")
# Shorter prompts fit every server.
_FEWEST_WORDS = 250
# Every word takes a token at least. A few are left for what a tokenizer counts in another way.
_SHARE_OF_WORDS = 0.9


@dataclass(frozen=True)
class Question:
    """A request, and the form of its prompt by which other runs find the answer.

    :ivar agreed: the prompt with labels in which all runs agree; ``None``: the answer is for this run alone
    :ivar label: of the source in this run, if ``agreed`` is given
    :ivar sources: what it rests on, as the journal names it: label, id, first line and hash
    """

    request: CompletionRequest
    agreed: str | None = None
    label: str = ""
    sources: tuple[dict[str, object], ...] = ()


class ClaimLost(Exception):
    """Another attempt took this step, or the run was cancelled and perhaps deleted."""


class Transact(Protocol):
    """Runs a piece of work in a transaction."""

    def __call__(self, work: Callable[[Session], Result]) -> Result: ...


@dataclass(frozen=True)
class Answer:
    """An answer that fits the schema.

    :ivar used_llm: whether a language model wrote it
    :ivar adopted: whether an earlier run had paid for it
    :ivar judged: whether its statements have their verdicts already
    """

    value: dict[str, Any]
    used_llm: bool
    adopted: bool = False
    judged: bool = False


@dataclass(frozen=True)
class _Reply:
    call_id: uuid.UUID
    text: str
    used_llm: bool
    stop_reason: str | None
    # What the provider says is wrong with it.
    fault: str | None = None
    # The label that the source had where the reply comes from, if that was an earlier run.
    label: str | None = None
    # The same with verdicts, of an offline provider.
    judged: dict[str, Any] | None = None


class Asker:
    """Asks providers for the steps of a worker, on any number of threads.

    :param slow_ms: calls that take as long are logged as slow
    """

    def __init__(self, transact: Transact, limits: ModelLimits, slow_ms: int) -> None:
        self._transact = transact
        self._limits = limits
        self._slow_ms = slow_ms

    def ask(
        self,
        claim: Claim,
        provider: Provider,
        question: Question,
        *,
        repairs: int,
        numbers: Iterator[int],
    ) -> Answer:
        """The answer to ``question``.

        An answer that was cut off is asked for again with a higher limit, one that does not fit with what is
        wrong with it.

        :param repairs: how often an answer that does not fit is asked for again
        :param numbers: of the calls of this step
        :raises UnusableAnswer: the last repair does not fit either
        :raises ProviderError: no answer, or one that no higher limit is allowed for
        :raises ClaimLost: the step is no longer this worker's
        """
        asked = replace(
            question,
            request=replace(
                question.request,
                max_tokens=min(question.request.max_tokens, self._limits.answer_tokens),
                timeout=self._limits.timeout or question.request.timeout,
            ),
        )
        for sequence in numbers:
            reply = self._send(claim, provider, asked, sequence)
            try:
                return self._read(reply, asked)
            except UnusableAnswer as error:
                problem = error
            if reply.stop_reason in _CUT:
                asked = replace(asked, request=self._with_higher_limit(asked.request, reply))
                continue
            logger.warning(
                "Step %s of run %s: answer %s does not match the schema: %s",
                claim.key,
                claim.run_id,
                sequence,
                problem,
            )
            if repairs == 0:
                raise problem
            repairs -= 1
            faults = (reply.text, problem.problems)
            prompt = repair_prompt(question.request.prompt, *faults)
            agreed = question.agreed and repair_prompt(question.agreed, *faults)
            asked = replace(asked, request=replace(asked.request, prompt=prompt), agreed=agreed)
        raise AssertionError("the numbers of the calls have an end")

    def _read(self, reply: _Reply, asked: Question) -> Answer:
        if reply.fault is not None:
            raise UnusableAnswer([reply.fault])
        parsed = parse_answer(reply.text, asked.request.schema)
        if reply.label is not None:
            for statement in statements_of(parsed.value):
                for evidence in statement["evidence"]:
                    if isinstance(evidence, dict) and evidence.get("source") == reply.label:
                        evidence["source"] = asked.label
            return Answer(parsed.value, reply.used_llm, adopted=True)
        if reply.judged is not None:
            return Answer(reply.judged, reply.used_llm, judged=True)
        if parsed.mends:
            self._transact(
                lambda session: journal.record_mends(session, reply.call_id, parsed.mends)
            )
        return Answer(parsed.value, reply.used_llm)

    def _with_higher_limit(self, request: CompletionRequest, reply: _Reply) -> CompletionRequest:
        higher = min(request.max_tokens * 2, self._limits.answer_tokens)
        if higher <= request.max_tokens:
            message = (
                f"The model's answer was cut off after {request.max_tokens:,} tokens, the most that is"
                " allowed. Use shorter sources, or let the people who run this service raise"
                " COMBINE_CORE_ANSWER_TOKENS."
            )
            raise ProviderError("answer_cut", message, stop_reason=reply.stop_reason)
        return replace(request, max_tokens=higher)

    def _send(self, claim: Claim, provider: Provider, asked: Question, sequence: int) -> _Reply:
        """The provider's reply, from the journal if the same request was answered before."""
        request = asked.request
        sha256 = journal.request_hash(provider.name, request, asked.agreed)
        earlier = self._transact(
            lambda session: journal.find_answer(session, claim, sequence, sha256)
        )
        if earlier is not None:
            return _Reply(
                earlier.id,
                earlier.response or "",
                bool(earlier.used_llm),
                earlier.stop_reason,
                earlier.error,
            )
        if asked.agreed is not None:
            adopted = self._transact(
                lambda session: journal.find_earlier_answer(session, claim, sha256)
            )
            if adopted is not None:
                # A call that has lost its request is never found.
                assert adopted.request is not None
                labels = [source["label"] for source in adopted.request["sources"]]
                return _Reply(
                    adopted.id,
                    adopted.response or "",
                    True,
                    adopted.stop_reason,
                    label="".join(labels),
                )
        if isinstance(provider, Preparable):
            provider.prepare()  # here, so that the call is measured without it
        call_id = self._transact(
            lambda session: journal.open_call(session, claim, sequence, provider, asked, sha256)
        )
        if call_id is None:
            raise ClaimLost
        try:
            completion, judged = self._call(claim, provider, request, call_id)
        except ProviderError as error:
            if error.code != "bad_answer":
                raise
            text = error.completion.text if error.completion else ""
            return _Reply(call_id, text, True, error.stop_reason, error.message)
        return _Reply(
            call_id,
            completion.text,
            completion.used_llm,
            completion.stop_reason,
            judged=judged,
        )

    def _call(
        self, claim: Claim, provider: Provider, request: CompletionRequest, call_id: uuid.UUID
    ) -> tuple[Completion, dict[str, Any] | None]:
        """The completion, and of an offline provider the answer with verdicts."""
        started = time.monotonic()
        judged = None
        try:
            with provider_call(provider.name, request.model, slow_ms=self._slow_ms):
                if isinstance(provider, Offline):
                    computed = compute(provider, request)
                    completion, judged = computed.completion, computed.judged
                else:
                    completion = provider.complete(request)
                _refuse_clipped(request, completion)
        except ProviderError as error:
            seconds = time.monotonic() - started
            failure = error
            self._transact(
                lambda session: journal.record_error(
                    session, call_id, claim.run_id, failure, seconds
                )
            )
            raise
        seconds = time.monotonic() - started
        self._transact(
            lambda session: journal.record_answer(
                session, call_id, claim.run_id, completion, seconds
            )
        )
        return completion, judged


def _refuse_clipped(request: CompletionRequest, completion: Completion) -> None:
    """Raise if the server reports that it read only a part of the prompt, as some do without an error."""
    words = sum(1 for _ in _WORD.finditer(request.prompt))
    read = completion.usage.input_tokens
    if not completion.used_llm or not read or words < _FEWEST_WORDS:
        return
    if read < words * _SHARE_OF_WORDS:
        message = (
            f"The server read only {read:,} tokens of a prompt of {words:,} words: it cut off what does not"
            " fit its context. Let the people who run the server raise its context, or use shorter sources."
        )
        raise ProviderError(
            "prompt_clipped",
            message,
            http_status=completion.http_status,
            provider_request_id=completion.provider_request_id,
            stop_reason=completion.stop_reason,
            completion=completion,
        )
