"""A client of a remote service's OAuth endpoints, for a command without a browser (RFC 8628)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import click
import requests

from combine_auth.clients.built_in import CLI

_CONNECT_S, _READ_S = 5, 15
_ORIGIN = re.compile(
    r"https://[^/?#@\s]+|http://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE
)
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_METADATA = "/.well-known/oauth-authorization-server"
_ENDPOINTS = ("device_authorization_endpoint", "token_endpoint", "revocation_endpoint")


class RemoteError(Exception):
    """The service rejected a request, or cannot be reached.

    :ivar code: the error of RFC 6749 or RFC 8628
    :ivar retry_after: seconds to wait, if the response contains them
    """

    def __init__(self, code: str, description: str, retry_after: int | None = None) -> None:
        super().__init__(description or code)
        self.code = code
        self.retry_after = retry_after


@dataclass(frozen=True)
class DeviceCodes:
    """The codes at the start of a sign-in. Times are in seconds."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


class RemoteService:
    """A remote service. The origin must use https, or http on loopback."""

    def __init__(self, url: str) -> None:
        self.origin = url.rstrip("/")
        if not _ORIGIN.fullmatch(self.origin):
            raise click.ClickException(
                f"{url!r} is not the address of a service. Write https:// and its host, such as"
                " https://combine.example.com. Use http:// only for a service on this machine."
            )
        self._session = requests.Session()
        # Otherwise requests would add the Authorization header of a netrc file.
        self._session.auth = lambda request: request

    def start(self, scopes: str) -> DeviceCodes:
        answer = self._post("device_authorization_endpoint", {"scope": scopes} if scopes else {})
        try:
            return DeviceCodes(
                str(answer["device_code"]),
                str(answer["user_code"]),
                str(answer["verification_uri"]),
                str(answer.get("verification_uri_complete", answer["verification_uri"])),
                int(answer["expires_in"]),
                int(answer.get("interval", 5)),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise self._unexpected_response() from error

    def poll(self, device_code: str) -> dict[str, Any]:
        """Return the tokens after the user's approval. Raises RemoteError before it (RFC 8628, 3.5)."""
        fields = {"grant_type": _DEVICE_GRANT, "device_code": device_code}
        return self._post("token_endpoint", fields)

    def refresh(self, refresh_token: str) -> dict[str, Any]:
        fields = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return self._post("token_endpoint", fields)

    def revoke(self, refresh_token: str) -> None:
        self._post("revocation_endpoint", {"token": refresh_token})

    @cached_property
    def _endpoints(self) -> dict[str, str]:
        known = self._read(self._send("GET", self.origin + _METADATA))
        issuer = known.get("issuer")
        # RFC 8414, 3.3. Otherwise a server could impersonate another service.
        if issuer != self.origin:
            shown = issuer if isinstance(issuer, str) and _ORIGIN.fullmatch(issuer) else None
            hint = f"Its issuer is {shown}. Run: combine login {shown}" if shown else ""
            message = f"{self.origin} is not the public address of this service. {hint}".strip()
            raise click.ClickException(message)
        endpoints = {name: known.get(name) for name in _ENDPOINTS}
        if not all(str(url).startswith(f"{self.origin}/") for url in endpoints.values()):
            raise self._unexpected_response()
        return {name: str(url) for name, url in endpoints.items()}

    def _post(self, endpoint: str, fields: dict[str, str]) -> dict[str, Any]:
        response = self._send("POST", self._endpoints[endpoint], {"client_id": CLI, **fields})
        if response.status_code == 200 and not response.content:
            return {}
        return self._read(response)

    def _send(
        self, method: str, url: str, fields: dict[str, str] | None = None
    ) -> requests.Response:
        try:
            return self._session.request(
                method, url, data=fields, timeout=(_CONNECT_S, _READ_S), allow_redirects=False
            )
        except requests.RequestException as error:
            message = f"{self.origin} cannot be reached ({type(error).__name__})."
            raise RemoteError("unreachable", message) from error

    def _read(self, response: requests.Response) -> dict[str, Any]:
        try:
            content = response.json()
        except ValueError as error:
            raise self._unexpected_response(response.status_code) from error
        if not isinstance(content, dict):
            raise self._unexpected_response(response.status_code)
        if response.status_code == 200:
            return content
        after = response.headers.get("Retry-After", "")
        raise RemoteError(
            str(content.get("error", response.status_code))[:100],
            str(content.get("error_description", ""))[:500],
            int(after) if re.fullmatch("[0-9]{1,5}", after) else None,
        )

    def _unexpected_response(self, status: int = 200) -> click.ClickException:
        message = f"{self.origin} does not respond like a Combine service (status {status})."
        return click.ClickException(message)
