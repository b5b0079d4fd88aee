"""The request to a provider, its completion, and the error with a code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from combine_core.readers import Block

ErrorCode = Literal[
    "auth",
    "rate_limited",
    "overloaded",
    "timeout",
    "unreachable",
    "bad_request",
    "bad_answer",
    "answer_cut",
    "prompt_clipped",
    "too_large",
    "server_error",
    "unknown_model",
]

ERROR_CODES: frozenset[str] = frozenset(get_args(ErrorCode))

# A retry of these costs nothing, because the provider did not accept the request.
FREE_TO_RETRY: frozenset[str] = frozenset({"rate_limited", "overloaded", "unreachable"})


@dataclass(frozen=True, slots=True)
class Material:
    """A source as the provider sees it.

    Evidence refers to it by `label` ("S1"). Lines of `text` end at "\\n". They are counted from
    `first_line`, which is not 1 in a part of a long source.
    `blocks` is the structure of `text`; empty if nobody has read it yet.
    """

    label: str
    source_id: str
    name: str
    text: str
    blocks: Sequence[Block] = ()
    first_line: int = 1


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One question to a model.

    `model` has no provider prefix. `prompt` includes the materials: a provider with a model sends
    `system` and `prompt` unchanged. `materials` and `inputs` (outputs of earlier steps, by step
    key) have the same content in parts, for a provider without a model. `schema` is the JSON
    Schema (2020-12) of the answer, `timeout` the seconds until the whole answer must be here.
    """

    model: str
    system: str
    prompt: str
    schema: dict[str, Any]
    max_tokens: int
    timeout: float
    materials: tuple[Material, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `input_tokens` includes the cached ones."""

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """The answer to one request.

    `text` should be JSON; nobody has checked it yet. `cost` is in US dollars, None if the price is
    unknown.
    """

    text: str
    usage: Usage
    cost: Decimal | None
    http_status: int | None
    provider_request_id: str | None
    stop_reason: str | None
    used_llm: bool


class ProviderError(Exception):
    """A call without a usable answer.

    `message` says what happened and what to do; it contains neither the key nor the prompt.
    `retryable`: a retry costs nothing, because the provider did not accept the request. `lost`:
    the request was sent, there is no answer, and the vendor may have charged it. `retry_after` is
    in seconds. `completion` is set when the vendor charged an answer that is of no use
    (`bad_answer`), for its usage and cost.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        http_status: int | None = None,
        retry_after: float | None = None,
        provider_request_id: str | None = None,
        stop_reason: str | None = None,
        lost: bool = False,
        retryable: bool | None = None,
        completion: Completion | None = None,
    ) -> None:
        super().__init__(message)
        self.code: str = code
        self.message = message
        self.http_status = http_status
        self.retryable = code in FREE_TO_RETRY if retryable is None else retryable
        self.retry_after = retry_after
        self.provider_request_id = provider_request_id
        self.stop_reason = stop_reason
        self.lost = lost
        self.completion = completion


class Provider(Protocol):
    """Answers completion requests. Many threads use one provider at once."""

    @property
    def name(self) -> str:
        """The prefix of its model strings."""

    def complete(self, request: CompletionRequest) -> Completion:
        """Answer `request` with exactly one HTTP request (an offline provider: none).

        Raises:
            ProviderError: every failure, with its code.
        """


@runtime_checkable
class Listed(Protocol):
    """A provider whose prices and models are in the lists of genai-prices."""

    @property
    def api_url(self) -> str:
        """The address of its API, by which the lists know the vendor."""


@runtime_checkable
class Offline(Protocol):
    """A provider that answers from `materials` and `inputs`, and sends nothing anywhere.

    Its requests have no prompt, and the journal has no copy of one.
    """

    offline: Literal[True]


@runtime_checkable
class Preparable(Protocol):
    """A provider that loads something before its first call, such as an SDK.

    The worker prepares a provider before it measures a call, so the journal has the time of the
    request alone.
    """

    def prepare(self) -> None:
        """Load what `complete` needs. Many threads may call this, before every request."""
