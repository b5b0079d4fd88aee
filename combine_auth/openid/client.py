"""The client of a provider: the authorization request, the token request, and the sign-out URL."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

import requests
from authlib.integrations.requests_client import OAuth2Session, OAuthError

from combine_auth.failures import FailureCode, SignInFailure, one_line, provider_refused
from combine_auth.openid.cache import DocumentCache
from combine_auth.openid.client_key import UnusableKey, client_assertion
from combine_auth.openid.discovery import (
    ProviderMetadata,
    SigningKey,
    read_metadata,
    read_signing_keys,
)
from combine_auth.openid.http import (
    BoundedExchanges,
    Timeouts,
    configure_session,
    exchange_failure,
    get_json,
    status_failure,
)
from combine_auth.openid.id_token import Claims, UnknownKey, verify_id_token
from combine_auth.openid.identity_provider import TENANT, IdentityProvider
from combine_auth.setting_values import GUID

_KEYS_STALE_S: Final = 24 * 3600.0
# The characters of a code (RFC 6749, appendix A.11).
_CODE: Final = re.compile(r"[\x20-\x7e]{1,4096}")


class OidcClient:
    """A client of one provider, shared by all threads of the process. Creating it does no I/O.

    It fetches metadata and keys on first use, and caches them.

    :param timeouts: the timeouts of each exchange, and of each call in total
    :param ca_file: the CA certificates to verify the provider with, if not the default ones
    :param wall: returns seconds since the epoch
    :param clock: returns monotonic seconds, for the age of cached documents
    """

    def __init__(
        self,
        provider: IdentityProvider,
        *,
        timeouts: Timeouts | None = None,
        ca_file: Path | None = None,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.provider = provider
        self._timeouts = timeouts or Timeouts()
        self._ca_file = ca_file
        self._wall = wall
        self._exchanges = BoundedExchanges()
        self._metadata = DocumentCache(
            f"the discovery document of {provider.name}", self._fetch_metadata, clock=clock
        )
        self._keys = DocumentCache(
            f"the keys of {provider.name}", self._fetch_keys, stale_s=_KEYS_STALE_S, clock=clock
        )

    def authorization_url(
        self,
        *,
        redirect_uri: str,
        state: str,
        nonce: str,
        verifier: str,
        prompt: str | None = None,
        max_age: int | None = None,
    ) -> str:
        """Return the provider's URL to redirect the browser to.

        Fetches the provider's metadata if it is not cached, which may take seconds.

        :param verifier: the PKCE verifier (RFC 7636), 43 to 128 characters; only its hash is sent
        :param prompt: the value of ``prompt``, such as ``login``, in place of the provider's default
        :param max_age: seconds after which the provider must authenticate the person again
        :raises SignInFailure: the provider cannot be reached
        """
        metadata = self._metadata.get(self._deadline()).value
        parameters = dict(self.provider.extra_parameters)
        if prompt is not None:
            parameters["prompt"] = prompt
        if max_age is not None:
            parameters["max_age"] = str(max_age)
        with self._session(metadata, redirect_uri) as session:
            url, _ = session.create_authorization_url(
                metadata.authorization_endpoint,
                state=state,
                nonce=nonce,
                code_verifier=verifier,
                **parameters,
            )
        return str(url)

    def fetch_claims(
        self,
        *,
        code: str,
        callback_issuer: str | None,
        redirect_uri: str,
        nonce: str,
        verifier: str,
    ) -> Claims:
        """Exchange the code of a callback, verify the ID token, and return its claims.

        Takes at most the total timeout.

        :param callback_issuer: the parameter ``iss`` of the callback (RFC 9207)
        :raises SignInFailure: the provider does not respond, or the person may not sign in
        """
        deadline = self._deadline()
        self._check_callback_issuer(callback_issuer)
        metadata = self._metadata.get(deadline).value
        if callback_issuer is None and metadata.sends_issuer:
            detail = "the callback lacks the parameter iss, which this provider always sends"
            raise SignInFailure(FailureCode.ISSUER_MISMATCH, detail)
        if not _CODE.fullmatch(code):
            raise SignInFailure(FailureCode.LOGIN_EXPIRED, "the callback's code is malformed")
        answer = self._exchange_code(metadata, code, redirect_uri, verifier, deadline)
        userinfo = self._userinfo(metadata, answer.get("access_token"), deadline)
        claims = self._verify(answer.get("id_token"), nonce, userinfo, deadline)
        if callback_issuer is not None and callback_issuer not in (
            claims.issuer,
            *self.provider.other_issuers,
        ):
            detail = "callback and ID token have different issuers"
            raise SignInFailure(FailureCode.ISSUER_MISMATCH, detail)
        return claims

    def end_session_url(self, *, return_to: str | None = None) -> str | None:
        """Return the URL that signs out of the provider; ``None`` if it is unknown. Does no I/O."""
        metadata = self._metadata.cached
        if metadata is None or metadata.end_session_endpoint is None:
            return None
        parameters = {"client_id": self.provider.client_id}
        if return_to is not None:
            parameters["post_logout_redirect_uri"] = return_to
        separator = "&" if urlsplit(metadata.end_session_endpoint).query else "?"
        return f"{metadata.end_session_endpoint}{separator}{urlencode(parameters)}"

    def check(self, max_age_s: float) -> SignInFailure | None:
        """Check that the provider's metadata can be fetched. Return the failure, or ``None``.

        Fetches the metadata if it is older than `max_age_s`. Otherwise returns the result of the last fetch.
        """
        try:
            self._metadata.get(self._deadline(), max_age_s)
        except SignInFailure as failure:
            return failure
        return self._metadata.failure

    def _deadline(self) -> float:
        return monotonic() + self._timeouts.total

    def _check_callback_issuer(self, named: str | None) -> None:
        """Reject a callback of another provider before any request (mix-up attack, RFC 9700, 2.1)."""
        issuer = self.provider.issuer
        if named is None or named in self.provider.other_issuers:
            return
        if TENANT in issuer:
            before, _, after = issuer.partition(TENANT)
            if re.fullmatch(re.escape(before) + GUID.pattern + re.escape(after), named):
                return
        elif named == issuer:
            return
        detail = f"the callback names another issuer: {one_line(named)}"
        raise SignInFailure(FailureCode.ISSUER_MISMATCH, detail)

    def _verify(
        self, token: object, nonce: str, userinfo: Callable[[], object] | None, deadline: float
    ) -> Claims:
        cached = self._keys.cached
        keys = self._keys.get(deadline)
        verify = partial(
            verify_id_token, token, provider=self.provider, nonce=nonce, userinfo=userinfo
        )
        try:
            return verify(keys.value, now=self._wall())
        except UnknownKey:
            # Keys that were fetched just now need no refresh.
            if keys.value is not cached:
                raise
        return verify(self._keys.refresh(keys, deadline).value, now=self._wall())

    def _exchange_code(
        self,
        metadata: ProviderMetadata,
        code: str,
        redirect_uri: str,
        verifier: str,
        deadline: float,
    ) -> Mapping[str, object]:
        """Return the response of the token endpoint to the code, not validated."""
        endpoint = f"the token endpoint of {self.provider.name}"

        def check(response: requests.Response) -> requests.Response:
            failure = status_failure(response, endpoint)
            if failure is not None:
                raise failure
            return response

        def request() -> Mapping[str, object]:
            authentication: dict[str, str] = {}
            if self.provider.client_key_file is not None:
                authentication = client_assertion(
                    self.provider.client_key_file,
                    self.provider.client_id,
                    metadata.token_endpoint,
                    self._wall(),
                )
            with self._session(metadata, redirect_uri) as session:
                session.register_compliance_hook("access_token_response", check)
                answer: Mapping[str, object] = session.fetch_token(
                    metadata.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    redirect_uri=redirect_uri,
                    code_verifier=verifier,
                    **authentication,
                    **self._timeouts.request_options,
                )
                return answer

        failure: SignInFailure
        try:
            return self._exchanges.run(request, deadline)
        except SignInFailure:
            raise
        except UnusableKey as error:
            detail = f"{self.provider.name.upper()}_CLIENT_KEY_FILE {error}"
            failure = SignInFailure(FailureCode.INVALID_CLIENT, detail)
        except OAuthError as error:
            failure = provider_refused(error.error, error.description)
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            problem = FailureCode.INVALID_CLIENT if status == 401 else FailureCode.PROVIDER_ERROR
            failure = SignInFailure(problem, f"{endpoint} answered {status} without an OAuth error")
        except Exception as error:  # noqa: BLE001 - see exchange_failure
            failure = exchange_failure(error, endpoint)
        # Raised outside of the block: exceptions of requests contain the request with the client secret.
        raise failure

    def _session(self, metadata: ProviderMetadata, redirect_uri: str) -> OAuth2Session:
        session = OAuth2Session(
            client_id=self.provider.client_id,
            client_secret=self.provider.client_secret.get_secret_value(),
            # With a key, the assertion authenticates the client, and the parameter client_id remains.
            token_endpoint_auth_method="none"
            if self.provider.client_key_file
            else metadata.client_auth,
            scope=" ".join(self.provider.scopes),
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
        )
        session.register_client_auth_method(("client_secret_basic", _basic))
        configure_session(session, metadata.token_endpoint, self._ca_file)
        return session

    def _fetch_metadata(self, deadline: float) -> ProviderMetadata:
        document = f"the discovery document of {self.provider.name}"
        content = self._fetch(self.provider.discovery_url, document, deadline)
        return read_metadata(content, self.provider)

    def _fetch_keys(self, deadline: float) -> tuple[SigningKey, ...]:
        metadata = self._metadata.get(deadline).value
        content = self._fetch(metadata.jwks_uri, f"the key set of {self.provider.name}", deadline)
        return read_signing_keys(content, self.provider.algorithms)

    def _userinfo(
        self, metadata: ProviderMetadata, access_token: object, deadline: float
    ) -> Callable[[], object] | None:
        """Return a function that calls the userinfo endpoint; ``None`` if the provider has none."""
        endpoint = metadata.userinfo_endpoint
        if endpoint is None or not isinstance(access_token, str):
            return None
        document = f"the userinfo of {self.provider.name}"
        return partial(self._fetch, endpoint, document, deadline, access_token)

    def _fetch(
        self, url: str, document: str, deadline: float, access_token: str | None = None
    ) -> object:
        get = partial(
            get_json,
            url,
            document,
            self._timeouts,
            ca_file=self._ca_file,
            access_token=access_token,
        )
        return self._exchanges.run(get, deadline)


def _basic(
    client: Any, _method: str, uri: str, headers: dict[str, str], body: str
) -> tuple[str, dict[str, str], str]:
    """Authenticate by HTTP Basic as OAuth defines it: both parts are form-encoded (RFC 6749, 2.3.1)."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return uri, headers, body
