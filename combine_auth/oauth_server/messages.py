"""Converts requests and responses between Pyramid and oauthlib.

pyramid-oauthlib passes Pyramid's request to oauthlib, and adds 31 form fields, such as ``user`` and
``scopes``, as attributes to every request of the application. A client could then set ``user`` with a form
field for every grant that sets none, a secret would be accepted in the query, which is logged, and an
application's own ``request.user`` would conflict, or add the browser's user to grants. This module instead
gives oauthlib a request of its own, with only the known parameters of the body.
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

MAX_BYTES = 16_384
_MAX_FIELDS = 50
_FORM = "application/x-www-form-urlencoded"

# Repair: no other parameter reaches a grant, in particular not user, client, scopes, extra_credentials.
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
    """The request is malformed. The description contains the reason."""


class UnsupportedProof(errors.OAuth2Error):  # type: ignore[misc]
    """The client uses DPoP (RFC 9449), but tokens cannot be bound to its key."""

    error = "invalid_dpop_proof"
    description = (
        "DPoP is not supported: send no DPoP header and no dpop_jkt. Tokens are bearer tokens."
    )


def read_form(request: Any) -> dict[str, str]:
    """Return the known parameters from the body of a client's request. Raises MalformedRequest."""
    # Repair: the library merges query and body, but URLs appear in logs and histories.
    if request.environ.get("QUERY_STRING"):
        raise MalformedRequest("Send the parameters in the body, without a query in the URL.")
    content_type = request.environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if content_type != _FORM:
        raise MalformedRequest(f"Send the parameters as a form: Content-Type: {_FORM}.")
    if (request.content_length or 0) > MAX_BYTES:
        raise MalformedRequest(f"The body has more than {MAX_BYTES} bytes.", status_code=413)
    try:
        text = request.body.decode("ascii")
    except UnicodeDecodeError as error:
        raise MalformedRequest("The body is not a form: percent-encode its characters.") from error
    return read_parameters(text)


def read_parameters(text: str) -> dict[str, str]:
    """Return the known, non-empty parameters of a form or query. Raises MalformedRequest."""
    # Repair: WebOb raises UnicodeDecodeError, which would become a 500.
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except UnicodeDecodeError as error:
        raise MalformedRequest("A parameter is not UTF-8.") from error
    except ValueError as error:
        raise MalformedRequest(f"There are more than {_MAX_FIELDS} parameters.") from error
    repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if any(name in _KNOWN for name in repeated):
        name = next(name for name in repeated if name in _KNOWN)
        raise MalformedRequest(f"Send the parameter {name} only once.")
    known = {name: value for name, value in pairs if name in _KNOWN and value}
    if any("\0" in value for value in known.values()):
        raise MalformedRequest("A parameter contains a null character.")
    return known


def oauth_request(url: str, parameters: Mapping[str, str]) -> Request:
    """Return an oauthlib request with these parameters, to a URL without a query."""
    return Request(url, "POST", urlencode(parameters), HEADERS)


# The only header that oauthlib's endpoints need. No Authorization, because the client's credentials have
# been read already, and bearer tokens are not accepted here. No Origin, because a tween handles CORS.
HEADERS = {"Content-Type": _FORM}


def oauth_response(headers: Mapping[str, str], body: str, status: int) -> Response:
    """Convert the result of an oauthlib endpoint to a response that must not be cached."""
    # Bytes, because WebOb would encode text with the charset of another content type.
    response = Response((body or "").encode(), status=status)
    response.headers["Content-Type"] = "application/json"
    for name, value in headers.items():
        response.headers[name] = value
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    if status == 401:
        # Repair: oauthlib sends "Bearer", with which clients cannot authenticate here (RFC 6749, 5.2).
        response.headers["WWW-Authenticate"] = 'Basic realm="combine"'
    return response


def error_response_of(code: str, description: str, status: int, **headers: str) -> Response:
    """Return the response for an error that has no exception in oauthlib."""
    body = json.dumps({"error": code, "error_description": description})
    return oauth_response(
        {name.replace("_", "-"): value for name, value in headers.items()}, body, status
    )
