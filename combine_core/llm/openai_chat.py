"""Models behind OpenAI's Chat Completions API, at OpenAI or any compatible server, by its SDK."""

from typing import Any

import httpx2
from pydantic import BaseModel, Field

from combine_core.llm.calling import Caller
from combine_core.llm.completion import Completion, CompletionRequest, Usage
from combine_core.llm.failures import Vendor
from combine_core.llm.lowering import for_openai

URL = "https://api.openai.com/v1"


class _Cached(BaseModel):
    cached_tokens: int | None = Field(default=None, ge=0)
    cache_write_tokens: int | None = Field(default=None, ge=0)


class _Tokens(BaseModel):
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(default=0, ge=0)
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
    """Sends each request as one chat to `POST {base_url}/chat/completions`.

    Without `base_url` it is OpenAI's own. A server of one's own may need no key.
    """

    name = "openai"

    def __init__(self, api_key: str | None, base_url: str | None = None) -> None:
        url = self._url = base_url or URL

        def build(sdk: Any, http_client: httpx2.Client) -> Any:
            return sdk.OpenAI(
                # The SDK wants one; without a key the header is not sent.
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
        self._caller = Caller(vendor, "openai", authorization, build)

    def complete(self, request: CompletionRequest) -> Completion:
        """See `Provider.complete`."""
        schema, strict = for_openai(request.schema)
        messages = [{"role": "user", "content": request.prompt}]
        if request.system:
            messages.insert(0, {"role": "system", "content": request.system})
        # OpenAI's reasoning models take the newer name only, many compatible servers the older.
        limit = "max_completion_tokens" if self._url == URL else "max_tokens"
        body = {
            "model": request.model,
            "messages": messages,
            limit: request.max_tokens,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema, "strict": strict},
            },
        }
        response = self._caller.post("/chat/completions", body, request)
        chat = self._caller.read(response, _ChatCompletion, request)
        choice = chat.choices[0] if chat.choices else _Choice(message=_Message())
        completion = self._caller.completion(
            response,
            text=choice.message.content or "",
            stop_reason=choice.finish_reason,
            usage=_usage(chat.usage),
            models=[model for model in (chat.model, request.model) if model],
            api_url=self._url,
        )
        if why := _why(chat, choice, request):
            raise self._caller.unusable(response, completion, why)
        return completion

    def close(self) -> None:
        """Close the connections."""
        self._caller.close()


def _usage(tokens: _Tokens | None) -> Usage | None:
    if tokens is None:
        return None
    cached = tokens.prompt_tokens_details or _Cached()
    # The API counts the cached tokens among those of the prompt.
    return Usage(
        tokens.prompt_tokens,
        cached.cached_tokens or 0,
        cached.cache_write_tokens or 0,
        tokens.completion_tokens,
    )


def _why(chat: _ChatCompletion, choice: _Choice, request: CompletionRequest) -> str:
    """What is wrong with the answer; empty if nothing is."""
    if not chat.choices:
        return "the answer holds no choice. Try another model."
    if choice.message.refusal or choice.finish_reason == "content_filter":
        return "the model refused to answer. Check the sources or try another model."
    if choice.finish_reason == "length":
        return f"the answer was cut off after {request.max_tokens} tokens. Raise max_tokens."
    return "" if choice.message.content else "the answer holds no text. Try another model."
