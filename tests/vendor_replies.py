"""Replies of the simulated vendor server, in the wire formats of Anthropic and OpenAI."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal

Api = Literal["anthropic", "openai"]


@dataclass(frozen=True)
class VendorRequest:
    """A received request. Header names are in lower case."""

    api: Api | None
    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes
    body: dict[str, Any]

    @property
    def model(self) -> str:
        return str(self.body.get("model", ""))

    @property
    def system(self) -> str:
        if self.api == "anthropic":
            return str(self.body.get("system", ""))
        return "".join(m["content"] for m in self.body["messages"] if m["role"] == "system")

    @property
    def prompt(self) -> str:
        return "".join(m["content"] for m in self.body["messages"] if m["role"] == "user")

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema that the reply must match."""
        if self.api == "anthropic":
            return self.body["output_config"]["format"]["schema"]
        return self.body["response_format"]["json_schema"]["schema"]

    @property
    def key(self) -> str:
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        return self.headers.get("x-api-key", bearer)


class Exchange:
    """A request in progress, to which a reply writes."""

    def __init__(
        self, handler: BaseHTTPRequestHandler, request: VendorRequest, number: int
    ) -> None:
        self.request = request
        self.id = f"req_{number:024d}"
        self.stopping: threading.Event = handler.server.stopping
        self._handler = handler

    def head(self, status: int, headers: Mapping[str, str]) -> bytes:
        reason = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Overloaded"
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{k}: {v}" for k, v in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def send(self, data: bytes) -> None:
        self._handler.wfile.write(data)

    def close(self) -> None:
        self._handler.close_connection = True

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        """Send a complete response with the headers of the vendor."""
        self.send(self.head(status, self.headers(len(body)) | _names(headers)) + body)

    def headers(self, length: int) -> dict[str, str]:
        common = {"content-type": "application/json", "content-length": str(length)}
        if self.request.api == "anthropic":
            return common | {
                "request-id": self.id,
                "anthropic-organization-id": "00000000-0000-4000-8000-000000000000",
                "anthropic-ratelimit-requests-limit": "1000",
                "anthropic-ratelimit-requests-remaining": "999",
            }
        return common | {
            "x-request-id": self.id,
            "openai-organization": "org-test",
            "openai-processing-ms": "12",
            "openai-version": "2020-10-01",
            "x-ratelimit-limit-requests": "1000",
            "x-ratelimit-remaining-requests": "999",
        }


Reply = Callable[[Exchange], None]


def ok(
    answer: Any,
    *,
    input_tokens: int | None = None,
    cache_read: int = 0,
    cache_write: int = 0,
    output_tokens: int | None = None,
    stop: str | None = None,
    model: str | None = None,
) -> Reply:
    """The model replies. `answer` is JSON or raw text, or a function that returns one of these.

    `input_tokens` counts all tokens that were read, including the cached ones.
    """

    def reply(exchange: Exchange) -> None:
        exchange.reply(
            200,
            _answer_body(
                exchange, answer, input_tokens, cache_read, cache_write, output_tokens, stop, model
            ),
        )

    return reply


def truncated(answer: Any) -> Reply:
    """The reply is cut off at max_tokens, and it is charged."""

    def reply(exchange: Exchange) -> None:
        stop = "max_tokens" if exchange.request.api == "anthropic" else "length"
        text = _text(answer, exchange.request)
        ok(text[: max(1, len(text) // 2)], stop=stop)(exchange)

    return reply


def refused() -> Reply:
    """The model declines to reply."""

    def reply(exchange: Exchange) -> None:
        if exchange.request.api == "anthropic":
            ok("", stop="refusal")(exchange)
            return
        body = json.loads(_answer_body(exchange, "", None, 0, 0, None, "stop", None))
        body["choices"][0]["message"] |= {"content": None, "refusal": "I can't help with that."}
        exchange.reply(200, json.dumps(body).encode())

    return reply


def empty() -> Reply:
    """A well-formed reply without content: no block, no choice."""

    def reply(exchange: Exchange) -> None:
        body = json.loads(_answer_body(exchange, "", None, 0, 0, None, None, None))
        body |= {"content": []} if exchange.request.api == "anthropic" else {"choices": []}
        exchange.reply(200, json.dumps(body).encode())

    return reply


def error(
    status: int,
    message: str | None = None,
    *,
    kind: str | None = None,
    retry_after: float | str | None = None,
    **headers: str,
) -> Reply:
    """The vendor returns this status with its error body.

    `retry_after` is seconds or a date, as in the header.
    """

    def reply(exchange: Exchange) -> None:
        extra = dict(headers)
        if retry_after is not None:
            extra["retry_after"] = str(retry_after)
        exchange.reply(status, _error_body(exchange, status, message, kind), **extra)

    return reply


def hang(gate: threading.Event | None = None, then: Reply | None = None) -> Reply:
    """No byte is sent until `gate` is set. Then `then` is sent, or the connection is closed."""

    def reply(exchange: Exchange) -> None:
        while not exchange.stopping.is_set():
            if gate is not None and gate.wait(0.02):
                if then is not None:
                    then(exchange)
                    return
                break
            if gate is None:
                exchange.stopping.wait()
        exchange.close()

    return reply


def drip(answer: Any, *, every: float = 0.02, where: Literal["head", "body"] = "body") -> Reply:
    """One byte is sent every `every` seconds, of the header or of the body, and never all in time."""

    def reply(exchange: Exchange) -> None:
        body = _answer_body(exchange, answer, None, 0, 0, None, None, None)
        head = exchange.head(200, exchange.headers(len(body)))
        slow = head + body
        if where == "body":
            exchange.send(head)
            slow = body
        try:
            for number in range(len(slow)):
                if exchange.stopping.wait(every):
                    break
                exchange.send(slow[number : number + 1])
        except OSError:
            pass  # the client gave up, as the test expects
        exchange.close()

    return reply


def cut(answer: Any, *, after: int = 10) -> Reply:
    """The connection is closed after this many bytes of the body."""

    def reply(exchange: Exchange) -> None:
        body = _answer_body(exchange, answer, None, 0, 0, None, None, None)
        exchange.send(exchange.head(200, exchange.headers(len(body))) + body[:after])
        exchange.close()

    return reply


def hang_up() -> Reply:
    """The connection is closed without a byte."""
    return Exchange.close


def garbage(data: bytes = b"\x16\x03\x01\x00 not http at all\r\n\r\n") -> Reply:
    """The bytes are not HTTP."""

    def reply(exchange: Exchange) -> None:
        exchange.send(data)
        exchange.close()

    return reply


def body(data: bytes, *, status: int = 200, content_type: str = "application/json") -> Reply:
    """A complete HTTP response with any body, such as invalid JSON."""

    def reply(exchange: Exchange) -> None:
        exchange.reply(status, data, content_type=content_type)

    return reply


def html(status: int = 200) -> Reply:
    """An HTML page, as from a proxy or a wrong address."""
    page = b"<!DOCTYPE html><html><body><h1>Welcome</h1></body></html>"
    return body(page, status=status, content_type="text/html; charset=utf-8")


_numbers = itertools.count(1)


def _text(answer: Any, request: VendorRequest) -> str:
    if callable(answer):
        answer = answer(request)
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def _answer_body(
    exchange: Exchange,
    answer: Any,
    input_tokens: int | None,
    cache_read: int,
    cache_write: int,
    output_tokens: int | None,
    stop: str | None,
    model: str | None,
) -> bytes:
    request = exchange.request
    text = _text(answer, request)
    read = input_tokens if input_tokens is not None else max(1, len(request.raw) // 4)
    wrote = output_tokens if output_tokens is not None else max(1, len(text) // 4)
    number = next(_numbers)
    if request.api == "anthropic":
        message: dict[str, Any] = {
            "id": f"msg_{number:024d}",
            "type": "message",
            "role": "assistant",
            "model": model or request.model,
            "content": [{"type": "text", "text": text}] if text else [],
            "stop_reason": stop or "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": read - cache_read - cache_write,
                "cache_creation_input_tokens": cache_write,
                "cache_read_input_tokens": cache_read,
                "output_tokens": wrote,
                "service_tier": "standard",
            },
        }
    else:
        message = {
            "id": f"chatcmpl-{number:024d}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model or request.model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, "refusal": None},
                    "logprobs": None,
                    "finish_reason": stop or "stop",
                }
            ],
            "usage": {
                "prompt_tokens": read,
                "completion_tokens": wrote,
                "total_tokens": read + wrote,
                "prompt_tokens_details": {"cached_tokens": cache_read, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
            "service_tier": "default",
            "system_fingerprint": "fp_test",
        }
    return json.dumps(message, ensure_ascii=False).encode()


_ANTHROPIC_KINDS = {
    400: ("invalid_request_error", "messages: at least one message is required"),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your credit balance is too low"),
    403: ("permission_error", "Your API key does not have permission to use this resource"),
    404: ("not_found_error", "model: {model}"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit"),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "Request timed out"),
    529: ("overloaded_error", "Overloaded"),
}
_OPENAI_KINDS = {
    400: ("invalid_request_error", "invalid_value", "Invalid parameter"),
    401: (
        "invalid_request_error",
        "invalid_api_key",
        "Incorrect API key provided: {key}. You can find your API key at https://platform.openai.com",
    ),
    403: ("invalid_request_error", "unsupported_country", "Country, region not supported"),
    404: ("invalid_request_error", "model_not_found", "The model `{model}` does not exist"),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests"),
    500: ("server_error", None, "The server had an error while processing your request"),
    503: ("server_error", None, "The engine is currently overloaded, please try again later"),
}


def _error_body(exchange: Exchange, status: int, message: str | None, kind: str | None) -> bytes:
    request = exchange.request
    known = {"model": request.model, "key": request.key}
    if request.api == "anthropic":
        type_, words = _ANTHROPIC_KINDS.get(status, ("api_error", "error"))
        error_ = {"type": kind or type_, "message": message or words.format(**known)}
        return json.dumps({"type": "error", "error": error_, "request_id": exchange.id}).encode()
    type_, code, words = _OPENAI_KINDS.get(status, ("server_error", None, "error"))
    error_ = {
        "message": message or words.format(**known),
        "type": type_,
        "param": None,
        "code": kind or code,
    }
    return json.dumps({"error": error_}).encode()


def _names(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
