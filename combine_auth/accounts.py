"""What an operator does to users: make, promote, disable, enable."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from combine_auth.sessions import end_sessions_of
from combine_core.users import User, find_user, get_or_create_user

MOST_LISTED = 10_000
LONGEST_NAME = 200


class AccountRefused(ValueError):
    """It cannot be done; the message says why."""


def create_user(session: Session, email: str, name: str | None, *, is_admin: bool) -> User:
    """A new user.

    :raises AccountRefused: somebody has this address, or the name will not do
    :raises InvalidEmail: it is no address
    """
    if find_user(session, email.strip()) is not None:
        message = f"There is a user {email.strip()} already."
        raise AccountRefused(message)
    if name is not None and not (name.strip() and name.isprintable() and len(name) <= LONGEST_NAME):
        message = f"A name has 1 to {LONGEST_NAME} characters that can be shown."
        raise AccountRefused(message)
    user = get_or_create_user(session, email, name.strip() if name else None)
    user.is_admin = is_admin
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


def disable_user(session: Session, user: User) -> None:
    """From its next request on, the user is out: sessions end, tokens sleep until it is enabled."""
    if user.disabled_at is None:
        user.disabled_at = func.now()
    end_sessions_of(session, user.id)


def enable_user(user: User) -> None:
    """The user may sign in again, and its tokens work again."""
    user.disabled_at = None
