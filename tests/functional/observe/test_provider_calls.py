"""Tests that the latency and timeouts of model calls over real HTTP are logged."""

import threading

import pytest

from combine_core.llm import CompletionRequest, ProviderError
from combine_core.llm.anthropic_messages import AnthropicProvider
from combine_core.observe.provider_calls import provider_call
from tests import vendor_server as vendors

KEY = "sk-canary-4f9d2c7b8a"


@pytest.fixture
def vendor():
    with vendors.VendorServer() as server:
        yield server


@pytest.fixture
def call(vendor):
    provider = AnthropicProvider(KEY, vendor.url)

    def call(*, timeout=30.0, slow_ms=30_000):
        request = CompletionRequest(
            model="claude-sonnet-4-5",
            system="",
            prompt="canary prompt",
            schema={"type": "object", "additionalProperties": False, "properties": {}},
            max_tokens=100,
            timeout=timeout,
        )
        with provider_call(provider.name, request.model, slow_ms=slow_ms):
            return provider.complete(request)

    return call


def test_the_latency_of_each_call_is_logged(vendor, call, lines):
    vendor.script(vendors.ok({}))
    call()
    (line,) = lines.json("provider call")
    assert line["message"].startswith("provider call: anthropic model claude-sonnet-4-5: ok after ")
    assert (line["level"], line["provider"], line["model"]) == (
        "INFO",
        "anthropic",
        "claude-sonnet-4-5",
    )
    assert line["duration"] > 0


def test_a_slow_call_is_logged(vendor, call, lines):
    gate = threading.Event()
    vendor.script(vendors.hang(gate, then=vendors.ok({})))
    opener = threading.Timer(0.1, gate.set)
    opener.start()
    call(slow_ms=50)
    opener.join()
    (line,) = lines.json("slow provider call: anthropic model claude-sonnet-4-5: ok after ")
    assert line["level"] == "WARNING"
    assert line["duration"] >= 50


def test_a_timeout_is_logged(vendor, call, lines):
    vendor.script(vendors.hang())
    with pytest.raises(ProviderError) as caught:
        call(timeout=0.2)
    assert caught.value.code == "timeout"
    (line,) = lines.json("provider timeout")
    assert line["message"].startswith(
        "provider timeout: anthropic model claude-sonnet-4-5: timeout after "
    )
    assert line["level"] == "WARNING"


def test_other_errors_are_logged_with_their_code_only(vendor, call, lines):
    vendor.script(vendors.error(529))
    with pytest.raises(ProviderError):
        call()
    (line,) = lines.json("provider call: anthropic model claude-sonnet-4-5: overloaded after ")
    assert line["level"] == "INFO"
    assert "canary" not in str(lines.text())
