"""Provides Claude models through Anthropic's Messages API, with the official SDK."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from combine_core.llm.completion import MAX_TOKENS, Completion, CompletionRequest, Usage
from combine_core.llm.hookspecs import ProviderSettings, Register, Unconfigured, hookimpl
from combine_core.llm.lowering import for_anthropic
from combine_core.llm.vendor import LazyProvider, Vendor, is_sendable, read_key

if TYPE_CHECKING:
    import httpx2

log = logging.getLogger(__name__)

URL = "https://api.anthropic.com"

# With any other stop reason, the answer is incomplete or missing.
_COMPLETE = frozenset({"end_turn", "stop_sequence"})


@hookimpl
def combine_core_register_providers(register: Register, settings: ProviderSettings) -> None:
    key = read_key(settings.anthropic_api_key)
    if not key:
        register(Unconfigured("anthropic", "set ANTHROPIC_API_KEY"))
    elif not is_sendable(key):
        remedy = "correct ANTHROPIC_API_KEY: it contains spaces or special characters"
        register(Unconfigured("anthropic", remedy))
    else:
        register(LazyProvider("anthropic", URL, lambda: AnthropicProvider(key)))


class _Tokens(BaseModel):
    input_tokens: int = Field(ge=0, le=MAX_TOKENS)
    output_tokens: int = Field(ge=0, le=MAX_TOKENS)
    cache_read_input_tokens: int | None = Field(default=None, ge=0, le=MAX_TOKENS)
    cache_creation_input_tokens: int | None = Field(default=None, ge=0, le=MAX_TOKENS)


class _Block(BaseModel):
    type: str
    text: str | None = None


class _Message(BaseModel):
    model: str
    content: list[_Block]
    stop_reason: str | None
    usage: _Tokens


class AnthropicProvider:
    """A provider that sends each request to `POST /v1/messages`."""

    name = "anthropic"
    api_url = URL

    def __init__(self, api_key: str, base_url: str = URL) -> None:
        from combine_core.llm.vendor_client import VendorClient

        def build(sdk: Any, http_client: httpx2.Client) -> Any:
            return sdk.Anthropic(
                api_key=api_key,
                base_url=base_url,
                max_retries=0,
                open_telemetry=False,
                http_client=http_client,
            )

        vendor = Vendor("Anthropic", "ANTHROPIC_API_KEY", None, api_key, "request-id")
        self._client = VendorClient(vendor, "anthropic", ("x-api-key", api_key), build)
        self._warned: set[str] = set()

    def complete(self, request: CompletionRequest) -> Completion:
        body: dict[str, Any] = {
            "model": request.model,
            "max_tokens": request.max_tokens,
            "messages": [{"role": "user", "content": request.prompt}],
            "output_config": {
                "format": {"type": "json_schema", "schema": for_anthropic(request.schema)}
            },
        }
        if request.system:
            body["system"] = request.system
        self._warn_of_retirement(request.model)
        response = self._client.post("/v1/messages", body, request)
        message = self._client.read(response, _Message, request)
        completion = self._client.completion(
            response,
            text="".join(b.text for b in message.content if b.type == "text" and b.text),
            stop_reason=message.stop_reason,
            usage=_usage(message.usage),
            models=[message.model, request.model],
            api_url=URL,
        )
        if message.stop_reason not in _COMPLETE:
            problem = _stop_problem(message.stop_reason, request)
            raise self._client.unusable(response, completion, problem)
        if not completion.text:
            raise self._client.unusable(response, completion, "the answer contains no text.")
        return completion

    def _warn_of_retirement(self, model: str) -> None:
        """Log a warning once if the SDK knows the day on which Anthropic retires this model."""
        from anthropic.resources.messages import DEPRECATED_MODELS

        if model in DEPRECATED_MODELS and model not in self._warned:
            self._warned.add(model)
            log.warning(
                "model anthropic/%s is retired on %s; choose a newer one",
                model,
                DEPRECATED_MODELS[model],
            )


def _usage(tokens: _Tokens) -> Usage:
    # The API does not include cached tokens in the input tokens.
    read = tokens.cache_read_input_tokens or 0
    write = tokens.cache_creation_input_tokens or 0
    return Usage(tokens.input_tokens + read + write, read, write, tokens.output_tokens)


def _stop_problem(stop_reason: str | None, request: CompletionRequest) -> str:
    match stop_reason:
        case "max_tokens":
            return f"the answer was cut off after {request.max_tokens} tokens. Raise max_tokens."
        case "model_context_window_exceeded":
            return "the sources do not fit the model. Use fewer, or a model with a larger window."
        case "refusal":
            return "the model refused to answer. Check the sources or try another model."
        case _:
            return f"the model stopped early ({stop_reason}). Try another model."
