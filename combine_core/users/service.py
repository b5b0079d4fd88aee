"""Finds and makes users."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence

from sqlalchemy import Row, column, func, select, table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from combine_core.database.metadata import new_id
from combine_core.users.model import Membership, User

# Not the grammar of RFC 5322: one @, something on both sides, nothing that breaks a header or a line.
_EMAIL = re.compile(
    r"[^@\s\x00-\x1f\x7f\ud800-\udfff]{1,64}@[^@\s\x00-\x1f\x7f\ud800-\udfff]{1,190}"
)


# combine_core.projects declares the table, and imports this package.
_projects = table("projects", column("id"), column("name"))
MAX_ROLES_LISTED = 100


class InvalidEmail(ValueError):
    """The text is not an e-mail address."""


def clean_email(text: str) -> str:
    """The address, without the space around it.

    :raises InvalidEmail: the text is no address
    """
    email = text.strip()
    if not _EMAIL.fullmatch(email):
        raise InvalidEmail(f"{email!r} is no e-mail address. Write it as name@domain.")
    return email


def find_user(session: Session, email: str) -> User | None:
    """Return the user of this address, ignoring case."""
    if "\0" in email:
        return None
    return session.scalars(select(User).where(func.lower(User.email) == email.lower())).first()


def add_user(
    session: Session, email: str, name: str | None = None, *, is_admin: bool = False
) -> User | None:
    """A new user; ``None`` if somebody has this address, also when two ask at once.

    :param name: default: what stands before the @
    :raises InvalidEmail: the text is no address
    """
    email = clean_email(email)
    return session.scalars(
        insert(User)
        .values(id=new_id(), email=email, name=name or email.partition("@")[0], is_admin=is_admin)
        .on_conflict_do_nothing()
        .returning(User)
    ).first()


def get_or_create_user(session: Session, email: str, name: str | None = None) -> User:
    """The user of this address; made if absent, also when two ask at once.

    :raises InvalidEmail: the text is no address
    """
    user = add_user(session, email, name) or find_user(session, email.strip())
    assert user is not None
    return user


def list_roles(session: Session, user_id: uuid.UUID) -> Sequence[Row[str, str]]:
    """The projects of this user, by name, each with their role; at most ``MAX_ROLES_LISTED``."""
    return session.execute(
        select(_projects.c.name, Membership.role)
        .join(_projects, _projects.c.id == Membership.project_id)
        .where(Membership.user_id == user_id)
        .order_by(_projects.c.name, Membership.project_id)
        .limit(MAX_ROLES_LISTED)
    ).all()
