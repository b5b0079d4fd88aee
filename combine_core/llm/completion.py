"""Defines requests to providers, their completions and their errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, Protocol, runtime_checkable

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


# Retries of these errors are free, because the provider did not accept the request.
FREE_TO_RETRY: frozenset[str] = frozenset({"rate_limited", "overloaded", "unreachable"})


@dataclass(frozen=True, slots=True)
class Material:
    """A source, or a portion of a long source, in a request to a provider.

    Evidence refers to it by `label` ("S1"). Lines of `text` end with "\\n". `first_line` is the number of the
    first line, which is greater than 1 in later portions. `blocks` is the structure of `text`, or empty if it
    has not been read.
    """

    label: str
    source_id: str
    name: str
    text: str
    blocks: Sequence[Block] = ()
    first_line: int = 1


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One request to a provider.

    `model` has no provider prefix. A provider with a model sends `system` and `prompt` unchanged; `prompt`
    includes the materials. `materials` and `inputs` (answers of earlier steps, by step key) are the same
    content in parts, for a provider without a model. `schema` is the JSON Schema (2020-12) of the answer.
    `timeout` is the maximum time for the whole call in seconds.
    """

    model: str
    system: str
    prompt: str
    schema: dict[str, Any]
    max_tokens: int
    timeout: float
    materials: tuple[Material, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)


# The sum of three such numbers fits an integer column of PostgreSQL.
MAX_TOKENS = 2**29


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one call, each at most 3 * `MAX_TOKENS`. `input_tokens` includes cached tokens."""

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """The answer to one request.

    `text` should be JSON, but it has not been validated. `cost` is in US dollars, or None if it is unknown.
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

    `message` describes the failure and the remedy. It contains neither the key nor the prompt.
    `retryable` means that a retry is free, because the provider did not accept the request. `lost` means that
    the request was sent without an answer and may have been charged. `retry_after` is in seconds.
    `completion` contains the usage and cost of an unusable answer (`bad_answer`) that was charged.
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
    """A provider of completions. It must be thread-safe."""

    @property
    def name(self) -> str:
        """Return the prefix of the provider's model strings."""

    def complete(self, request: CompletionRequest) -> Completion:
        """Answer `request` with exactly one HTTP request, or without any in an offline provider.

        Raises:
            ProviderError: For every failure, with its code.
        """


@runtime_checkable
class PriceListed(Protocol):
    """A provider whose prices and models are in the lists of genai-prices."""

    @property
    def api_url(self) -> str:
        """Return the address of the API, which identifies the vendor in the lists."""


@runtime_checkable
class Offline(Protocol):
    """A provider that answers from `materials` and `inputs` and sends no data.

    Its requests have no prompt, so the journal stores none.
    """

    offline: Literal[True]


@runtime_checkable
class Preparable(Protocol):
    """A provider that loads something before its first call, such as an SDK.

    The worker prepares a provider before it measures a call, so the latency in the journal excludes loading.
    """

    def prepare(self) -> None:
        """Load the dependencies of `complete`. Each thread may call this before each request."""
