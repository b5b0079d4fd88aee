"""Which user an identity signs in, and how a user gets another identity.

Issuer and subject decide (OpenID Connect Core 1.0, 5.7), and Microsoft's object id where all subjects
have changed. An e-mail address never finds an
account: whoever gains control of an address, or of a provider that does not verify addresses, would
gain control of the account too.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from combine_auth.audit import Action, record
from combine_auth.failures import FailureCode, SignInFailure
from combine_auth.identities.model import Invitation, LinkedIdentity
from combine_core.users import (
    InvalidEmail,
    User,
    add_user,
    clean_email,
    find_user,
    is_reserved,
)

if TYPE_CHECKING:
    from combine_auth.openid.id_token import Claims

logger = logging.getLogger(__name__)

# The domain of users without a verified address. Project members are invited by users.email, so a
# merely claimed address must not be stored there.
UNVERIFIED_DOMAIN = "unverified.invalid"
# How far the provider's clock may be behind ours.
CLOCK_LEEWAY = timedelta(seconds=60)
MAX_LISTED = 100
MAX_NAME = 200
MAX_EMAIL = 320
# OpenID Connect Core 1.0, 2: "It MUST NOT exceed 255 ASCII characters".
MAX_SUBJECT = 255


class LastIdentity(ValueError):
    """Without this identity its user could not sign in any more."""


# Signing in.


def sign_in(
    session: Session, provider: str, claims: Claims, may_sign_up: Callable[[str | None], bool]
) -> tuple[User, bool]:
    """Return the user of this identity, creating one if it is new, and whether it was created.

    Two concurrent sign-ins with the same new identity get the same user.

    :param may_sign_up: whether a new user may be created with this address, or without one
    :raises SignInFailure: the user is disabled, may not sign up, or has the address of another user
    """
    identity = _find_or_lock(session, claims)
    if identity is None:
        user = _new_user(session, provider, claims, may_sign_up)
        _add(session, user.id, provider, claims)
        return user, True
    return _sign_in_again(session, identity, claims), False


def confirm(session: Session, user_id: uuid.UUID, claims: Claims, begun_at: datetime) -> User:
    """Return the user, who has signed in again to confirm an action.

    :param begun_at: a provider that says when it last authenticated the person must name a later time
    :raises SignInFailure: it was somebody else, or the provider did not authenticate the person again
    """
    identity = _find(session, claims)
    if identity is None or identity.user_id != user_id:
        raise SignInFailure(FailureCode.WRONG_USER, f"the identity is not one of user {user_id}")
    if claims.auth_time is not None and claims.auth_time < begun_at - CLOCK_LEEWAY:
        detail = f"the provider last asked at {claims.auth_time.isoformat()}, before it was told to"
        raise SignInFailure(FailureCode.NOT_FRESH, detail)
    return _sign_in_again(session, identity, claims)


def _sign_in_again(session: Session, identity: LinkedIdentity, claims: Claims) -> User:
    user = enabled_user(session, identity.user_id)
    vouched = identity.email_verified and (identity.email or "").lower() == user.email.lower()
    _update(identity, claims)
    session.flush()
    _follow_provider(session, user, identity, claims, vouched=vouched)
    return user


def _new_user(
    session: Session, provider: str, claims: Claims, may_sign_up: Callable[[str | None], bool]
) -> User:
    name = _storable(claims.name, MAX_NAME)
    email = _verified_email(claims)
    other = None if email is None else find_user(session, email)
    if other is None and not may_sign_up(email):
        detail = f"nobody invited {email or 'this person, whose address is not verified'}"
        raise SignInFailure(FailureCode.NOT_INVITED, detail)
    if email is not None:
        user = None if other else add_user(session, email, name)
        if user is None:
            if other is not None and _only_invited(session, other):
                detail = f"{email} was invited, and has not opened the link"
                raise SignInFailure(FailureCode.INVITATION_UNOPENED, detail)
            detail = f"a user has the address {email:.200} already"
            raise SignInFailure(FailureCode.EMAIL_IN_USE, detail)
        return user
    claimed = _storable((claims.email or "").partition("@")[0], MAX_NAME)
    user = add_user(session, _placeholder(claims), name or claimed or f"Somebody from {provider}")
    if user is None:
        # The identity was unlinked earlier, and the user that it created still exists.
        detail = "the identity signed in a user before, from whom it was unlinked"
        raise SignInFailure(FailureCode.EMAIL_IN_USE, detail)
    return user


def _only_invited(session: Session, user: User) -> bool:
    """Whether the user was sent a link, and nobody has signed in as them yet."""
    waits = select(Invitation.id).where(Invitation.user_id == user.id, Invitation.used_at.is_(None))
    return session.scalar(waits) is not None and not list_identities(session, user.id)


def _placeholder(claims: Claims) -> str:
    return f"{_digest(claims).hex()[:20]}@{UNVERIFIED_DOMAIN}"


def _follow_provider(
    session: Session, user: User, identity: LinkedIdentity, claims: Claims, *, vouched: bool
) -> None:
    """Give the user the name and the verified address that the provider has for them now.

    An address that another identity of the user vouches for stays, and so does one that an operator chose.

    :param vouched: whether the user's address was that of this identity until now
    """
    # A user who was made by this identity's first sign-in has name and address from there.
    if not (vouched or identity.created_at == user.created_at):
        return
    before = {"email": user.email, "name": user.name}
    user.name = _storable(claims.name, MAX_NAME) or user.name
    email = _verified_email(claims)
    if email is not None and not verified_addresses(session, [user.id]):
        try:
            with session.begin_nested():
                user.email = email
        except IntegrityError:
            session.refresh(user)
            logger.warning(
                "The provider's address of user %s is that of another user. %s keeps an address that"
                " no provider verifies: combine user show %s",
                user.id,
                user.name,
                user.email,
            )
    if user.email != before["email"]:
        end_invitations(session, user.id)
    changed = {name: old for name, old in before.items() if old != getattr(user, name)}
    if changed:
        record(
            session,
            Action.USER_CHANGE,
            actor_id=user.id,
            actor=user.email,
            target=f"user:{user.id}",
            before=changed,
            after={name: getattr(user, name) for name in changed},
            by=identity.provider,
        )


def end_invitations(session: Session, user_id: uuid.UUID) -> None:
    """Make the links of this user worthless: they may lie in a mailbox that is not theirs any more."""
    session.execute(delete(Invitation).where(Invitation.user_id == user_id))


def _verified_email(claims: Claims) -> str | None:
    """The address, if the provider has verified it and people could be invited by it."""
    if claims.email is None or not claims.email_verified:
        return None
    try:
        email = clean_email(claims.email)
    except InvalidEmail:
        return None
    # Nobody has an address there. A provider that says so cannot be believed.
    return None if is_reserved(email) else email


def verified_addresses(session: Session, user_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these users whose address is one that a provider verified at the last sign-in there."""
    vouching = (
        select(LinkedIdentity.id)
        .where(
            LinkedIdentity.user_id == User.id,
            LinkedIdentity.email_verified,
            func.lower(LinkedIdentity.email) == func.lower(User.email),
        )
        .exists()
    )
    return set(session.scalars(select(User.id).where(User.id.in_(user_ids), vouching)))


def enabled_user(session: Session, user_id: uuid.UUID) -> User:
    user = session.get(User, user_id)
    if user is None:
        raise SignInFailure(FailureCode.INVITATION_INVALID, f"there is no user {user_id} any more")
    if user.disabled_at is not None:
        detail = f"to enable it: combine user enable {user.email}"
        raise SignInFailure(FailureCode.ACCOUNT_DISABLED, detail)
    return user


# The identities of a user.


def link(session: Session, user_id: uuid.UUID, provider: str, claims: Claims) -> bool:
    """Add this identity to this user; ``False`` if they have it. Raises SignInFailure if it is another's."""
    identity = _find_or_lock(session, claims)
    if identity is None:
        _add(session, user_id, provider, claims)
        return True
    if identity.user_id != user_id:
        detail = f"the identity belongs to another user than {user_id}"
        raise SignInFailure(FailureCode.IDENTITY_IN_USE, detail)
    _update(identity, claims)
    return False


def list_identities(session: Session, user_id: uuid.UUID) -> Sequence[LinkedIdentity]:
    """The identities of this user, the oldest first; at most ``MAX_LISTED``."""
    return session.scalars(
        select(LinkedIdentity)
        .where(LinkedIdentity.user_id == user_id)
        .order_by(LinkedIdentity.id)
        .limit(MAX_LISTED)
    ).all()


def unlink(session: Session, user_id: uuid.UUID, identity_id: uuid.UUID) -> LinkedIdentity | None:
    """Remove this identity from this user and return it, if they have it. Raises LastIdentity."""
    # Locked, so that two requests cannot each remove the other's last identity.
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
    of_issuer = (
        select(LinkedIdentity)
        .where(LinkedIdentity.issuer == claims.issuer)
        # Locked, so that it cannot be unlinked before this sign-in ends.
        .with_for_update()
    )
    known = session.scalars(of_issuer.where(LinkedIdentity.subject == claims.subject)).first()
    if known is not None or not (claims.recognise_by_oid and claims.tenant and claims.object_id):
        return known
    same_person = session.scalars(
        of_issuer.where(
            LinkedIdentity.tenant == claims.tenant, LinkedIdentity.object_id == claims.object_id
        )
    ).all()
    if len(same_person) != 1:
        # Nobody; or several accounts, between which nothing here can choose.
        return None
    (identity,) = same_person
    # Another sign-in may have changed it while this one waited for the lock.
    if identity.subject != claims.subject:
        record(
            session,
            Action.IDENTITY_SUBJECT,
            actor_id=identity.user_id,
            target=f"user:{identity.user_id}",
            issuer=claims.issuer,
            before=identity.subject,
            after=claims.subject,
            object_id=claims.object_id,
        )
        identity.subject = claims.subject
    return identity


def _find_or_lock(session: Session, claims: Claims) -> LinkedIdentity | None:
    """The identity. If it does not exist, no other transaction can create it before this one ends."""
    if len(claims.subject) > MAX_SUBJECT or not claims.subject.isprintable():
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
            tenant=claims.tenant,
            object_id=claims.object_id,
            email=_verified_email(claims) or _storable(claims.email, MAX_EMAIL),
            email_verified=claims.email_verified,
        )
    )
    session.flush()


def _update(identity: LinkedIdentity, claims: Claims) -> None:
    identity.tenant, identity.object_id = claims.tenant, claims.object_id
    identity.email = _verified_email(claims) or _storable(claims.email, MAX_EMAIL)
    identity.email_verified = claims.email_verified
    identity.last_sign_in_at = func.now()


def _storable(text: str | None, max_length: int) -> str | None:
    """The text if it can be stored and shown; otherwise ``None``."""
    text = (text or "").strip()
    return text if text and text.isprintable() and len(text) <= max_length else None
