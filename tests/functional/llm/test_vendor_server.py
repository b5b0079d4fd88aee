"""Tests that the simulated vendor server speaks the protocols of the real SDKs.

The tests import the SDKs themselves. A module-level import would take seconds in each process of a
run.
"""

import json
import socket
import threading
import urllib.error
import urllib.request

import pytest

from tests import vendor_server as vendors

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}


@pytest.fixture
def vendor():
    with vendors.VendorServer() as server:
        yield server


def claude(vendor):
    import anthropic

    client = anthropic.Anthropic(api_key="sk-test", base_url=vendor.url, max_retries=0)
    with client:
        return client.messages.with_raw_response.create(
            model="claude-haiku-4-5",
            max_tokens=99,
            messages=[{"role": "user", "content": "How many?"}],
        )


def gpt(vendor, key="sk-test"):
    import openai

    client = openai.OpenAI(api_key=key, base_url=vendor.openai_url, max_retries=0)
    with client:
        return client.chat.completions.with_raw_response.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "How many?"}],
            response_format=FORMAT,
        )


def test_the_anthropic_sdk_accepts_a_message(vendor):
    from anthropic.types import Message

    vendor.script(vendors.ok({"a": 1}, input_tokens=50, cache_read=20, output_tokens=9))

    raw = claude(vendor)

    message = Message.model_validate(raw.http_response.json())
    assert json.loads(message.content[0].text) == {"a": 1}
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (30, 20)
    assert raw.headers["request-id"].startswith("req_")


def test_the_openai_sdk_accepts_a_chat(vendor):
    from openai.types.chat import ChatCompletion

    vendor.script(vendors.ok({"a": 1}, input_tokens=50, cache_read=20, output_tokens=9))

    raw = gpt(vendor)

    chat = ChatCompletion.model_validate(raw.http_response.json())
    assert json.loads(chat.choices[0].message.content) == {"a": 1}
    assert (chat.usage.prompt_tokens, chat.usage.prompt_tokens_details.cached_tokens) == (50, 20)
    assert vendor.requests[0].schema == SCHEMA


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
    ],
)
def test_the_sdks_recognize_the_errors(vendor, status, kind):
    import anthropic
    import openai

    vendor.script(vendors.error(status), vendors.error(status))

    with pytest.raises(getattr(anthropic, kind)) as by_anthropic:
        claude(vendor)
    with pytest.raises(getattr(openai, kind)) as by_openai:
        gpt(vendor)

    assert by_anthropic.value.type.endswith("_error")
    assert by_openai.value.body["message"]
    assert by_openai.value.request_id


def test_requests_without_a_key_are_rejected_and_use_no_reply(vendor):
    vendor.script(vendors.ok({"a": 1}))
    request = urllib.request.Request(vendor.url + "/v1/messages", b"{}", method="POST")

    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        urllib.request.urlopen(request)
    refused.value.close()

    assert claude(vendor).status_code == 200


def test_an_empty_script_returns_an_error(vendor):
    import anthropic

    with pytest.raises(anthropic.InternalServerError, match="script of the test is empty"):
        claude(vendor)


def test_scripted_replies_come_before_the_default(vendor):
    vendor.always(vendors.ok({"a": 2})).script(vendors.ok({"a": 1}))

    answers = [claude(vendor).parse().content[0].text for _ in range(3)]

    assert [json.loads(answer)["a"] for answer in answers] == [1, 2, 2]


def test_a_reply_may_depend_on_the_request(vendor):
    vendor.script(vendors.ok(lambda request: {"a": len(request.prompt)}))

    assert json.loads(gpt(vendor).parse().choices[0].message.content) == {"a": 9}


def test_a_gate_delays_a_reply(vendor):
    gate = threading.Event()
    vendor.script(vendors.hang(gate, then=vendors.ok({"a": 1})))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(claude(vendor).status_code))

    thread.start()
    vendor.wait_for(1)
    assert answers == []
    gate.set()
    thread.join(60)

    assert answers == [200]


def test_stopping_ends_hanging_requests():
    import anthropic

    vendor = vendors.VendorServer().start()
    vendor.script(vendors.hang())
    errors = []

    def call():
        try:
            claude(vendor)
        except anthropic.APIConnectionError as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    vendor.wait_for(1)
    port = vendor.port
    vendor.stop()
    thread.join(60)

    assert len(errors) == 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
