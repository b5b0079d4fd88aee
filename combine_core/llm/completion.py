"""What goes into a provider and what comes out: one request, one completion, or one named error."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, Protocol, get_args

ErrorCode = Literal[
    "auth",
    "rate_limited",
    "overloaded",
    "timeout",
    "unreachable",
    "bad_request",
    "bad_answer",
    "server_error",
    "unknown_model",
]

ERROR_CODES: frozenset[str] = frozenset(get_args(ErrorCode))

# Repeating these costs nothing: the provider did not take the request on.
FREE_TO_RETRY: frozenset[str] = frozenset({"rate_limited", "overloaded", "unreachable"})


@dataclass(frozen=True, slots=True)
class Material:
    """A source as the provider sees it.

    `label` is how evidence names it ("S1"). Lines of `text` are counted from 1 and end at "\\n".
    """

    label: str
    source_id: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One question to a model.

    `model` is without the provider's prefix. `prompt` is complete, materials included: a provider
    that speaks to a model sends `system` and `prompt` as they are. `materials` and `inputs`
    (outputs of earlier steps, by step key) are the same matter in parts, for a provider that works
    without a model. `schema` is the JSON Schema (2020-12) of the answer, `timeout` the seconds
    until the whole answer must be here.
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
    """Tokens of one call. `input_tokens` counts all that was read, cached ones included."""

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """The answer to one request.

    `text` is what the model wrote, JSON expected but not checked here. `cost` is in US dollars,
    None where the price is unknown.
    """

    text: str
    usage: Usage
    cost: Decimal | None
    http_status: int | None
    provider_request_id: str | None
    stop_reason: str | None
    used_llm: bool


class ProviderError(Exception):
    """A call that gave no usable answer.

    `message` says what happened and what to do; it is safe to show and holds no key and no prompt.
    `retryable` means that repeating is free of charge, because the provider did not take the
    request on. `lost` means that nobody knows: the request was sent, no answer came, and it may
    have been paid for. `retry_after` is in seconds. `completion` is there when the provider
    answered and charged, but the answer is of no use (`bad_answer`): its usage and cost are owed.
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
    """Answers completion requests; used by many threads at once."""

    @property
    def name(self) -> str:
        """The prefix of its model strings."""

    def complete(self, request: CompletionRequest) -> Completion:
        """Answer `request` with exactly one HTTP request (an offline provider: none).

        Raises:
            ProviderError: every failure, mapped to its code.
        """
