"""What an operator does to users: make, invite, promote, disable, enable. The audit tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from combine_auth.audit import Action, record
from combine_auth.identities import create_invitation
from combine_auth.sessions import end_sessions_of
from combine_core.users import User, add_user, find_user

MOST_LISTED = 10_000
LONGEST_NAME = 200
# Whom the audit names: somebody at a terminal of the machine.
OPERATOR = "operator"


class AccountRefused(ValueError):
    """It cannot be done; the message says why."""


def create_user(session: Session, email: str, name: str | None, *, is_admin: bool) -> User:
    """A new user, whom nothing signs in yet: see :func:`invite_user`.

    :raises AccountRefused: somebody has this address, or the name will not do
    :raises InvalidEmail: it is no address
    """
    if name is not None and not (name.strip() and name.isprintable() and len(name) <= LONGEST_NAME):
        message = f"A name has 1 to {LONGEST_NAME} characters that can be shown."
        raise AccountRefused(message)
    user = add_user(session, email, name.strip() if name else None, is_admin=is_admin)
    if user is None:
        message = f"There is a user {email.strip()} already."
        raise AccountRefused(message)
    _record(session, Action.USER_CREATE, user, is_admin=is_admin)
    return user


def known_user(session: Session, email: str) -> User:
    """The user of this address.

    :raises AccountRefused: there is none
    """
    user = find_user(session, email.strip())
    if user is None:
        message = f"There is no user {email.strip()}. To make one: combine user create EMAIL"
        raise AccountRefused(message)
    return user


def list_users(session: Session) -> Sequence[User]:
    """All users, the oldest first; at most ``MOST_LISTED``."""
    return session.scalars(select(User).order_by(User.id).limit(MOST_LISTED)).all()


def invite_user(session: Session, user: User, public_url: str) -> str:
    """A link by which whoever opens it first can sign in as this user; earlier links end.

    :raises AccountRefused: the user is disabled
    """
    if user.disabled_at is not None:
        message = f"{user.email} is disabled. To enable it: combine user enable {user.email}"
        raise AccountRefused(message)
    token = create_invitation(session, user.id)
    _record(session, Action.INVITATION, user)
    return f"{public_url}/auth/invitation?token={token}"


def grant_admin(session: Session, user: User) -> None:
    """Make the user an administrator. It is signed out: no session from before has these rights."""
    if not user.is_admin:
        user.is_admin = True
        end_sessions_of(session, user.id)
        _record(session, Action.ADMIN_GRANT, user)


def revoke_admin(session: Session, user: User) -> None:
    """The user is no administrator any more, from its next request on."""
    if user.is_admin:
        user.is_admin = False
        end_sessions_of(session, user.id)
        _record(session, Action.ADMIN_REVOKE, user)


def disable_user(session: Session, user: User) -> None:
    """From its next request on, the user is out: sessions end, tokens sleep until it is enabled."""
    if user.disabled_at is None:
        user.disabled_at = func.now()
        _record(session, Action.USER_DISABLE, user)
    end_sessions_of(session, user.id)


def enable_user(session: Session, user: User) -> None:
    """The user may sign in again, and its tokens work again."""
    if user.disabled_at is not None:
        user.disabled_at = None
        _record(session, Action.USER_ENABLE, user)


def _record(session: Session, action: Action, user: User, **details: Any) -> None:
    target = f"user:{user.id}"
    record(session, action, actor=OPERATOR, target=target, email=user.email, **details)
