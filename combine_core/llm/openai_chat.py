"""Provides models through the Chat Completions API of OpenAI or a compatible server, with OpenAI's SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from combine_core.llm.completion import MAX_TOKENS, Completion, CompletionRequest, Usage
from combine_core.llm.hookspecs import ProviderSettings, Register, Unconfigured, hookimpl
from combine_core.llm.lowering import for_openai
from combine_core.llm.vendor import LazyProvider, Vendor, is_sendable, read_key

if TYPE_CHECKING:
    import httpx2

URL = "https://api.openai.com/v1"


@hookimpl
def combine_core_register_providers(register: Register, settings: ProviderSettings) -> None:
    key, url = read_key(settings.openai_api_key), settings.openai_base_url
    if not key and not url:
        remedy = "set OPENAI_API_KEY, or OPENAI_BASE_URL to a server that needs no key"
        register(Unconfigured("openai", remedy))
    elif not is_sendable(key):
        remedy = "correct OPENAI_API_KEY: it contains spaces or special characters"
        register(Unconfigured("openai", remedy))
    else:
        register(
            LazyProvider("openai", url or URL, lambda: OpenAIProvider(key or None, url or None))
        )


class _Cached(BaseModel):
    cached_tokens: int | None = Field(default=None, ge=0, le=MAX_TOKENS)
    cache_write_tokens: int | None = Field(default=None, ge=0, le=MAX_TOKENS)


class _Tokens(BaseModel):
    prompt_tokens: int = Field(ge=0, le=MAX_TOKENS)
    completion_tokens: int = Field(default=0, ge=0, le=MAX_TOKENS)
    prompt_tokens_details: _Cached | None = None


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _ChatCompletion(BaseModel):
    model: str | None = None
    choices: list[_Choice]
    usage: _Tokens | None = None


class OpenAIProvider:
    """A provider that sends each request to `POST {base_url}/chat/completions`.

    The default `base_url` is OpenAI's. A compatible server may need no key.
    """

    name = "openai"

    def __init__(self, api_key: str | None, base_url: str | None = None) -> None:
        url = self.api_url = base_url or URL

        from combine_core.llm.vendor_client import VendorClient

        def build(sdk: Any, http_client: httpx2.Client) -> Any:
            return sdk.OpenAI(
                # The SDK requires a key. The HTTP client does not send it.
                api_key=api_key or "none",
                base_url=url,
                max_retries=0,
                http_client=http_client,
            )

        vendor = Vendor(
            "OpenAI" if base_url is None else "The server at OPENAI_BASE_URL",
            "OPENAI_API_KEY",
            "OPENAI_BASE_URL" if base_url is not None else None,
            api_key or "",
            "x-request-id",
        )
        authorization = ("authorization", f"Bearer {api_key}") if api_key else None
        self._client = VendorClient(vendor, "openai", authorization, build)

    def complete(self, request: CompletionRequest) -> Completion:
        schema, strict = for_openai(request.schema)
        messages = [{"role": "user", "content": request.prompt}]
        if request.system:
            messages.insert(0, {"role": "system", "content": request.system})
        # OpenAI's reasoning models accept only the newer name. Many other servers accept only the older one.
        limit = "max_completion_tokens" if self.api_url == URL else "max_tokens"
        body = {
            "model": request.model,
            "messages": messages,
            limit: request.max_tokens,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema, "strict": strict},
            },
        }
        response = self._client.post("/chat/completions", body, request)
        chat = self._client.read(response, _ChatCompletion, request)
        choice = chat.choices[0] if chat.choices else _Choice(message=_Message())
        completion = self._client.completion(
            response,
            text=choice.message.content or "",
            stop_reason=choice.finish_reason,
            usage=_usage(chat.usage),
            models=[model for model in (chat.model, request.model) if model],
            api_url=self.api_url,
        )
        if problem := _problem(chat, choice, request):
            raise self._client.unusable(response, completion, problem)
        return completion


def _usage(tokens: _Tokens | None) -> Usage | None:
    if tokens is None:
        return None
    cached = tokens.prompt_tokens_details or _Cached()
    # The API includes cached tokens in the tokens of the prompt.
    return Usage(
        tokens.prompt_tokens,
        cached.cached_tokens or 0,
        cached.cache_write_tokens or 0,
        tokens.completion_tokens,
    )


def _problem(chat: _ChatCompletion, choice: _Choice, request: CompletionRequest) -> str:
    """Return the problem with the answer, or an empty string."""
    if not chat.choices:
        return "the answer contains no choice. Try another model."
    if choice.message.refusal or choice.finish_reason == "content_filter":
        return "the model refused to answer. Check the sources or try another model."
    if choice.finish_reason == "length":
        return f"the answer was cut off after {request.max_tokens} tokens. Raise max_tokens."
    return "" if choice.message.content else "the answer contains no text. Try another model."
