"""Clear away what is over. Whatever adds rows calls this first, so that no table grows for ever."""

from __future__ import annotations

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.orm import Session

from combine_auth.oauth_server.lifetimes import KEPT_AFTERWARDS, SWEPT_AT_ONCE
from combine_auth.oauth_server.model import OAuthCode, OAuthDevice, OAuthGrant, OAuthToken

_Table = type[OAuthCode] | type[OAuthDevice] | type[OAuthGrant] | type[OAuthToken]


def sweep(session: Session) -> None:
    """Delete a few rows that have been over for a day.

    A used code and a rotated refresh token stay until then, so that whoever shows them again is
    noticed. A grant takes all that came of it along.
    """
    long_ago = func.now() - KEPT_AFTERWARDS
    _delete(session, OAuthCode, OAuthCode.expires_at < long_ago)
    _delete(session, OAuthDevice, OAuthDevice.expires_at < long_ago)
    _delete(session, OAuthToken, OAuthToken.expires_at < long_ago)
    _delete(session, OAuthGrant, OAuthGrant.expires_at < long_ago)


def _delete(session: Session, table: _Table, *over: ColumnElement[bool]) -> None:
    chosen = (
        select(table.id)
        .where(or_(*over))
        .limit(SWEPT_AT_ONCE)
        # Whatever another request is clearing away, or using, is left to it.
        .with_for_update(skip_locked=True)
    )
    session.execute(
        delete(table).where(table.id.in_(chosen)).execution_options(synchronize_session=False)
    )
