"""Fixtures for a lying issuer, its client, and clocks that the test moves."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from combine_auth.failures import FailureCode, SignInFailure
from combine_auth.openid import IdentityProvider
from combine_auth.openid.client import OidcClient
from combine_auth.openid.http import Timeouts
from combine_auth.openid.id_token import Claims
from combine_auth.openid.identity_provider import GOOGLE, MICROSOFT, with_issuer
from tests.oidc_issuer import CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, TENANT, LyingIssuer


class Clock:
    """A clock that moves only when the test moves it."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._wall = time.time()
        self._monotonic = time.monotonic()

    def wall(self) -> float:
        return self._wall + self.ahead

    def monotonic(self) -> float:
        return self._monotonic + self.ahead


@dataclass
class Party:
    """An issuer, its client, and a user who signs in."""

    issuer: LyingIssuer
    client: OidcClient
    clock: Clock
    # The browser of the user changes the callback with this.
    callback: dict[str, Any] = field(default_factory=dict)

    def url(self, nonce: str = "n-1", verifier: str = "v" * 43, **more: Any) -> str:
        return self.client.authorization_url(
            redirect_uri=REDIRECT_URI, state="s-1", nonce=nonce, verifier=verifier, **more
        )

    def sign_in(self, **claims: Any) -> Claims:
        """Sign in completely."""
        nonce, verifier = secrets.token_urlsafe(16), secrets.token_urlsafe(48)
        back = self.issuer.sign_in(self.url(nonce, verifier), **claims)
        return self.client.fetch_claims(
            **{
                "code": back.get("code", ""),
                "callback_issuer": back.get("iss"),
                "redirect_uri": REDIRECT_URI,
                "nonce": nonce,
                "verifier": verifier,
                **self.callback,
            }
        )


def failure(party: Party, **claims: Any) -> SignInFailure:
    """Return the error of a failed sign-in."""
    with pytest.raises(SignInFailure) as raised:
        party.sign_in(**claims)
    found = raised.value
    assert "\n" not in found.detail
    assert (found.retry_after is not None) is (found.code is FailureCode.PROVIDER_UNAVAILABLE)
    return found


@contextmanager
def running_party(
    *,
    microsoft: bool = False,
    announces_iss: bool = False,
    certificate: Path | None = None,
    timeouts: Timeouts | None = None,
    **members: Any,
) -> Iterator[Party]:
    """Run an issuer and its client for the block. `members` are settings of the provider."""
    issuer = LyingIssuer(
        tenant=TENANT if microsoft else None,
        announces_iss=announces_iss,
        certificate=certificate,
    )
    with issuer:
        template: IdentityProvider = replace(MICROSOFT if microsoft else GOOGLE, **members)
        provider = replace(
            with_issuer(template, issuer.configured_issuer),
            client_id=CLIENT_ID,
            client_secret=SecretStr(CLIENT_SECRET),
        )
        clock = Clock()
        issuer.now = clock.wall
        client = OidcClient(provider, timeouts=timeouts, wall=clock.wall, clock=clock.monotonic)
        yield Party(issuer, client, clock)


MakeParty = Callable[..., Party]


@pytest.fixture
def make_party() -> Iterator[MakeParty]:
    """``make_party(microsoft=True, allowed_tenants=...)``: see :func:`running_party`."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(running_party(**options))


@pytest.fixture
def google(make_party: MakeParty) -> Party:
    """A user at an issuer like Google."""
    return make_party()


@pytest.fixture
def microsoft(make_party: MakeParty) -> Party:
    """A user at an issuer like Microsoft."""
    return make_party(microsoft=True)
