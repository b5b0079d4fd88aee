"""Finds or creates the user of an identity, and links identities to users.

Issuer and subject identify the user (OpenID Connect Core 1.0, 5.7), or Microsoft's object id after all
subjects have changed. An e-mail address never does: whoever gains control of an address, or of a provider
that does not verify addresses, would gain control of the account too.
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

# The domain of users without a verified address. Project members are invited by users.email, so an
# unverified address must not be stored there.
UNVERIFIED_DOMAIN = "unverified.invalid"
# The tolerated lag of the provider's clock.
CLOCK_LEEWAY = timedelta(seconds=60)
MAX_LISTED = 100


class LastIdentity(ValueError):
    """The user's last identity cannot be removed, because the user could no longer sign in."""


# Sign-in.


def sign_in(
    session: Session, provider: str, claims: Claims, may_sign_up: Callable[[str | None], bool]
) -> tuple[User, bool]:
    """Return the user of this identity, and whether this call created the user.

    Two concurrent sign-ins with the same new identity get the same user.

    :param may_sign_up: checks whether a user may be created with this address, or without one
    :raises SignInFailure: the user is disabled, may not sign up, or has the address of another user
    """
    identity = _find_or_lock(session, claims)
    if identity is None:
        user = _new_user(session, provider, claims, may_sign_up)
        _add(session, user.id, provider, claims)
        return user, True
    return _sign_in_again(session, identity, claims), False


def confirm(session: Session, user_id: uuid.UUID, claims: Claims, begun_at: datetime) -> User:
    """Verify that the user has signed in again to confirm an action, and return the user.

    :param begun_at: the claim ``auth_time``, if the provider sends it, must be later than this
    :raises SignInFailure: another user signed in, or the provider did not authenticate the person again
    """
    identity = _find(session, claims)
    if identity is None or identity.user_id != user_id:
        raise SignInFailure(FailureCode.WRONG_USER, f"the identity is not one of user {user_id}")
    if claims.auth_time is not None and claims.auth_time < begun_at - CLOCK_LEEWAY:
        detail = (
            f"the provider last authenticated the person at {claims.auth_time.isoformat()}, before"
            " this attempt"
        )
        raise SignInFailure(FailureCode.NOT_FRESH, detail)
    return _sign_in_again(session, identity, claims)


def _sign_in_again(session: Session, identity: LinkedIdentity, claims: Claims) -> User:
    user = enabled_user(session, identity.user_id)
    owned = identity.email_verified and (identity.email or "").lower() == user.email.lower()
    _update(identity, claims)
    session.flush()
    _update_profile(session, user, identity, claims, owns_email=owned)
    return user


def _new_user(
    session: Session, provider: str, claims: Claims, may_sign_up: Callable[[str | None], bool]
) -> User:
    email = _verified_email(claims)
    other = None if email is None else find_user(session, email)
    if other is None and not may_sign_up(email):
        detail = f"{email or 'a person without a verified address'} was not invited"
        raise SignInFailure(FailureCode.NOT_INVITED, detail)
    if email is not None:
        user = None if other else add_user(session, email, claims.name)
        if user is None:
            if other is not None and _has_unopened_invitation(session, other):
                detail = f"{email} was invited, but has not opened the link"
                raise SignInFailure(FailureCode.INVITATION_UNOPENED, detail)
            detail = f"another user already has the address {email:.200}"
            raise SignInFailure(FailureCode.EMAIL_IN_USE, detail)
        return user
    claimed = (claims.email or "").partition("@")[0]
    name = claims.name or claimed or f"Somebody from {provider}"
    user = add_user(session, f"{_digest(claims).hex()[:20]}@{UNVERIFIED_DOMAIN}", name)
    if user is None:
        # The identity was unlinked earlier, and the user that it created still exists.
        detail = "the identity was unlinked from the user that it created"
        raise SignInFailure(FailureCode.EMAIL_IN_USE, detail)
    return user


def _has_unopened_invitation(session: Session, user: User) -> bool:
    """Check whether the user has an unused invitation and no identity."""
    unused = select(Invitation.id).where(
        Invitation.user_id == user.id, Invitation.used_at.is_(None)
    )
    return session.scalar(unused) is not None and not list_identities(session, user.id)


def _update_profile(
    session: Session, user: User, identity: LinkedIdentity, claims: Claims, *, owns_email: bool
) -> None:
    """Update the user's name and verified address from the provider.

    An address that another identity verifies, or that an operator has set, does not change.

    :param owns_email: whether the user's address was the verified one of this identity until now
    """
    # The first sign-in with this identity may have created the user, with the provider's name and address.
    if not (owns_email or identity.created_at == user.created_at):
        return
    before = {"email": user.email, "name": user.name}
    user.name = claims.name or user.name
    email = _verified_email(claims)
    if email is not None and not verified_addresses(session, [user.id]):
        try:
            with session.begin_nested():
                user.email = email
        except IntegrityError:
            session.refresh(user)
            logger.warning(
                "The provider's address for user %s belongs to another user. %s keeps an address that"
                " no provider verifies. To see both accounts: combine user show %s",
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
    """Delete the invitations of this user: the links may be in a mailbox that they no longer own."""
    session.execute(delete(Invitation).where(Invitation.user_id == user_id))


def _verified_email(claims: Claims) -> str | None:
    """Return the address if the provider has verified it and it is well-formed."""
    if claims.email is None or not claims.email_verified:
        return None
    try:
        email = clean_email(claims.email)
    except InvalidEmail:
        return None
    # Nobody can have an address in a reserved domain, whatever the provider claims.
    return None if is_reserved(email) else email


def verified_addresses(session: Session, user_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Return those of the users whose address a provider verified at the last sign-in with it."""
    is_verified = (
        select(LinkedIdentity.id)
        .where(
            LinkedIdentity.user_id == User.id,
            LinkedIdentity.email_verified,
            func.lower(LinkedIdentity.email) == func.lower(User.email),
        )
        .exists()
    )
    return set(session.scalars(select(User.id).where(User.id.in_(user_ids), is_verified)))


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
    """Add the identity to the user; ``False`` if they have it already.

    :raises SignInFailure: the identity belongs to another user
    """
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
    """Return at most ``MAX_LISTED`` identities of this user, oldest first."""
    return session.scalars(
        select(LinkedIdentity)
        .where(LinkedIdentity.user_id == user_id)
        .order_by(LinkedIdentity.id)
        .limit(MAX_LISTED)
    ).all()


def unlink(session: Session, user_id: uuid.UUID, identity_id: uuid.UUID) -> LinkedIdentity | None:
    """Remove the identity from the user, and return it; ``None`` if they lack it. Raises LastIdentity."""
    # Locked, so that two requests cannot each remove the other's last identity.
    held = session.scalars(
        select(LinkedIdentity).where(LinkedIdentity.user_id == user_id).with_for_update()
    ).all()
    removed = next((identity for identity in held if identity.id == identity_id), None)
    if removed is None:
        return None
    if len(held) == 1:
        raise LastIdentity
    session.execute(delete(LinkedIdentity).where(LinkedIdentity.id == identity_id))
    return removed


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
        # No account, or several that match equally.
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
    """Return the identity; if it does not exist, lock it, so that no other transaction creates it."""
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
            email=_verified_email(claims) or claims.email,
            email_verified=claims.email_verified,
        )
    )
    session.flush()


def _update(identity: LinkedIdentity, claims: Claims) -> None:
    identity.tenant, identity.object_id = claims.tenant, claims.object_id
    identity.email = _verified_email(claims) or claims.email
    identity.email_verified = claims.email_verified
    identity.last_sign_in_at = func.now()
