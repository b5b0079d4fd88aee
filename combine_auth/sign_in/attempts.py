"""Sign-ins under way: an attempt begins when the browser leaves for a provider, and ends at the callback.

All times are those of the database's clock.
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
from combine_core.database.expiry import delete_expired
from combine_core.settings import CoreSettings
from combine_core.web.cookies import Cookie, cookies_are_secure

LIFETIME = timedelta(minutes=10)
# For so long, a browser and the row can tell a finished sign-in from one that never was.
REMEMBERED_FOR = timedelta(hours=1)
# Tabs of one browser that may be on their way at once.
MAX_PER_BROWSER = 10

_REGISTRY_KEY = "combine_auth.sign_in"
_NONCE = b"combine sign-in nonce\0"
_VERIFIER = b"combine sign-in verifier\0"
_FINGERPRINT = b"combine sign-in key\0"
_FINGERPRINT_BYTES = 8


@dataclass(frozen=True)
class AttemptSecrets:
    """The secrets of one attempt; each has 43 characters of base64url, 256 bits.

    :ivar nonce: must come back in the ID token (OpenID Connect Core 1.0, 3.1.2.1)
    :ivar verifier: shows that the code is redeemed by whoever asked for it (PKCE, RFC 7636)
    """

    nonce: str
    verifier: str = field(repr=False)


class AttemptKeys:
    """Derives the secrets of attempts from the state and the service's secret key.

    So the table of attempts holds nothing worth stealing: a copy of it, even together with the state
    that went through the browser, is useless without the key.

    :param current: the service's secret key, for new attempts
    :param old: keys that were replaced recently: attempts that began with them can still end
    """

    def __init__(self, current: str, old: Iterable[str] = ()) -> None:
        self.current_id = _fingerprint(current)
        self._keys = {_fingerprint(key): key.encode() for key in (*old, current)}

    def secrets_of(self, state: str, key_id: str) -> AttemptSecrets:
        """The secrets of the attempt with this state. Raises KeyError if the key is known no more."""
        key = self._keys[key_id]
        return AttemptSecrets(
            nonce=_derive(key, _NONCE, state.encode()),
            verifier=_derive(key, _VERIFIER, state.encode()),
        )


def new_state() -> str:
    """256 random bits, 43 characters of base64url."""
    return secrets.token_urlsafe(32)


def _derive(key: bytes, label: bytes, text: bytes) -> str:
    digest = hmac.digest(key, label + text, "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def _fingerprint(key: str) -> str:
    return hmac.digest(key.encode(), _FINGERPRINT, "sha256")[:_FINGERPRINT_BYTES].hex()


class BrowserCookie:
    """The cookie that recognises the browser which left for a provider when it comes back.

    It is not the session's cookie, which a sign-in replaces while another tab may be on its way. All
    tabs share this one. Its value is 256 random bits.
    """

    def __init__(self, *, secure: bool) -> None:
        self._cookie = Cookie("browser", secure=secure, lifetime=REMEMBERED_FOR)

    def read(self, request: Any) -> str | None:
        """The cookie's value; ``None`` if it is missing or malformed."""
        value = self._cookie.read(request)
        return value if value is not None and RANDOM.fullmatch(value) else None

    def give(self, request: Any) -> None:
        """Set the cookie with the page that has the buttons, if the browser has none.

        Two tabs of a browser that is here for the first time may both leave before the provider has
        answered the first. If each got the cookie on its way, the second would replace the first.
        """
        if self.read(request) is None:
            _, headers = self.renew(request)
            request.response.headers.extend(headers)

    def renew(self, request: Any) -> tuple[str, list[tuple[str, str]]]:
        """The cookie's value, a new one if there is none, and the headers that set it."""
        value = self.read(request) or secrets.token_urlsafe(32)
        return value, self._cookie.headers(value)


class AttemptConfig(NamedTuple):
    """What attempts need of the settings."""

    keys: AttemptKeys
    cookie: BrowserCookie


def set_attempt_config(registry: Registry, core: CoreSettings) -> None:
    """Make the keys and the cookie of this application."""
    keys = AttemptKeys(
        core.secret_key.get_secret_value(), (key.get_secret_value() for key in core.secret_key_old)
    )
    registry[_REGISTRY_KEY] = AttemptConfig(keys, BrowserCookie(secure=cookies_are_secure(core)))


def attempt_config(registry: Registry) -> AttemptConfig:
    config: AttemptConfig = registry[_REGISTRY_KEY]
    return config


@dataclass(frozen=True)
class Attempt:
    """An attempt that came back from the provider for the first time, and in time.

    :ivar user_id: the user whose account it concerns; ``None`` for a plain sign-in
    :ivar next_path: where to go afterwards
    :ivar begun_at: when the browser left
    """

    purpose: Purpose
    user_id: uuid.UUID | None
    next_path: str
    begun_at: datetime
    secrets: AttemptSecrets


class LateCallback(SignInFailure):
    """A callback that comes again or too late, which does no harm to somebody who is signed in."""

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
    """Store that this browser leaves for the provider with this state.

    Deletes the browser's oldest attempts if more than ``MAX_PER_BROWSER`` are under way.

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
    """End the attempt of this callback, and return it. An attempt can be taken once.

    :param state: of the callback, not validated
    :param browser: the value of the browser's cookie, if it sent one
    :raises LateCallback: the state is missing, was used before, or is too old
    :raises SignInFailure: this browser has no such attempt with this provider
    """
    if not state:
        raise LateCallback(FailureCode.STATE_MISSING, "the callback brought no state")
    if not RANDOM.fullmatch(state):
        raise SignInFailure(FailureCode.STATE_MISMATCH, "the state is none of ours")
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
        _refuse(session, state, browser, provider)
    try:
        attempt_secrets = keys.secrets_of(state, row.key_id)
    except KeyError:
        detail = "SECRET_KEY was replaced meanwhile: put the former one into SECRET_KEY_OLD"
        raise LateCallback(FailureCode.STATE_EXPIRED, detail, row.next_path) from None
    return Attempt(
        Purpose(row.purpose), row.user_id, row.next_path, row.created_at, attempt_secrets
    )


def _refuse(session: Session, state: str, browser: str, provider: str) -> NoReturn:
    row = session.execute(
        select(
            SignInAttempt.browser_sha256,
            SignInAttempt.provider,
            SignInAttempt.used_at,
            SignInAttempt.next_path,
        ).where(SignInAttempt.state_sha256 == sha256(state))
    ).first()
    # A foreign browser must not learn more than this.
    if row is None:
        raise SignInFailure(FailureCode.STATE_MISMATCH, "the state is unknown, or long over")
    if row.browser_sha256 != sha256(browser):
        raise SignInFailure(FailureCode.STATE_MISMATCH, "the state is that of another browser")
    if row.provider != provider:
        detail = f"the state was sent to {row.provider}, and came back from {provider}"
        raise SignInFailure(FailureCode.STATE_MISMATCH, detail)
    if row.used_at is not None:
        detail = "this callback was answered before"
        raise LateCallback(FailureCode.STATE_USED, detail, row.next_path)
    minutes = LIFETIME.total_seconds() / 60
    detail = f"the callback came after more than {minutes:.0f} minutes"
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
