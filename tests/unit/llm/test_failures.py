"""Tests that waiting times come from headers, and prices from lists."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import get_args

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from combine_core.llm import CompletionRequest, ProviderError, Usage
from combine_core.llm.completion import ErrorCode
from combine_core.llm.failures import retry_after, status_failed
from combine_core.llm.prices import price_of
from combine_core.llm.vendor import Vendor

ANTHROPIC = "https://api.anthropic.com"
OPENAI = "https://api.openai.com/v1"
VENDOR = Vendor("Vendor", "VENDOR_KEY", "VENDOR_URL", "sk-canary-0123456789", "x-request-id")
REQUEST = CompletionRequest("some-model", "Be brief.", "a long\nquestion", {}, 100, 10.0)


def headers(**values):
    return httpx2.Headers({name.replace("_", "-"): value for name, value in values.items()})


@pytest.mark.parametrize(
    ("given_headers", "seconds"),
    [
        (headers(retry_after="7"), 7),
        (headers(retry_after="1.5"), 1.5),
        (headers(retry_after="7", retry_after_ms="250"), 0.25),
        (headers(retry_after="0"), 0),
        (headers(retry_after="Wed, 21 Oct 2015 07:28:00 GMT"), 0),
        (headers(retry_after="-3"), None),
        (headers(retry_after="nan"), None),
        (headers(retry_after="inf"), None),
        (headers(retry_after="soon"), None),
        (headers(retry_after=""), None),
        (headers(retry_after="9" * 400), None),
        (headers(), None),
    ],
)
def test_retry_after_is_parsed(given_headers, seconds):
    assert retry_after(given_headers) == seconds


def test_retry_after_may_be_a_date():
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)

    assert 80 < retry_after(headers(retry_after=date)) <= 90


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40))
def test_any_header_is_handled(value):
    seconds = retry_after(httpx2.Headers([(b"retry-after", value.encode("latin-1"))]))

    assert seconds is None or seconds >= 0


@given(
    st.integers(300, 599),
    st.binary(max_size=60)
    | st.sampled_from([b'{"error": 5}', b'{"error": {"message": 3}}', b"[" * 9999]),
)
def test_any_status_and_body_has_a_code_and_a_remedy(status, body):
    error = status_failed(VENDOR, REQUEST, httpx2.Response(status, content=body))

    assert error.code in get_args(ErrorCode)
    assert error.http_status == status
    assert error.message.startswith("Vendor: ")
    assert "." in error.message


def test_messages_of_vendors_are_shortened_and_cleaned():
    words = (
        f"bad {VENDOR.key} and\n\x1b[31m Bearer abcdefgh sk-ot***her a long question "
        + "and on " * 500
    )
    body = {"error": {"message": words}}

    message = status_failed(VENDOR, REQUEST, httpx2.Response(400, json=body)).message

    assert len(message) < 400
    for secret in (VENDOR.key, "abcdefgh", "sk-ot", "\x1b", "\n", "a long question"):
        assert secret not in message


def test_only_free_failures_are_retried_freely():
    free = {code for code in get_args(ErrorCode) if ProviderError(code, "").retryable}

    assert free == {"rate_limited", "overloaded", "unreachable"}


@pytest.mark.parametrize(
    ("usage", "model", "url", "price"),
    [
        (Usage(1000, 0, 0, 200), "claude-sonnet-4-5", ANTHROPIC, "0.006"),
        (Usage(1000, 400, 100, 200), "claude-sonnet-4-5-20250929", ANTHROPIC, "0.004995"),
        (Usage(1000, 400, 0, 200), "gpt-4o-2024-08-06", OPENAI, "0.004"),
        (Usage(), "gpt-4o", OPENAI, "0"),
    ],
)
def test_prices_count_cached_tokens_separately(usage, model, url, price):
    assert price_of(usage, [model], api_url=url) == Decimal(price)


def test_the_most_specific_listed_name_counts():
    usage = Usage(1000, 0, 0, 0)

    assert price_of(usage, ["no-such-model", "gpt-4o"], api_url=OPENAI) == Decimal("0.0025")


@pytest.mark.parametrize(
    ("model", "url"),
    [("no-such-model", ANTHROPIC), ("gpt-4o", "http://127.0.0.1:8080/v1"), ("", OPENAI)],
)
def test_an_unknown_price_is_not_zero(model, url):
    assert price_of(Usage(1000, 0, 0, 1000), [model], api_url=url) is None
