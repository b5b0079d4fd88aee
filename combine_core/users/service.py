"""Find people, make them."""

from __future__ import annotations

import re

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from combine_core.database.metadata import new_id
from combine_core.users.model import User

# Not the grammar of RFC 5322: one @, something on both sides, nothing that breaks a header or a line.
_EMAIL = re.compile(
    r"[^@\s\x00-\x1f\x7f\ud800-\udfff]{1,64}@[^@\s\x00-\x1f\x7f\ud800-\udfff]{1,190}"
)


class InvalidEmail(ValueError):
    """The text is no e-mail address."""


def find_user(session: Session, email: str) -> User | None:
    """The user of this address, in whatever case it is written."""
    if "\0" in email:
        return None
    return session.scalars(select(User).where(func.lower(User.email) == email.lower())).first()


def get_or_create_user(session: Session, email: str, name: str | None = None) -> User:
    """The user of this address; made if absent, also when two ask at once.

    :raises InvalidEmail: the text is no address
    """
    email = email.strip()
    if not _EMAIL.fullmatch(email):
        message = f"{email!r} is no e-mail address. Write it as name@domain."
        raise InvalidEmail(message)
    session.execute(
        insert(User)
        .values(id=new_id(), email=email, name=name or email.partition("@")[0], is_admin=False)
        .on_conflict_do_nothing()
    )
    user = find_user(session, email)
    assert user is not None
    return user
