"""Finds and makes users."""

from __future__ import annotations

import contextlib
import re
import unicodedata
import uuid
from collections.abc import Sequence

import idna
from sqlalchemy import Row, column, func, or_, select, table
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


# Top-level domains that never lead to anybody.
_RESERVED = frozenset({"example", "invalid", "localhost", "test", "local", "onion"})
# Only such an address has a second spelling, apart from its case.
_MAY_HAVE_SPELLINGS = or_(
    User.email.op("~")("[^ -~]"), User.email.ilike("%xn--%"), User.email.like("%.")
)


class InvalidEmail(ValueError):
    """The text is not an e-mail address."""


def clean_email(text: str) -> str:
    """The address in its one spelling: NFC, the domain in lower case, without a final dot, in Unicode.

    Two spellings of an internationalised domain (RFC 5891) become one. The case of what stands before
    the @ is kept if it is ASCII, and does not count when addresses are compared.

    :raises InvalidEmail: the text is no address
    """
    name, _, domain = unicodedata.normalize("NFC", text.strip()).rpartition("@")
    # PostgreSQL compares lower-case forms, and knows only those of ASCII in some locales.
    email = f"{name if name.isascii() else name.lower()}@{clean_domain(domain)}"
    if not _EMAIL.fullmatch(email):
        raise InvalidEmail(f"{text.strip()!r} is no e-mail address. Write it as name@domain.")
    return email


def clean_domain(domain: str) -> str:
    """The domain in its one spelling: lower case, without a final dot, in Unicode."""
    lower = domain.lower().removesuffix(".")
    try:
        return idna.decode(lower)
    except (idna.IDNAError, UnicodeError):
        # A name of this machine, or one that no registry would take: it is compared as it is written.
        return lower


def is_reserved(email: str) -> bool:
    """Whether nobody can receive mail at this address (RFC 2606, RFC 6761)."""
    return email.rpartition("@")[2].rpartition(".")[2].lower() in _RESERVED


def find_user(session: Session, email: str) -> User | None:
    """Return the user of this address, in any spelling."""
    if "\0" in email:
        return None
    written = email.strip().lower()
    stored = func.lower(User.email)
    # An account from before addresses had one spelling is found by any.
    found = select(User).where(stored.in_({written, *_spellings(email)}))
    return session.scalars(found.order_by((stored == written).desc(), User.id)).first()


def _spellings(email: str) -> set[str]:
    """How the address may be stored since before addresses had one spelling; all in lower case."""
    try:
        clean = clean_email(email).lower()
    except InvalidEmail:
        return set()
    spellings = {clean, unicodedata.normalize("NFD", clean)}
    name, _, domain = clean.rpartition("@")
    # A domain that IDNA does not know has no second spelling.
    with contextlib.suppress(idna.IDNAError, UnicodeError):
        spellings.add(f"{name}@{idna.encode(domain).decode()}")
    return {spelling + dot for spelling in spellings for dot in ("", ".")}


def colliding_emails(session: Session) -> list[tuple[str, str]]:
    """Pairs of stored addresses that are one address in two spellings."""
    odd = session.scalars(select(User.email).where(_MAY_HAVE_SPELLINGS).order_by(User.id)).all()
    pairs = set()
    for email in odd:
        stored = func.lower(User.email)
        same = session.scalars(select(User.email).where(stored.in_(_spellings(email))))
        pairs |= {(min(email, one), max(email, one)) for one in same if one != email}
    return sorted(pairs)


def add_user(
    session: Session, email: str, name: str | None = None, *, is_admin: bool = False
) -> User | None:
    """A new user; ``None`` if somebody has this address, also when two ask at once.

    :param name: default: what stands before the @
    :raises InvalidEmail: the text is no address
    """
    if find_user(session, email) is not None:
        return None
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
