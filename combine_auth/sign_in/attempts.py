"""Stores sign-in attempts. An attempt begins at the redirect to the provider and ends at the callback.

All times are from the database's clock.
"""

from __future__ import annotations

import hmac
import secrets
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, NoReturn

from pyramid.registry import Registry
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from combine_auth.authentication import RANDOM, sha256
from combine_auth.failures import FailureCode, SignInFailure
from combine_auth.sign_in.model import Purpose, SignInAttempt
from combine_auth.sign_in.next_path import HOME
from combine_core.database.metadata import delete_expired
from combine_core.settings import CoreSettings
from combine_core.web.cookies import Cookie, cookies_are_secure

LIFETIME = timedelta(minutes=10)
# How long a finished attempt is kept, so that a repeated callback is recognised.
REMEMBERED_FOR = timedelta(hours=1)
# Open attempts per browser: each tab may have one.
MAX_PER_BROWSER = 10

_REGISTRY_KEY = "combine_auth.sign_in"
_NONCE = b"combine sign-in nonce\0"
_VERIFIER = b"combine sign-in verifier\0"
_FINGERPRINT = b"combine sign-in key\0"
_FINGERPRINT_BYTES = 8


@dataclass(frozen=True)
class AttemptSecrets:
    """The secrets of one attempt: 256 bits each, as 43 characters of base64url.

    :ivar nonce: the ID token must contain it (OpenID Connect Core 1.0, 3.1.2.1)
    :ivar verifier: proves that the client that redeems the code requested it (PKCE, RFC 7636)
    """

    nonce: str
    verifier: str = field(repr=False)


class AttemptKeys:
    """The keys that derive the secrets of an attempt from its state.

    The table stores no secrets: a copy of it, even together with the states that browsers have seen, is
    useless without the key.

    :param current: the service's secret key, for new attempts
    :param old: recently replaced keys, for attempts that began with them
    """

    def __init__(self, current: str, old: Iterable[str] = ()) -> None:
        self.current_id = _fingerprint(current)
        self._keys = {_fingerprint(key): key.encode() for key in (*old, current)}

    def secrets_of(self, state: str, key_id: str) -> AttemptSecrets:
        """Return the secrets of the attempt with this state. Raises KeyError for an unknown key."""
        key = self._keys[key_id]
        return AttemptSecrets(
            nonce=_derive(key, _NONCE, state.encode()),
            verifier=_derive(key, _VERIFIER, state.encode()),
        )


def _derive(key: bytes, label: bytes, text: bytes) -> str:
    digest = hmac.digest(key, label + text, "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def _fingerprint(key: str) -> str:
    return hmac.digest(key.encode(), _FINGERPRINT, "sha256")[:_FINGERPRINT_BYTES].hex()


class BrowserCookie:
    """The cookie that binds an attempt to the browser that began it.

    It is not the session cookie, because a sign-in in one tab replaces that one while another tab may be
    at a provider. All tabs share this cookie. Its value is 256 random bits.
    """

    def __init__(self, *, secure: bool) -> None:
        self._cookie = Cookie("browser", secure=secure, lifetime=REMEMBERED_FOR)

    def read(self, request: Any) -> str | None:
        """Return the cookie's value; ``None`` if it is missing or malformed."""
        value = self._cookie.read(request)
        return value if value is not None and RANDOM.fullmatch(value) else None

    def ensure(self, request: Any) -> None:
        """Set the cookie in the response of the sign-in page, if the browser has none.

        Otherwise two tabs of a new browser, which leave for the provider at the same time, would each get
        a cookie, and the second one would replace the first.
        """
        if self.read(request) is None:
            _, headers = self.renew(request)
            request.response.headers.extend(headers)

    def renew(self, request: Any) -> tuple[str, list[tuple[str, str]]]:
        """Return the cookie's value, new if there is none, and the headers that set it."""
        value = self.read(request) or secrets.token_urlsafe(32)
        return value, self._cookie.headers(value)


class AttemptConfig(NamedTuple):
    """The keys and the browser cookie of one application."""

    keys: AttemptKeys
    cookie: BrowserCookie


def set_attempt_config(registry: Registry, core: CoreSettings) -> None:
    """Store the keys and the cookie of this application in its registry."""
    keys = AttemptKeys(
        core.secret_key.get_secret_value(), (key.get_secret_value() for key in core.secret_key_old)
    )
    registry[_REGISTRY_KEY] = AttemptConfig(keys, BrowserCookie(secure=cookies_are_secure(core)))


def attempt_config(registry: Registry) -> AttemptConfig:
    config: AttemptConfig = registry[_REGISTRY_KEY]
    return config


@dataclass(frozen=True)
class Attempt:
    """An attempt whose callback arrived for the first time and in time.

    :ivar user_id: the user whose account the attempt changes; ``None`` for a plain sign-in
    :ivar next_path: the path to redirect to after the sign-in
    :ivar begun_at: the time of the redirect to the provider
    """

    purpose: Purpose
    user_id: uuid.UUID | None
    next_path: str
    begun_at: datetime
    secrets: AttemptSecrets


class LateCallback(SignInFailure):
    """A repeated or late callback. It is harmless if the user is signed in."""

    def __init__(self, code: FailureCode, detail: str, next_path: str = HOME) -> None:
        super().__init__(code, detail)
        self.next_path = next_path


def begin_attempt(
    session: Session,
    keys: AttemptKeys,
    *,
    state: str,
    browser: str,
    provider: str,
    purpose: Purpose,
    user_id: uuid.UUID | None,
    next_path: str,
) -> None:
    """Store the attempt of this browser with this provider.

    Deletes the browser's oldest open attempts beyond ``MAX_PER_BROWSER``.

    :param browser: the value of the browser's cookie
    """
    delete_expired(session, SignInAttempt, SignInAttempt.expires_at < func.now() - REMEMBERED_FOR)
    session.add(
        SignInAttempt(
            state_sha256=sha256(state),
            browser_sha256=sha256(browser),
            key_id=keys.current_id,
            provider=provider,
            purpose=purpose,
            user_id=user_id,
            next_path=next_path,
            expires_at=func.now() + LIFETIME,
        )
    )
    session.flush()
    _delete_oldest(session, browser)


def take_attempt(
    session: Session, keys: AttemptKeys, *, state: str | None, browser: str | None, provider: str
) -> Attempt:
    """End the attempt of this callback, and return it. An attempt can be taken only once.

    :param state: the state of the callback, not validated
    :param browser: the value of the browser's cookie, if there is one
    :raises LateCallback: the state is missing, was used before, or is too old
    :raises SignInFailure: this browser has no such attempt with this provider
    """
    if not state:
        raise LateCallback(FailureCode.STATE_MISSING, "the callback has no state")
    if not RANDOM.fullmatch(state):
        raise SignInFailure(FailureCode.STATE_MISMATCH, "the state is malformed")
    if browser is None:
        detail = "the browser sent no sign-in cookie: it blocks cookies, or began at another host"
        raise SignInFailure(FailureCode.STATE_MISMATCH, detail)
    row = session.execute(
        update(SignInAttempt)
        .where(
            SignInAttempt.state_sha256 == sha256(state),
            SignInAttempt.browser_sha256 == sha256(browser),
            SignInAttempt.provider == provider,
            SignInAttempt.used_at.is_(None),
            SignInAttempt.expires_at > func.now(),
        )
        .values(used_at=func.now())
        .returning(
            SignInAttempt.purpose,
            SignInAttempt.user_id,
            SignInAttempt.next_path,
            SignInAttempt.created_at,
            SignInAttempt.key_id,
        )
        .execution_options(synchronize_session=False)
    ).first()
    if row is None:
        _raise_failure(session, state, browser, provider)
    try:
        attempt_secrets = keys.secrets_of(state, row.key_id)
    except KeyError:
        detail = "SECRET_KEY was replaced meanwhile: add the former key to SECRET_KEY_OLD"
        raise LateCallback(FailureCode.STATE_EXPIRED, detail, row.next_path) from None
    return Attempt(
        Purpose(row.purpose), row.user_id, row.next_path, row.created_at, attempt_secrets
    )


def _raise_failure(session: Session, state: str, browser: str, provider: str) -> NoReturn:
    row = session.execute(
        select(
            SignInAttempt.browser_sha256,
            SignInAttempt.provider,
            SignInAttempt.used_at,
            SignInAttempt.next_path,
        ).where(SignInAttempt.state_sha256 == sha256(state))
    ).first()
    # Another browser must not learn more than this.
    if row is None:
        raise SignInFailure(FailureCode.STATE_MISMATCH, "the state is unknown or was deleted")
    if row.browser_sha256 != sha256(browser):
        raise SignInFailure(FailureCode.STATE_MISMATCH, "the state belongs to another browser")
    if row.provider != provider:
        detail = f"the state was sent to {row.provider}, but returned from {provider}"
        raise SignInFailure(FailureCode.STATE_MISMATCH, detail)
    if row.used_at is not None:
        detail = "this callback was already handled"
        raise LateCallback(FailureCode.STATE_USED, detail, row.next_path)
    minutes = LIFETIME.total_seconds() / 60
    detail = f"the callback arrived after more than {minutes:.0f} minutes"
    raise LateCallback(FailureCode.STATE_EXPIRED, detail, row.next_path)


def _delete_oldest(session: Session, browser: str) -> None:
    too_many = (
        select(SignInAttempt.id)
        .where(
            SignInAttempt.browser_sha256 == sha256(browser),
            SignInAttempt.used_at.is_(None),
            SignInAttempt.expires_at > func.now(),
        )
        .order_by(SignInAttempt.id.desc())
        .offset(MAX_PER_BROWSER)
        .with_for_update(skip_locked=True)
    )
    session.execute(
        delete(SignInAttempt)
        .where(SignInAttempt.id.in_(too_many))
        .execution_options(synchronize_session=False)
    )
