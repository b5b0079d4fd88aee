"""Asks a provider until its answer fits the schema, and journals each request before it is sent.

No database connection is held during a call.
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
from combine_core.runs.portions import ModelLimits

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

# The stop reasons of vendors for an answer that was cut off at the token limit.
_CUT = frozenset({"max_tokens", "length"})
_WORD = re.compile(r"[^\W\d_]+")
# Shorter prompts fit the context of every server, so they are not checked.
_MIN_CHECKED_WORDS = 250
# Every word has at least one token. The share allows for differences between tokenizers.
_MIN_TOKENS_PER_WORD = 0.9


@dataclass(frozen=True)
class Question:
    """A request to a model, with the key by which other runs can find and reuse its answer.

    :ivar shared_prompt: the prompt with a label that is the same in all runs; ``None``: other runs cannot
        reuse the answer
    :ivar label: the label of the source in this run, if there is a ``shared_prompt``
    :ivar sources: the sources of the question for the journal: label, id, first line and hash
    """

    request: CompletionRequest
    shared_prompt: str | None = None
    label: str = ""
    sources: tuple[dict[str, object], ...] = ()


class ClaimLost(Exception):
    """Raised when another attempt claimed this step, or the run was cancelled or deleted."""


class Transact(Protocol):
    """A function that runs ``work`` in a transaction."""

    def __call__(self, work: Callable[[Session], Result]) -> Result: ...


@dataclass(frozen=True)
class Answer:
    """An answer that fits the schema.

    :ivar used_llm: whether a language model wrote it
    :ivar adopted: whether an earlier run paid for it
    :ivar judged: whether its statements already have verdicts
    """

    value: dict[str, Any]
    used_llm: bool
    adopted: bool = False
    judged: bool = False


@dataclass(frozen=True)
class _Reply:
    """The text of a completion before it is parsed.

    :ivar fault: the error that the provider reported about the answer
    :ivar label: the label of the source in the earlier run that the reply comes from, if there is one
    :ivar judged: the answer with verdicts, from an offline provider
    """

    call_id: uuid.UUID
    text: str
    used_llm: bool
    stop_reason: str | None
    fault: str | None = None
    label: str | None = None
    judged: dict[str, Any] | None = None


class Asker:
    """A client of the providers that any number of a worker's threads can use.

    :param slow_ms: a call that takes at least this long is logged as slow
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
        """Return the answer to ``question``.

        If an answer is cut off, the request is repeated with a higher token limit. If an answer does not fit
        the schema, the request is repeated with a list of the problems.

        :param repairs: the maximum number of requests after answers that do not fit
        :param numbers: the numbers for the calls of this step
        :raises UnusableAnswer: if the answer to the last repair does not fit
        :raises ProviderError: if the provider fails, or the answer is cut off at the highest allowed limit
        :raises ClaimLost: if this worker no longer holds the claim on the step
        """
        current = replace(
            question,
            request=replace(
                question.request,
                max_tokens=min(question.request.max_tokens, self._limits.answer_tokens),
                timeout=self._limits.timeout or question.request.timeout,
            ),
        )
        for sequence in numbers:
            reply = self._send(claim, provider, current, sequence)
            try:
                return self._read(reply, current)
            except UnusableAnswer as error:
                problem = error
            if reply.stop_reason in _CUT:
                current = replace(current, request=self._with_higher_limit(current.request, reply))
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
            shared_prompt = question.shared_prompt and repair_prompt(
                question.shared_prompt, *faults
            )
            request = replace(current.request, prompt=prompt)
            current = replace(current, request=request, shared_prompt=shared_prompt)
        raise AssertionError("numbers must be infinite")

    def _read(self, reply: _Reply, current: Question) -> Answer:
        if reply.fault is not None:
            raise UnusableAnswer([reply.fault])
        parsed = parse_answer(reply.text, current.request.schema)
        if reply.label is not None:
            for statement in statements_of(parsed.value):
                for evidence in statement["evidence"]:
                    if isinstance(evidence, dict) and evidence.get("source") == reply.label:
                        evidence["source"] = current.label
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
                f"The model's answer was cut off after {request.max_tokens:,} tokens, the highest allowed"
                " limit. Use shorter sources, or ask the operator of this service to raise"
                " COMBINE_CORE_ANSWER_TOKENS."
            )
            raise ProviderError("answer_cut", message, stop_reason=reply.stop_reason)
        return replace(request, max_tokens=higher)

    def _send(self, claim: Claim, provider: Provider, current: Question, sequence: int) -> _Reply:
        """Return the provider's reply, from the journal if the same request was answered before."""
        request = current.request
        sha256 = journal.request_hash(provider.name, request, current.shared_prompt)
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
        if current.shared_prompt is not None:
            adopted = self._transact(
                lambda session: journal.find_earlier_answer(session, claim, sha256)
            )
            if adopted is not None:
                # Calls whose request was deleted are never found.
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
            provider.prepare()  # before the latency of the call is measured
        call_id = self._transact(
            lambda session: journal.open_call(session, claim, sequence, provider, current, sha256)
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
        """Return the completion, and for an offline provider the answer with verdicts."""
        started = time.monotonic()
        judged = None
        try:
            with provider_call(provider.name, request.model, slow_ms=self._slow_ms):
                if isinstance(provider, Offline):
                    computed = compute(provider, request)
                    completion, judged = computed.completion, computed.judged
                else:
                    completion = provider.complete(request)
                _reject_clipped(request, completion)
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


def _reject_clipped(request: CompletionRequest, completion: Completion) -> None:
    """Raise an error if the server read only a part of the prompt. Some servers do so silently."""
    words = sum(1 for _ in _WORD.finditer(request.prompt))
    read = completion.usage.input_tokens
    if not completion.used_llm or not read or words < _MIN_CHECKED_WORDS:
        return
    if read < words * _MIN_TOKENS_PER_WORD:
        message = (
            f"The server read only {read:,} tokens of a prompt of {words:,} words, because the prompt does"
            " not fit its context. Ask the server's operator to raise the context, or use shorter sources."
        )
        raise ProviderError(
            "prompt_clipped",
            message,
            http_status=completion.http_status,
            provider_request_id=completion.provider_request_id,
            stop_reason=completion.stop_reason,
            completion=completion,
        )
