"""Converts failures of a vendor's HTTP API to a `ProviderError`.

A message explains the failure and how to fix it. It quotes only the start of the vendor's own message, with
the key and the prompt redacted.
"""

import json
import re
import socket
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from combine_core.llm.completion import CompletionRequest, ErrorCode, ProviderError
from combine_core.llm.http_client import MAX_ANSWER_BYTES, AnswerTooLargeError
from combine_core.llm.vendor import Vendor
from combine_core.text import shorten

_MAX_QUOTED_CHARS = 200
# Shorter texts can be ordinary words, so they are not redacted.
_MIN_REDACTED_CHARS = 8
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")
# An API key in a vendor's message, masked or not.
_KEY = re.compile(r"\b(?:sk|key|pk)-[\w*.\-]{4,}|\bBearer\s+\S+", re.IGNORECASE)

# A vendor that rejects structured output names one of these parameters.
_STRUCTURED_OUTPUT = (
    "response_format",
    "json_schema",
    "output_config",
    "output_format",
    "structured",
)


def connection_failed(vendor: Vendor, host: str, cause: BaseException | None) -> ProviderError:
    """Return the error for a request without a response. `cause` is the error of the HTTP client."""
    if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return ProviderError("unreachable", f"{vendor.title}: {_why_unreachable(host, cause)}")
    if isinstance(cause, httpx2.TimeoutException):
        message = (
            f"{vendor.title} did not answer in time. The request was sent and may have been "
            "charged. Raise the timeout or use shorter sources."
        )
        return ProviderError("timeout", message, lost=True)
    if isinstance(cause, AnswerTooLargeError):
        message = (
            f"{vendor.title}: the answer is larger than {MAX_ANSWER_BYTES >> 20} MiB. It may have been "
            f"charged. Check {vendor.url_variable or 'the model'}."
        )
        return ProviderError("bad_request", message)
    if isinstance(cause, httpx2.NetworkError | httpx2.RemoteProtocolError | httpx2.DecodingError):
        message = (
            f"{vendor.title}: the connection broke before the answer was complete. The request "
            "was sent and may have been charged."
        )
        return ProviderError("server_error", message, lost=True)
    # The message of this error may contain a header with the key.
    kind = type(cause).__name__
    return ProviderError(
        "bad_request",
        f"{vendor.title}: the request could not be sent ({kind}). Check {vendor.key_variable}"
        + (f" and {vendor.url_variable}." if vendor.url_variable else "."),
    )


def status_failed(
    vendor: Vendor, request: CompletionRequest, response: httpx2.Response
) -> ProviderError:
    """Return the error for a response with an error status."""
    status = response.status_code
    code, explanation = _explain(vendor, request.model, status)
    quoted = "" if code == "auth" else vendor_message(vendor, response, request)
    if status in {400, 422} and any(name in quoted for name in _STRUCTURED_OUTPUT):
        explanation = "the model does not accept a JSON Schema for its answer. Use another model"
    no_money = status == 429 and _error_code(response) in {"insufficient_quota", "billing_error"}
    if no_money:
        explanation = "the account's quota is used up. Add credit at the vendor"
    return ProviderError(
        code,
        f"{vendor.title}: {explanation} (HTTP {status}{quoted}).",
        http_status=status,
        retryable=False if no_money else None,
        retry_after=retry_after(response.headers),
        provider_request_id=request_id(vendor, response),
    )


def _explain(vendor: Vendor, model: str, status: int) -> tuple[ErrorCode, str]:
    address = f" and {vendor.url_variable}" if vendor.url_variable else ""
    match status:
        case 401 | 403:
            return "auth", f"the key was rejected. Check {vendor.key_variable}{address}"
        case 402:
            return "auth", "the account cannot pay. Add credit at the vendor"
        case 404:
            return (
                "unknown_model",
                f"the model {shorten(model, 80)} does not exist. Check the model{address}",
            )
        case 408 | 504:
            return "server_error", "the model did not answer the vendor in time. Try again"
        case 413:
            return "bad_request", "the request is too large. Use fewer or shorter sources"
        case 429:
            return "rate_limited", "too many requests at the moment. Wait and try again"
        case 503 | 529:
            return "overloaded", "the vendor is overloaded. Wait and try again"
        case _ if status >= 500:
            return "server_error", "the vendor's server failed. Try again"
        case _ if 300 <= status < 400:
            return (
                "bad_request",
                f"the server redirects to another address. Check the address{address}",
            )
        case _:
            return "bad_request", "the request was rejected. Try another model or fewer sources"


def vendor_message(vendor: Vendor, response: httpx2.Response, request: CompletionRequest) -> str:
    """Return the start of the vendor's own message, without secrets, or an empty string."""
    body = _json(response)
    error = body.get("error", body)
    message = error.get("message", "") if isinstance(error, dict) else error
    if not isinstance(message, str) or not message:
        return ""
    message = _CONTROL.sub(" ", message)
    secrets = {"key": vendor.key, "prompt": request.prompt, "system": request.system}
    for name, secret in secrets.items():
        plain = _CONTROL.sub(" ", secret).strip()
        if len(plain) >= _MIN_REDACTED_CHARS:
            message = message.replace(plain, f"[{name}]")
    return f": {shorten(_KEY.sub('[key]', message), _MAX_QUOTED_CHARS)}"


def request_id(vendor: Vendor, response: httpx2.Response) -> str | None:
    """Return the vendor's id of the request. Its support needs this id."""
    value = response.headers.get(vendor.request_id_header)
    return value[:200] if value else None


def retry_after(headers: httpx2.Headers) -> float | None:
    """Parse the seconds to wait from `retry-after-ms` or `Retry-After` (RFC 9110, 10.2.3)."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def _number(value: str | None) -> float | None:
    if value is None or not re.fullmatch(r"\s*\d{1,12}(?:\.\d*)?\s*", value):
        return None
    return float(value)


def _why_unreachable(host: str, cause: BaseException) -> str:
    for error in _chain(cause):
        if isinstance(error, socket.gaierror):
            return f"the host name {host} cannot be resolved. Check the address and the DNS."
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"the certificate of {host} is not trusted ({error.verify_message})."
        if isinstance(error, ssl.SSLError):
            return f"the TLS connection to {host} failed. Check whether the address needs https or http."
        if isinstance(error, ConnectionRefusedError):
            return f"{host} refuses connections. Check that the server runs at this address."
    if isinstance(cause, httpx2.TimeoutException):
        return f"the connection to {host} timed out. Check the network and the firewall."
    return f"the connection to {host} failed. Check the network and the firewall."


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _error_code(response: httpx2.Response) -> Any:
    error = _json(response).get("error")
    return (error.get("code") or error.get("type")) if isinstance(error, dict) else None


def _json(response: httpx2.Response) -> dict[str, Any]:
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
