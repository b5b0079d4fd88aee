"""Translates between Pyramid and oauthlib: the form that a client sends, and the response.

pyramid-oauthlib passes Pyramid's own request to oauthlib, and adds 31 form fields as attributes to every
request of the application, among them ``user`` and ``scopes``. A client that sends a field ``user``
would be that user for every grant that sets none; a secret would be accepted in the query, which is
logged; and an application's own ``request.user`` would conflict or leak the browser's user into grants.
Here nothing of Pyramid's request gets through: oauthlib parses a request of its own, which holds only
the known parameters of the body.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from oauthlib.common import Request
from oauthlib.oauth2.rfc6749 import errors
from pyramid.response import Response

MOST_BYTES = 16_384
_MOST_FIELDS = 50
_FORM = "application/x-www-form-urlencoded"

# Repair: no other parameter reaches a grant, above all not user, client, scopes, extra_credentials.
_KNOWN = frozenset(
    {
        "client_id",
        "client_secret",
        "code",
        "code_challenge",
        "code_challenge_method",
        "code_verifier",
        "device_code",
        "dpop_jkt",
        "grant_type",
        "prompt",
        "redirect_uri",
        "refresh_token",
        "response_mode",
        "response_type",
        "scope",
        "state",
        "token",
        "token_type_hint",
    }
)


class MalformedRequest(errors.InvalidRequestError):  # type: ignore[misc]
    """The request is malformed; the description says why."""


class UnsupportedProof(errors.OAuth2Error):  # type: ignore[misc]
    """The client proves that it has a key (RFC 9449). Its tokens would not be bound to that key."""

    error = "invalid_dpop_proof"
    description = (
        "DPoP is not supported: send no DPoP header and no dpop_jkt. Tokens are bearer tokens."
    )


def read_form(request: Any) -> dict[str, str]:
    """The known parameters of a client's request, only from its body. Raises MalformedRequest."""
    # Repair: the library merges query and body. URLs appear in logs and histories.
    if request.environ.get("QUERY_STRING"):
        raise MalformedRequest("Send the parameters in the body: the URL may have no query.")
    content_type = request.environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if content_type != _FORM:
        raise MalformedRequest(f"Send the parameters as a form: Content-Type: {_FORM}.")
    if (request.content_length or 0) > MOST_BYTES:
        raise MalformedRequest(f"The body has more than {MOST_BYTES} bytes.", status_code=413)
    try:
        text = request.body.decode("ascii")
    except UnicodeDecodeError as error:
        raise MalformedRequest(
            "The body is no form: encode characters with percent signs."
        ) from error
    return read_parameters(text)


def read_parameters(text: str) -> dict[str, str]:
    """The known parameters of a form or query that have a value, each once. Raises MalformedRequest."""
    # Repair: WebOb raises UnicodeDecodeError, which would become a 500.
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except UnicodeDecodeError as error:
        raise MalformedRequest("A parameter is not UTF-8.") from error
    except ValueError as error:
        raise MalformedRequest(f"There are more than {_MOST_FIELDS} parameters.") from error
    twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if any(name in _KNOWN for name in twice):
        name = next(name for name in twice if name in _KNOWN)
        raise MalformedRequest(f"The parameter {name} came more than once.")
    known = {name: value for name, value in pairs if name in _KNOWN and value}
    if any("\0" in value for value in known.values()):
        raise MalformedRequest("A parameter holds a zero byte.")
    return known


def oauth_request(url: str, parameters: Mapping[str, str]) -> Request:
    """oauthlib's request with these parameters, to an address without a query."""
    return Request(url, "POST", encoded(parameters), HEADERS)


# The only header that oauthlib's endpoints need. No Authorization: the client's credentials have been
# read already, and bearer tokens are not accepted here. No Origin: CORS is handled elsewhere.
HEADERS = {"Content-Type": _FORM}


def encoded(parameters: Mapping[str, str]) -> str:
    return urlencode(parameters)


def oauth_response(headers: Mapping[str, str], body: str, status: int) -> Response:
    """The result of one of oauthlib's endpoints, as a response that must not be cached."""
    # Bytes, because WebOb would encode a text with the charset of another content type.
    response = Response((body or "").encode(), status=status)
    response.headers["Content-Type"] = "application/json"
    for name, value in headers.items():
        response.headers[name] = value
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    if status == 401:
        # Repair: oauthlib says "Bearer", which clients cannot authenticate with here (RFC 6749, 5.2).
        response.headers["WWW-Authenticate"] = 'Basic realm="combine"'
    return response


def error_response(error: errors.OAuth2Error) -> Response:
    """An error as RFC 6749, 5.2 defines it."""
    return oauth_response({}, error.json, error.status_code)


def error_response_of(code: str, description: str, status: int, **headers: str) -> Response:
    """An error for which oauthlib has no exception."""
    body = json.dumps({"error": code, "error_description": description})
    return oauth_response(
        {name.replace("_", "-"): value for name, value in headers.items()}, body, status
    )
