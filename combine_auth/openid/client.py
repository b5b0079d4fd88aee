"""One provider's client: the way there, and what comes back."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

import requests
from authlib.integrations.requests_client import OAuth2Session, OAuthError

from combine_auth.failure import FailureCode, SignInFailure
from combine_auth.openid import failures, id_token
from combine_auth.openid.kept import Kept
from combine_auth.openid.metadata import Metadata, metadata_of
from combine_auth.openid.provider import TENANT, Claims, Provider
from combine_auth.openid.signing_keys import SigningKey, signing_keys
from combine_auth.openid.wire import DEADLINE_S, LIMITS, Exchanges, equip
from combine_auth.setting_values import GUID

_KEYS_STALE_S: Final = 24 * 3600.0
# What a code may consist of (RFC 6749, appendix A.11).
_CODE: Final = re.compile(r"[\x20-\x7e]{1,4096}")


class OidcClient:
    """Speaks with one provider; for all threads of the process. Making it does no I/O.

    Metadata and keys are fetched when they are needed first, and kept; see :mod:`combine_auth.openid.kept`.

    :param wall: seconds since the epoch
    :param clock: seconds, monotonic; for the age of what is kept
    """

    def __init__(
        self,
        provider: Provider,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.provider = provider
        self._wall = wall
        self._exchanges = Exchanges()
        self._metadata = Kept(
            f"the discovery document of {provider.name}", self._fetch_metadata, clock=clock
        )
        self._keys = Kept(
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
        """Where to send the browser.

        Fetches the provider's metadata where they are not known: it may take some seconds.

        :param verifier: of PKCE (RFC 7636), 43 to 128 characters; only its hash is sent
        :param prompt: in place of the provider's own, such as ``login``
        :param max_age: in seconds; an older sign-in at the provider is asked for again
        :raises SignInFailure: the provider cannot be reached
        """
        metadata = self._metadata.get(monotonic() + DEADLINE_S).value
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

    def claims_of(
        self,
        *,
        code: str,
        callback_issuer: str | None,
        redirect_uri: str,
        nonce: str,
        verifier: str,
    ) -> Claims:
        """Who came back with this code.

        Exchanges the code and verifies the ID token. Ends within `DEADLINE_S`.

        :param callback_issuer: the parameter ``iss`` of the callback (RFC 9207)
        :raises SignInFailure: they are not let in, with the reason
        """
        deadline = monotonic() + DEADLINE_S
        self._check_named(callback_issuer)
        metadata = self._metadata.get(deadline).value
        if callback_issuer is None and metadata.names_itself:
            detail = "the callback lacks the parameter iss, which this provider always sends"
            raise SignInFailure(FailureCode.ISSUER_MISMATCH, detail)
        if not _CODE.fullmatch(code):
            raise SignInFailure(FailureCode.LOGIN_EXPIRED, "the callback's code is none")
        token = self._exchanged(metadata, code, redirect_uri, verifier, deadline)
        claims = self._verified(token, nonce, deadline)
        if callback_issuer is not None and callback_issuer not in (
            claims.issuer,
            *self.provider.other_issuers,
        ):
            detail = "callback and ID token are of different issuers"
            raise SignInFailure(FailureCode.ISSUER_MISMATCH, detail)
        return claims

    def end_session_url(self, *, return_to: str | None = None) -> str | None:
        """Where one signs out of the provider too, if it says where and that is known by now.

        No I/O: who signs out does not wait for the provider.

        :param return_to: where to send the browser afterwards; has to be registered there
        """
        metadata = self._metadata.known
        if metadata is None or metadata.end_session_endpoint is None:
            return None
        parameters = {"client_id": self.provider.client_id}
        if return_to is not None:
            parameters["post_logout_redirect_uri"] = return_to
        separator = "&" if urlsplit(metadata.end_session_endpoint).query else "?"
        return f"{metadata.end_session_endpoint}{separator}{urlencode(parameters)}"

    def look(self, max_age_s: float) -> SignInFailure | None:
        """Whether the provider's metadata are to be had: ``None``, or why not.

        Fetches them anew where they are older, for everybody's use; else says how the last fetch went.
        """
        try:
            self._metadata.get(monotonic() + DEADLINE_S, max_age_s)
        except SignInFailure as failure:
            return failure
        return self._metadata.failure

    def _check_named(self, named: str | None) -> None:
        """Refuse a callback of another provider before anything is sent (mix-up, RFC 9700 2.1)."""
        issuer = self.provider.issuer
        if named is None or named in self.provider.other_issuers:
            return
        if TENANT in issuer:
            before, _, after = issuer.partition(TENANT)
            if re.fullmatch(re.escape(before) + GUID.pattern + re.escape(after), named):
                return
        elif named == issuer:
            return
        detail = f"the callback is of another issuer: {failures.plain(named)}"
        raise SignInFailure(FailureCode.ISSUER_MISMATCH, detail)

    def _verified(self, token: object, nonce: str, deadline: float) -> Claims:
        known = self._keys.known
        keys = self._keys.get(deadline)
        try:
            return id_token.verified(
                token, keys.value, self.provider, nonce=nonce, now=self._wall()
            )
        except id_token.UnknownKey:
            # Just fetched, they are not worth fetching again.
            if keys.value is not known:
                raise
        newer = self._keys.renewed(keys, deadline)
        return id_token.verified(token, newer.value, self.provider, nonce=nonce, now=self._wall())

    def _exchanged(
        self, metadata: Metadata, code: str, redirect_uri: str, verifier: str, deadline: float
    ) -> object:
        """The ID token for the code, not verified."""
        what = f"the token endpoint of {self.provider.name}"
        failure: SignInFailure
        try:
            answer = self._exchanges.within(
                deadline, partial(self._fetch_token, metadata, code, redirect_uri, verifier, what)
            )
        except SignInFailure:
            raise
        except OAuthError as error:
            failure = failures.refused(error.error, error.description)
        except requests.HTTPError as error:
            failure = self._unanswered(error, what)
        except requests.RequestException as error:
            failure = failures.unreachable(error, what)
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            # What Authlib makes of an answer that is none.
            detail = f"{what} gave an answer that cannot be read ({type(error).__name__})"
            failure = SignInFailure(FailureCode.PROVIDER_ERROR, detail)
        else:
            return answer.get("id_token")
        # Outside of the block: what requests raises holds the request, with the secret in it.
        raise failure

    def _fetch_token(
        self, metadata: Metadata, code: str, redirect_uri: str, verifier: str, what: str
    ) -> dict[str, Any]:
        def check(response: requests.Response) -> requests.Response:
            failure = failures.out_of_order(response, what)
            if failure is not None:
                raise failure
            return response

        with self._session(metadata, redirect_uri) as session:
            session.register_compliance_hook("access_token_response", check)
            answer: dict[str, Any] = session.fetch_token(
                metadata.token_endpoint,
                grant_type="authorization_code",
                code=code,
                redirect_uri=redirect_uri,
                code_verifier=verifier,
                **LIMITS,
            )
        return answer

    def _unanswered(self, error: requests.HTTPError, what: str) -> SignInFailure:
        status = error.response.status_code if error.response is not None else 0
        code = FailureCode.INVALID_CLIENT if status == 401 else FailureCode.PROVIDER_ERROR
        return SignInFailure(code, f"{what} answered {status} and no error of OAuth")

    def _session(self, metadata: Metadata, redirect_uri: str) -> OAuth2Session:
        session = OAuth2Session(
            client_id=self.provider.client_id,
            client_secret=self.provider.client_secret.get_secret_value(),
            token_endpoint_auth_method=metadata.client_auth,
            scope=" ".join(self.provider.scopes),
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
        )
        session.register_client_auth_method(("client_secret_basic", _basic))
        equip(session, metadata.token_endpoint)
        return session

    def _fetch_metadata(self, deadline: float) -> Metadata:
        what = f"the discovery document of {self.provider.name}"
        document = self._document(self.provider.discovery_url, what, deadline)
        return metadata_of(document, self.provider)

    def _fetch_keys(self, deadline: float) -> tuple[SigningKey, ...]:
        metadata = self._metadata.get(deadline).value
        document = self._document(
            metadata.jwks_uri, f"the key set of {self.provider.name}", deadline
        )
        return signing_keys(document, self.provider.algorithms)

    def _document(self, url: str, what: str, deadline: float) -> object:
        """The JSON at an address. Raises SignInFailure."""
        try:
            response = self._exchanges.within(deadline, partial(_get, url))
        except requests.RequestException as error:
            raise failures.unreachable(error, what) from None
        failure = failures.out_of_order(response, what)
        if failure is None and response.status_code != 200:
            detail = f"{what}: the answer is {response.status_code}"
            failure = SignInFailure(FailureCode.PROVIDER_UNAVAILABLE, detail, failures.RETRY_S)
        if failure is not None:
            raise failure
        try:
            document: object = response.json()
        except (ValueError, RecursionError):
            detail = f"{what} is no JSON"
            raise SignInFailure(
                FailureCode.PROVIDER_UNAVAILABLE, detail, failures.RETRY_S
            ) from None
        return document


def _get(url: str) -> requests.Response:
    with requests.Session() as session:
        equip(session, url)
        return session.get(url, headers={"Accept": "application/json"}, **LIMITS)


def _basic(
    client: Any, _method: str, uri: str, headers: dict[str, str], body: str
) -> tuple[str, dict[str, str], str]:
    """HTTP Basic as OAuth has it: both parts are form-encoded first (RFC 6749, 2.3.1)."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return uri, headers, body
