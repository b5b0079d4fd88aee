"""Whom an identity of a provider signs in, and how a user gets another one.

Issuer and subject alone decide (OpenID Connect Core 1.0, 5.7). An e-mail address never finds an
account: whoever gets hold of an address, or of a provider that does not check them, would get hold of
the account too.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from combine_auth.failures import FailureCode, SignInFailure
from combine_auth.identities.invitations import use_invitation
from combine_auth.identities.model import LinkedIdentity
from combine_core.users import InvalidEmail, User, add_user, clean_email

if TYPE_CHECKING:
    from combine_auth.openid import Claims

# For users of whom no provider has verified an address: members are invited by users.email, so an
# address that merely was claimed must not stand there.
UNVERIFIED_DOMAIN = "unverified.invalid"
# How far the provider's clock may be behind ours.
CLOCK_LEEWAY = timedelta(seconds=60)
MOST_LISTED = 100
LONGEST_NAME = 200
LONGEST_EMAIL = 320
# OpenID Connect Core 1.0, 2: "It MUST NOT exceed 255 ASCII characters".
LONGEST_SUBJECT = 255


class LastIdentity(ValueError):
    """Without this identity its user could not sign in any more."""


def sign_in(session: Session, provider: str, claims: Claims) -> tuple[User, bool]:
    """The user of this identity, and whether it was made just now.

    Two that come at once with a new identity get the same user.

    :raises SignInFailure: the user is disabled, or the address of a new one belongs to another
    """
    identity = _find_or_lock(session, claims)
    if identity is None:
        user = _new_user(session, provider, claims)
        _add(session, user.id, provider, claims)
        return user, True
    _note(identity, claims)
    user = _let_in(session, identity.user_id)
    _give_verified_address(session, user, claims)
    return user, False


def link(session: Session, user_id: uuid.UUID, provider: str, claims: Claims) -> bool:
    """Let this identity sign in this user; ``False`` if it did so before.

    :raises SignInFailure: it signs in somebody else
    """
    identity = _find_or_lock(session, claims)
    if identity is None:
        _add(session, user_id, provider, claims)
        return True
    if identity.user_id != user_id:
        detail = f"the identity belongs to another user than {user_id}"
        raise SignInFailure(FailureCode.IDENTITY_IN_USE, detail)
    _note(identity, claims)
    return False


def confirm(session: Session, user_id: uuid.UUID, claims: Claims, begun_at: datetime) -> User:
    """The user, who has shown once more that it is them.

    :param begun_at: since when that counts; providers that say when they asked the person are believed
    :raises SignInFailure: it was somebody else, or the provider did not ask again
    """
    identity = _find(session, claims)
    if identity is None or identity.user_id != user_id:
        raise SignInFailure(FailureCode.WRONG_USER, f"the identity is not one of user {user_id}")
    if claims.auth_time is not None and claims.auth_time < begun_at - CLOCK_LEEWAY:
        detail = f"the provider last asked at {claims.auth_time.isoformat()}, before it was told to"
        raise SignInFailure(FailureCode.NOT_FRESH, detail)
    _note(identity, claims)
    return _let_in(session, user_id)


def accept_invitation(
    session: Session, user_id: uuid.UUID, begun_at: datetime, provider: str, claims: Claims
) -> User:
    """The invited user, whom this identity signs in from now on.

    :param begun_at: when the link was shown to us; one that was made later is another one
    :raises SignInFailure: the link was used meanwhile, or the identity signs in somebody else
    """
    if not use_invitation(session, user_id, begun_at):
        detail = f"the invitation of user {user_id} was used or replaced meanwhile"
        raise SignInFailure(FailureCode.INVITATION_INVALID, detail)
    user = _let_in(session, user_id)
    link(session, user_id, provider, claims)
    return user


def list_identities(session: Session, user_id: uuid.UUID) -> Sequence[LinkedIdentity]:
    """The identities that sign in this user, the oldest first; at most ``MOST_LISTED``."""
    return session.scalars(
        select(LinkedIdentity)
        .where(LinkedIdentity.user_id == user_id)
        .order_by(LinkedIdentity.id)
        .limit(MOST_LISTED)
    ).all()


def unlink(session: Session, user_id: uuid.UUID, identity_id: uuid.UUID) -> LinkedIdentity | None:
    """Take this identity away from this user; it is returned, or ``None`` if the user has none such.

    :raises LastIdentity: it is the only one
    """
    # Locked, so that two cannot each take away the other's last one.
    held = session.scalars(
        select(LinkedIdentity).where(LinkedIdentity.user_id == user_id).with_for_update()
    ).all()
    wanted = next((identity for identity in held if identity.id == identity_id), None)
    if wanted is None:
        return None
    if len(held) == 1:
        raise LastIdentity
    session.execute(delete(LinkedIdentity).where(LinkedIdentity.id == identity_id))
    return wanted


def _find(session: Session, claims: Claims) -> LinkedIdentity | None:
    return session.scalars(
        select(LinkedIdentity)
        .where(LinkedIdentity.issuer == claims.issuer, LinkedIdentity.subject == claims.subject)
        # Locked, so that nobody unlinks it before it has let somebody in.
        .with_for_update()
    ).first()


def _find_or_lock(session: Session, claims: Claims) -> LinkedIdentity | None:
    """The identity; where there is none, nobody else makes it before this transaction ends."""
    if len(claims.subject) > LONGEST_SUBJECT or not claims.subject.isprintable():
        raise SignInFailure(FailureCode.ID_TOKEN_INVALID, "sub is too long or cannot be stored")
    identity = _find(session, claims)
    if identity is None:
        key = int.from_bytes(_digest(claims)[:8], signed=True)
        session.execute(select(func.pg_advisory_xact_lock(key)))
        identity = _find(session, claims)
    return identity


def _digest(claims: Claims) -> bytes:
    return hashlib.sha256(f"{claims.issuer}|{claims.subject}".encode()).digest()


def _add(session: Session, user_id: uuid.UUID, provider: str, claims: Claims) -> None:
    session.add(
        LinkedIdentity(
            user_id=user_id,
            provider=provider,
            issuer=claims.issuer,
            subject=claims.subject,
            email=_shown(claims.email, LONGEST_EMAIL),
            email_verified=claims.email_verified,
        )
    )
    session.flush()


def _note(identity: LinkedIdentity, claims: Claims) -> None:
    identity.email = _shown(claims.email, LONGEST_EMAIL)
    identity.email_verified = claims.email_verified
    identity.last_sign_in_at = func.now()


def _let_in(session: Session, user_id: uuid.UUID) -> User:
    user = session.get(User, user_id)
    if user is None:
        raise SignInFailure(FailureCode.INVITATION_INVALID, f"there is no user {user_id} any more")
    if user.disabled_at is not None:
        detail = f"to enable it: combine user enable {user.email}"
        raise SignInFailure(FailureCode.ACCOUNT_DISABLED, detail)
    return user


def _new_user(session: Session, provider: str, claims: Claims) -> User:
    name = _shown(claims.name, LONGEST_NAME)
    if claims.email is not None and claims.email_verified:
        try:
            user = add_user(session, claims.email, name)
        except InvalidEmail:
            pass  # Then nobody can be invited by it either: as if there were none.
        else:
            if user is None:
                detail = f"a user has the address {claims.email:.200} already"
                raise SignInFailure(FailureCode.EMAIL_IN_USE, detail)
            return user
    claimed = _shown((claims.email or "").partition("@")[0], LONGEST_NAME)
    user = add_user(session, _placeholder(claims), name or claimed or f"Somebody from {provider}")
    if user is None:
        # An identity that was unlinked comes back, and the user it once made still exists.
        detail = "the identity signed in a user before, from whom it was unlinked"
        raise SignInFailure(FailureCode.EMAIL_IN_USE, detail)
    return user


def _placeholder(claims: Claims) -> str:
    return f"{_digest(claims).hex()[:20]}@{UNVERIFIED_DOMAIN}"


def _give_verified_address(session: Session, user: User, claims: Claims) -> None:
    """Replace the address that stands in for one, as soon as the provider has verified one."""
    if not (claims.email and claims.email_verified and user.email == _placeholder(claims)):
        return
    try:
        email = clean_email(claims.email)
        with session.begin_nested():
            user.email = email
    except InvalidEmail:
        return
    except IntegrityError:
        # Somebody else has it; this user goes on without.
        session.refresh(user)


def _shown(text: str | None, longest: int) -> str | None:
    """The text, if it is one that can be stored and shown; else ``None``."""
    text = (text or "").strip()
    return text if text and text.isprintable() and len(text) <= longest else None
