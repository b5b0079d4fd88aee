"""Tests the providers anthropic and openai with a server that speaks the wire formats of the vendors."""

import gc
import gzip
import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from combine_core.llm import (
    CompletionRequest,
    ProviderError,
    ProviderRegistry,
    Usage,
    http_client,
    provider_registry,
)
from combine_core.llm.anthropic_messages import AnthropicProvider
from combine_core.llm.openai_chat import OpenAIProvider
from tests import vendor_server as vendors

KEY = "sk-canary-4f9d2c7b8a"
PROMPT = "canary prompt: what was decided about the crane?"
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["facts"],
    "properties": {
        "facts": {
            "type": "array",
            "maxItems": 5,
            "items": {"type": "string", "minLength": 1, "maxLength": 90},
        }
    },
}
ANSWER = {"facts": ["The crane was bought."]}


@pytest.fixture
def vendor():
    with vendors.VendorServer() as server:
        yield server


@pytest.fixture(params=["anthropic", "openai"])
def provider(request, vendor):
    if request.param == "anthropic":
        return AnthropicProvider(KEY, vendor.url)
    return OpenAIProvider(KEY, vendor.openai_url)


def ask(model="claude-sonnet-4-5", *, timeout=30.0, **changes):
    fields = {
        "model": model,
        "system": "You collect facts.",
        "prompt": PROMPT,
        "schema": SCHEMA,
        "max_tokens": 800,
        "timeout": timeout,
    }
    return CompletionRequest(**{**fields, **changes})


def failure(provider, vendor, reply, **changes):
    """Return the error that `reply` causes, after checks that apply to every error."""
    before = len(vendor.requests)
    vendor.script(reply)
    with pytest.raises(ProviderError) as caught:
        provider.complete(ask(**changes))
    error = caught.value
    assert len(vendor.requests) == before + 1, "exactly one request"
    assert KEY not in error.message
    assert PROMPT not in error.message
    assert error.__context__ is None, "the SDK's error holds the whole request"
    assert len(error.message) < 500
    return error


def test_a_reply_is_parsed(provider, vendor):
    vendor.script(vendors.ok(ANSWER, input_tokens=1000, cache_read=400, output_tokens=200))

    completion = provider.complete(ask())

    assert json.loads(completion.text) == ANSWER
    assert completion.usage == Usage(1000, 400, 0, 200)
    assert completion.http_status == 200
    assert completion.provider_request_id == "req_000000000000000000000001"
    assert completion.stop_reason in {"end_turn", "stop"}
    assert completion.used_llm is True


def test_the_request_contains_prompt_and_schema(provider, vendor):
    vendor.script(vendors.ok(ANSWER))

    provider.complete(ask())

    (request,) = vendor.requests
    assert request.api == provider.name
    assert (request.model, request.system, request.prompt) == (
        "claude-sonnet-4-5",
        "You collect facts.",
        PROMPT,
    )
    assert request.key == KEY
    assert request.body["max_tokens"] == 800
    assert request.schema["properties"]["facts"]["items"]["type"] == "string"
    assert request.schema["additionalProperties"] is False
    assert "minLength" in json.dumps(request.schema["properties"]["facts"]["items"]["description"])


def test_strict_mode_is_used_if_the_schema_allows_it(vendor):
    provider = OpenAIProvider(KEY, vendor.openai_url)
    vendor.always(vendors.ok("{}"))

    provider.complete(ask())
    provider.complete(ask(schema={**SCHEMA, "required": []}))

    formats = [request.body["response_format"]["json_schema"] for request in vendor.requests]
    assert [each["strict"] for each in formats] == [True, False]


def test_an_empty_system_text_is_not_sent(provider, vendor):
    vendor.script(vendors.ok(ANSWER))

    provider.complete(ask(system=""))

    body = vendor.requests[0].body
    assert "system" not in body
    assert [message["role"] for message in body["messages"]] == ["user"]


def test_the_price_counts_cached_tokens_separately(vendor):
    provider = AnthropicProvider(KEY, vendor.url)
    vendor.script(
        vendors.ok(ANSWER, input_tokens=1000, cache_read=400, cache_write=100, output_tokens=200)
    )

    completion = provider.complete(ask())

    assert completion.usage == Usage(1000, 400, 100, 200)
    assert completion.cost == Decimal("0.004995")


@pytest.mark.parametrize(
    ("model", "cost"), [("no-such-model", None), ("claude-opus-4-5", Decimal("0.01"))]
)
def test_an_unknown_price_is_none(vendor, model, cost):
    provider = AnthropicProvider(KEY, vendor.url)
    vendor.script(vendors.ok(ANSWER, input_tokens=1000, output_tokens=200))

    assert provider.complete(ask(model)).cost == cost


def test_a_custom_server_has_no_known_price(vendor):
    provider = OpenAIProvider(KEY, vendor.openai_url)
    vendor.script(vendors.ok(ANSWER))

    assert provider.complete(ask("gpt-4o")).cost is None


def test_a_server_may_omit_token_counts(vendor):
    provider = OpenAIProvider(KEY, vendor.openai_url)
    answer = {"choices": [{"message": {"content": json.dumps(ANSWER)}, "finish_reason": None}]}
    vendor.script(vendors.body(json.dumps(answer).encode()))

    completion = provider.complete(ask())

    assert (completion.usage, completion.cost) == (Usage(), None)
    assert json.loads(completion.text) == ANSWER


@pytest.mark.parametrize(
    ("reply", "code", "status", "retryable"),
    [
        (vendors.error(400), "bad_request", 400, False),
        (vendors.error(401), "auth", 401, False),
        (vendors.error(402), "auth", 402, False),
        (vendors.error(403), "auth", 403, False),
        (vendors.error(404), "unknown_model", 404, False),
        (vendors.error(408), "server_error", 408, False),
        (vendors.error(413), "bad_request", 413, False),
        (vendors.error(422), "bad_request", 422, False),
        (vendors.error(429), "rate_limited", 429, True),
        (vendors.error(500), "server_error", 500, False),
        (vendors.error(502), "server_error", 502, False),
        (vendors.error(503), "overloaded", 503, True),
        (vendors.error(529), "overloaded", 529, True),
        (vendors.error(307, location="/v1/elsewhere"), "bad_request", 307, False),
        (vendors.html(502), "server_error", 502, False),
        (vendors.html(404), "unknown_model", 404, False),
    ],
)
def test_each_status_has_an_error_code(provider, vendor, reply, code, status, retryable):
    error = failure(provider, vendor, reply)

    assert (error.code, error.http_status, error.retryable) == (code, status, retryable)
    assert error.lost is False
    assert error.provider_request_id == "req_000000000000000000000001"


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        (vendors.error(429, retry_after=2), 2),
        (vendors.error(429, retry_after=2, retry_after_ms="300"), 0.3),
        (vendors.error(503, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"), 0),
        (vendors.error(529), None),
    ],
)
def test_retry_after_is_parsed(provider, vendor, reply, seconds):
    assert failure(provider, vendor, reply).retry_after == seconds


def test_an_exhausted_quota_is_not_retried(vendor):
    provider = OpenAIProvider(KEY, vendor.openai_url)

    error = failure(provider, vendor, vendors.error(429, kind="insufficient_quota"))

    assert (error.code, error.retryable) == ("rate_limited", False)
    assert "Add credit" in error.message


def test_a_model_without_structured_output_is_reported(vendor):
    provider = OpenAIProvider(KEY, vendor.openai_url)
    words = "Invalid parameter: 'response_format' of type 'json_schema' is not supported"

    error = failure(provider, vendor, vendors.error(400, words))

    assert error.code == "bad_request"
    assert "Use another model" in error.message


def test_key_and_prompt_in_an_error_are_masked(provider, vendor):
    error = failure(provider, vendor, vendors.error(400, f"no: {KEY} {PROMPT * 20}"))

    assert "[key]" in error.message
    assert "[prompt]" in error.message


@pytest.mark.parametrize(
    "reply",
    [
        vendors.body(b"{}"),
        vendors.body(b"[]"),
        vendors.body(b"not json"),
        vendors.body(b""),
        vendors.body(b"\xff\xfe\x00"),
        vendors.body(b'{"error": {"message": "upstream is ill"}}'),
        vendors.body(b'{"choices": "none", "content": 3, "usage": {}}'),
        vendors.empty(),
        vendors.ok(""),
        # More tokens than the journal can store.
        vendors.ok(ANSWER, output_tokens=2**31),
        vendors.ok(ANSWER, input_tokens=2**31),
    ],
)
def test_a_malformed_reply_is_an_error(provider, vendor, reply):
    error = failure(provider, vendor, reply)

    assert (error.code, error.http_status, error.retryable) == ("bad_answer", 200, False)


def test_a_web_page_is_no_answer_that_a_model_could_repair(provider, vendor):
    error = failure(provider, vendor, vendors.html())

    assert (error.code, error.http_status, error.retryable) == ("bad_request", 200, False)
    assert "(text/html" in error.message


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_huge_answer_is_not_read_to_its_end_and_not_asked_for_again(
    provider, vendor, monkeypatch, status, encoding
):
    monkeypatch.setattr(http_client, "MAX_ANSWER_BYTES", 100_000)
    body = b" " * 10_000_000 if encoding == "gzip" else b" " * 200_000
    sent = gzip.compress(body) if encoding == "gzip" else body

    def reply(exchange):
        exchange.reply(status, sent, content_encoding=encoding)

    error = failure(provider, vendor, reply)

    assert (error.code, error.lost, error.retryable) == ("bad_request", False, False)
    assert "larger than" in error.message


def test_a_compressed_answer_is_read(vendor):
    provider = OpenAIProvider(KEY, vendor.openai_url)
    chat = {"choices": [{"message": {"content": "{}"}}]}

    def reply(exchange):
        exchange.reply(200, gzip.compress(json.dumps(chat).encode()), content_encoding="gzip")

    vendor.script(reply)

    assert provider.complete(ask()).text == "{}"


@pytest.mark.parametrize(
    ("reply", "reasons"),
    [
        (vendors.truncated({"facts": ["x" * 80]}), {"max_tokens", "length"}),
        (vendors.refused(), {"refusal", "stop"}),
    ],
)
def test_an_unusable_reply_is_still_charged(provider, vendor, reply, reasons):
    error = failure(provider, vendor, reply)

    assert error.code == "bad_answer"
    assert error.stop_reason in reasons
    assert error.completion is not None
    assert error.completion.usage.input_tokens > 0
    assert (error.completion.cost is None) == (provider.name == "openai")


@pytest.mark.parametrize(
    "reply",
    [vendors.cut(ANSWER), vendors.hang_up(), vendors.garbage()],
    ids=["cut", "up", "garbage"],
)
def test_a_broken_connection_loses_the_call(provider, vendor, reply):
    error = failure(provider, vendor, reply)

    assert (error.code, error.lost, error.retryable) == ("server_error", True, False)


@pytest.mark.parametrize(
    "reply",
    [vendors.hang(), vendors.drip(ANSWER), vendors.drip(ANSWER, where="head")],
    ids=["hang", "drip body", "drip head"],
)
def test_the_timeout_limits_the_total_time(provider, vendor, reply):
    began = time.monotonic()

    error = failure(provider, vendor, reply, timeout=0.4)

    assert 0.4 <= time.monotonic() - began < 5
    assert (error.code, error.lost, error.retryable) == ("timeout", True, False)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:{port}", "refuses connections"),
        ("https://127.0.0.1:{port}", "refuses connections"),
        ("http://no-such-host.invalid", "cannot be resolved"),
    ],
)
@pytest.mark.parametrize("kind", [AnthropicProvider, OpenAIProvider])
def test_a_refused_connection_is_an_error(kind, url, words, vendor):
    port = vendor.port
    vendor.stop()
    provider = kind(KEY, url.format(port=port))

    with pytest.raises(ProviderError) as caught:
        provider.complete(ask(timeout=20))

    error = caught.value
    assert (error.code, error.retryable, error.lost) == ("unreachable", True, False)
    assert words in error.message


def test_a_server_without_tls_is_an_error(vendor):
    provider = AnthropicProvider(KEY, f"https://127.0.0.1:{vendor.port}")

    with pytest.raises(ProviderError) as caught:
        provider.complete(ask(timeout=20))

    assert caught.value.code == "unreachable"
    assert "TLS" in caught.value.message
    assert vendor.requests == []


@pytest.mark.parametrize("url", ["gopher://x", "not a url", "http://[::bad"])
def test_an_invalid_address_is_an_error(url):
    with pytest.raises(ProviderError) as caught:
        OpenAIProvider(KEY, url).complete(ask())

    assert caught.value.code == "bad_request"
    assert "OPENAI_BASE_URL" in caught.value.message


def test_unencodable_text_is_an_error(provider, vendor):
    with pytest.raises(ProviderError) as caught:
        provider.complete(ask(prompt="half a \ud800 pair"))

    assert caught.value.code == "bad_request"
    assert vendor.requests == []


STRAY = {
    "ANTHROPIC_API_KEY": "sk-ant-stray",
    "ANTHROPIC_AUTH_TOKEN": "stray-token",
    "ANTHROPIC_BASE_URL": "http://127.0.0.1:9/stray",
    "ANTHROPIC_CUSTOM_HEADERS": "X-Stray: 1\nX-Api-Key: sk-stray\nAuthorization: Bearer stray",
    "ANTHROPIC_PROFILE": "stray",
    "OPENAI_API_KEY": "sk-stray",
    "OPENAI_ADMIN_KEY": "sk-stray-admin",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/stray",
    "OPENAI_ORG_ID": "org-stray",
    "OPENAI_PROJECT_ID": "proj-stray",
    "OPENAI_CUSTOM_HEADERS": "X-Stray: 1\nAuthorization: Bearer stray",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
}


def test_environment_variables_of_the_sdk_are_ignored(provider, vendor, monkeypatch):
    for name, value in STRAY.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(name.lower(), value)
    vendor.script(vendors.ok(ANSWER))

    provider.complete(ask())

    (request,) = vendor.requests
    assert request.key == KEY
    assert "stray" not in json.dumps(dict(request.headers)).lower()
    assert {"host", "content-length", "content-type"} <= request.headers.keys()
    assert not [name for name in request.headers if name.startswith("x-stainless")]


def test_a_missing_key_is_not_sent():
    with vendors.VendorServer(needs_key=False) as vendor:
        provider = OpenAIProvider(None, vendor.openai_url)
        vendor.script(vendors.ok(ANSWER))

        provider.complete(ask("llama3"))

        assert "authorization" not in vendor.requests[0].headers


def test_neither_key_nor_prompt_is_logged(provider, vendor, caplog):
    caplog.set_level(logging.DEBUG)
    vendor.script(vendors.ok(ANSWER), vendors.error(401), vendors.error(500))

    provider.complete(ask())
    for _ in range(2):
        with pytest.raises(ProviderError):
            provider.complete(ask())

    assert KEY not in caplog.text
    assert PROMPT not in caplog.text


def test_a_deprecated_model_is_logged_once(vendor, caplog):
    provider = AnthropicProvider(KEY, vendor.url)
    vendor.always(vendors.ok(ANSWER))

    for _ in range(2):
        provider.complete(ask("claude-3-opus-20240229"))

    assert caplog.text.count("claude-3-opus-20240229 is retired on") == 1


def test_many_threads_share_one_provider(provider, vendor):
    gate = threading.Event()
    vendor.always(vendors.hang(gate, then=vendors.ok(lambda request: {"facts": [request.prompt]})))

    with ThreadPoolExecutor(24) as pool:
        calls = [pool.submit(provider.complete, ask(prompt=f"number {n}")) for n in range(24)]
        vendor.wait_for(24)  # all calls run in parallel
        gate.set()
        answers = [json.loads(call.result(30).text)["facts"] for call in calls]

    assert answers == [[f"number {n}"] for n in range(24)]


def test_a_released_provider_closes_its_connections(vendor):
    vendor.always(vendors.ok(ANSWER))
    for make in (
        lambda: AnthropicProvider(KEY, vendor.url),
        lambda: OpenAIProvider(KEY, vendor.openai_url),
    ):
        make().complete(ask())
    gc.collect()  # an unclosed socket would raise a warning, and warnings are errors here


def test_a_provider_from_settings_gets_a_reply(vendor):
    class Settings:
        anthropic_api_key = None
        openai_api_key = None
        openai_base_url = vendor.openai_url
        default_model = "openai/llama3"

    vendor.needs_key = False
    vendor.script(vendors.ok(ANSWER))
    registry = provider_registry(Settings(), plugins=[])

    provider, model = registry.resolve(registry.default_model)

    assert json.loads(provider.complete(ask(model)).text) == ANSWER
    assert vendor.requests[0].model == "llama3"


def test_a_provider_is_registered_manually(vendor):
    registry = ProviderRegistry()
    registry.register(AnthropicProvider(KEY, vendor.url))
    vendor.script(vendors.ok(ANSWER))

    provider, model = registry.resolve("anthropic/claude-haiku-4-5")

    assert provider.complete(ask(model)).used_llm
