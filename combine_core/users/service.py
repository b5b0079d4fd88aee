"""Finds and creates users, and normalizes e-mail addresses."""

from __future__ import annotations

import contextlib
import re
import unicodedata
import uuid
from collections.abc import Sequence

import idna
from sqlalchemy import Row, column, func, or_, select, table, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from combine_core.database.metadata import new_id
from combine_core.users.model import Membership, User

# Not the grammar of RFC 5322, only one @ with text on both sides and no character that breaks a header.
_EMAIL = re.compile(
    r"[^@\s\x00-\x1f\x7f\ud800-\udfff]{1,64}@[^@\s\x00-\x1f\x7f\ud800-\udfff]{1,190}"
)


# combine_core.projects declares this table, but imports this package.
_projects = table("projects", column("id"), column("name"))
MAX_ROLES_LISTED = 100


# Top-level domains that never receive mail.
_RESERVED = frozenset({"example", "invalid", "localhost", "test", "local", "onion"})
# Only such addresses can have several spellings that differ in more than case.
_CAN_HAVE_VARIANTS = or_(
    User.email.op("~")("[^ -~]"), User.email.ilike("%xn--%"), User.email.like("%.")
)


class InvalidEmail(ValueError):
    """Raised when the text is not an e-mail address."""


def clean_email(text: str) -> str:
    """Return the normalized address: NFC, with the domain in lower case, without a final dot, in Unicode.

    The spellings of an internationalized domain (RFC 5891) become the same. The case of the part before the @
    is kept if it is ASCII, but comparisons of addresses ignore it.

    :raises InvalidEmail: if the text is not an e-mail address
    """
    name, _, domain = unicodedata.normalize("NFC", text.strip()).rpartition("@")
    # PostgreSQL compares in lower case, which covers only ASCII in some locales.
    email = f"{name if name.isascii() else name.lower()}@{clean_domain(domain)}"
    if not _EMAIL.fullmatch(email):
        raise InvalidEmail(f"{text.strip()!r} is not an e-mail address. Enter it as name@domain.")
    return email


def clean_domain(domain: str) -> str:
    """Return the normalized domain: in lower case, without a final dot, in Unicode."""
    lower = domain.lower().removesuffix(".")
    try:
        return idna.decode(lower)
    except (idna.IDNAError, UnicodeError):
        # A local name, or an invalid domain. It is compared as it is.
        return lower


def is_reserved(email: str) -> bool:
    """Check whether the domain is reserved and cannot receive mail (RFC 2606, RFC 6761)."""
    return email.rpartition("@")[2].rpartition(".")[2].lower() in _RESERVED


def find_user(session: Session, email: str) -> User | None:
    """Return the user with this address, in any spelling."""
    if "\0" in email:
        return None
    exact = email.strip().lower()
    stored = func.lower(User.email)
    # Accounts that are older than normalization can be stored in another spelling.
    matching = select(User).where(stored.in_({exact, *_spellings(email)}))
    return session.scalars(matching.order_by((stored == exact).desc(), User.id)).first()


def _spellings(email: str) -> set[str]:
    """Return the lower-case spellings in which the address may be stored without normalization."""
    try:
        clean = clean_email(email).lower()
    except InvalidEmail:
        return set()
    spellings = {clean, unicodedata.normalize("NFD", clean)}
    name, _, domain = clean.rpartition("@")
    # A domain that IDNA rejects has no second spelling.
    with contextlib.suppress(idna.IDNAError, UnicodeError):
        spellings.add(f"{name}@{idna.encode(domain).decode()}")
    return {spelling + dot for spelling in spellings for dot in ("", ".")}


def colliding_emails(session: Session) -> list[tuple[str, str]]:
    """Return the pairs of stored addresses that are spellings of the same address."""
    candidates = session.scalars(
        select(User.email).where(_CAN_HAVE_VARIANTS).order_by(User.id)
    ).all()
    pairs = set()
    for email in candidates:
        stored = func.lower(User.email)
        same = session.scalars(select(User.email).where(stored.in_(_spellings(email))))
        pairs |= {(min(email, other), max(email, other)) for other in same if other != email}
    return sorted(pairs)


def add_user(
    session: Session, email: str, name: str | None = None, *, is_admin: bool = False
) -> User | None:
    """Create a user. Return ``None`` if the address is taken, even by a concurrent request.

    :param name: the name; by default, the part of the address before the @
    :raises InvalidEmail: if the text is not an e-mail address
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
    """Return the user with this address, or create it. Concurrent requests return the same user.

    :raises InvalidEmail: if the text is not an e-mail address
    """
    user = add_user(session, email, name) or find_user(session, email.strip())
    assert user is not None
    return user


def list_roles(session: Session, user_id: uuid.UUID) -> Sequence[Row[str, str]]:
    """Return up to ``MAX_ROLES_LISTED`` projects of a user with the user's role, by name."""
    return session.execute(
        select(_projects.c.name, Membership.role)
        .join(_projects, _projects.c.id == Membership.project_id)
        .where(Membership.user_id == user_id)
        .order_by(_projects.c.name, Membership.project_id)
        .limit(MAX_ROLES_LISTED)
    ).all()


def is_mail_on(session: Session, user_id: uuid.UUID) -> bool:
    """Check whether the user wants mail about reviews and mentions."""
    return bool(session.scalar(select(User.gets_mail).where(User.id == user_id)))


def set_mail(session: Session, user_id: uuid.UUID, *, on: bool) -> None:
    session.execute(update(User).where(User.id == user_id).values(gets_mail=on))
