"""Sign-ins under way: begun by a button, ended once by the callback.

All times are those of the database's clock.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import Session

from combine_auth.authentication import sha256
from combine_auth.failures import FailureCode, SignInFailure
from combine_auth.sign_in.keys import AttemptKeys, Secrets
from combine_auth.sign_in.model import Purpose, SignInAttempt
from combine_auth.sign_in.next_path import HOME

LIFETIME = timedelta(minutes=10)
# How long a browser, and the row, can tell a sign-in that is over from one that never was.
REMEMBERED_FOR = timedelta(hours=1)
# Tabs of one browser that may be on their way at once.
MOST_PER_BROWSER = 10
# Rows that a new attempt clears away. It adds one, so the table does not grow.
SWEPT_AT_ONCE = 100

_STATE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Attempt:
    """A sign-in that came back from the provider, for the first time and in time.

    :ivar user_id: whose account it is about; nobody's in a plain sign-in
    :ivar next_path: where to go afterwards
    :ivar begun_at: when the browser left
    """

    purpose: Purpose
    user_id: uuid.UUID | None
    next_path: str
    begun_at: datetime
    secrets: Secrets


class LateCallback(SignInFailure):
    """A callback that comes again or too late, which is no harm to somebody who is signed in.

    :param next_path: where that sign-in was to lead
    """

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
    """Remember that this browser leaves for the provider with this state.

    Of a browser that has more than ``MOST_PER_BROWSER`` on their way, the oldest are forgotten.

    :param browser: the value of the cookie that the browser is known by
    """
    _sweep(session)
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
    _forget_oldest(session, browser)


def take_attempt(
    session: Session, keys: AttemptKeys, *, state: str | None, browser: str | None, provider: str
) -> Attempt:
    """The attempt that this callback ends. Whoever takes it first has it; nobody takes it again.

    :param state: as the callback brings it
    :param browser: the value of the browser's cookie, if it sent one
    :raises LateCallback: there is no state, or it was used, or is too old
    :raises SignInFailure: it is none of this browser's with this provider
    """
    if not state:
        raise LateCallback(FailureCode.STATE_MISSING, "the callback brought no state")
    if not _STATE.fullmatch(state):
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
        _say_why_not(session, state, browser, provider)
    try:
        secrets = keys.secrets_of(state, row.key_id)
    except KeyError:
        detail = "SECRET_KEY was replaced meanwhile: put the former one into SECRET_KEY_OLD"
        raise LateCallback(FailureCode.STATE_EXPIRED, detail, row.next_path) from None
    return Attempt(Purpose(row.purpose), row.user_id, row.next_path, row.created_at, secrets)


def _say_why_not(session: Session, state: str, browser: str, provider: str) -> NoReturn:
    row = session.execute(
        select(
            SignInAttempt.browser_sha256,
            SignInAttempt.provider,
            SignInAttempt.used_at,
            SignInAttempt.next_path,
        ).where(SignInAttempt.state_sha256 == sha256(state))
    ).first()
    # A foreign browser learns no more than that.
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


def _sweep(session: Session) -> None:
    over = (
        select(SignInAttempt.id)
        .where(SignInAttempt.expires_at < func.now() - REMEMBERED_FOR)
        .limit(SWEPT_AT_ONCE)
        # Whatever another attempt is clearing away is left to it.
        .with_for_update(skip_locked=True)
    )
    _delete(session, over)


def _forget_oldest(session: Session, browser: str) -> None:
    too_many = (
        select(SignInAttempt.id)
        .where(
            SignInAttempt.browser_sha256 == sha256(browser),
            SignInAttempt.used_at.is_(None),
            SignInAttempt.expires_at > func.now(),
        )
        .order_by(SignInAttempt.id.desc())
        .offset(MOST_PER_BROWSER)
        .with_for_update(skip_locked=True)
    )
    _delete(session, too_many)


def _delete(session: Session, ids: Select[uuid.UUID]) -> None:
    session.execute(
        delete(SignInAttempt)
        .where(SignInAttempt.id.in_(ids))
        .execution_options(synchronize_session=False)
    )
