"""Which user an identity signs in, and how a user gets another identity.

Issuer and subject decide (OpenID Connect Core 1.0, 5.7), and Microsoft's object id where all subjects
have changed. An e-mail address never finds an
account: whoever gains control of an address, or of a provider that does not verify addresses, would
gain control of the account too.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from combine_auth.audit import Action, record
from combine_auth.authentication import RANDOM, sha256
from combine_auth.failures import FailureCode, SignInFailure
from combine_auth.identities.model import Invitation, LinkedIdentity
from combine_core.users import InvalidEmail, User, add_user, clean_email

if TYPE_CHECKING:
    from combine_auth.openid import Claims

# The domain of users without a verified address. Project members are invited by users.email, so a
# merely claimed address must not be stored there.
UNVERIFIED_DOMAIN = "unverified.invalid"
INVITATION_LIFETIME = timedelta(days=7)
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


def sign_in(session: Session, provider: str, claims: Claims) -> tuple[User, bool]:
    """Return the user of this identity, creating one if it is new, and whether it was created.

    Two concurrent sign-ins with the same new identity get the same user.

    :raises SignInFailure: the user is disabled, or a new user's address belongs to another user
    """
    identity = _find_or_lock(session, claims)
    if identity is None:
        user = _new_user(session, provider, claims)
        _add(session, user.id, provider, claims)
        return user, True
    _update(identity, claims)
    user = _enabled_user(session, identity.user_id)
    _replace_placeholder(session, user, claims)
    return user, False


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
    _update(identity, claims)
    return _enabled_user(session, user_id)


def _new_user(session: Session, provider: str, claims: Claims) -> User:
    name = _storable(claims.name, MAX_NAME)
    if claims.email is not None and claims.email_verified:
        try:
            user = add_user(session, claims.email, name)
        except InvalidEmail:
            pass  # Nobody could be invited by it, so it is treated as if it were missing.
        else:
            if user is None:
                detail = f"a user has the address {claims.email:.200} already"
                raise SignInFailure(FailureCode.EMAIL_IN_USE, detail)
            return user
    claimed = _storable((claims.email or "").partition("@")[0], MAX_NAME)
    user = add_user(session, _placeholder(claims), name or claimed or f"Somebody from {provider}")
    if user is None:
        # The identity was unlinked earlier, and the user that it created still exists.
        detail = "the identity signed in a user before, from whom it was unlinked"
        raise SignInFailure(FailureCode.EMAIL_IN_USE, detail)
    return user


def _placeholder(claims: Claims) -> str:
    return f"{_digest(claims).hex()[:20]}@{UNVERIFIED_DOMAIN}"


def _replace_placeholder(session: Session, user: User, claims: Claims) -> None:
    """Replace a placeholder address as soon as the provider has verified a real one."""
    if not (claims.email and claims.email_verified and user.email == _placeholder(claims)):
        return
    try:
        email = clean_email(claims.email)
        with session.begin_nested():
            user.email = email
    except InvalidEmail:
        return
    except IntegrityError:
        # Another user has this address. This one keeps the placeholder.
        session.refresh(user)


def _enabled_user(session: Session, user_id: uuid.UUID) -> User:
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
            email=_storable(claims.email, MAX_EMAIL),
            email_verified=claims.email_verified,
        )
    )
    session.flush()


def _update(identity: LinkedIdentity, claims: Claims) -> None:
    identity.tenant, identity.object_id = claims.tenant, claims.object_id
    identity.email = _storable(claims.email, MAX_EMAIL)
    identity.email_verified = claims.email_verified
    identity.last_sign_in_at = func.now()


def _storable(text: str | None, max_length: int) -> str | None:
    """The text if it can be stored and shown; otherwise ``None``."""
    text = (text or "").strip()
    return text if text and text.isprintable() and len(text) <= max_length else None


# Invitations. All times are those of the database's clock.


def create_invitation(session: Session, user_id: uuid.UUID) -> str:
    """Make a link for this user and return its token, 256 bits. Earlier links of the user end."""
    session.execute(delete(Invitation).where(Invitation.user_id == user_id))
    token = secrets.token_urlsafe(32)
    session.add(
        Invitation(
            user_id=user_id,
            token_sha256=sha256(token),
            expires_at=func.now() + INVITATION_LIFETIME,
        )
    )
    session.flush()
    return token


def invited_user(session: Session, token: str) -> User | None:
    """The user whom the link invites; ``None`` if it is unknown, used, expired or withdrawn."""
    if not RANDOM.fullmatch(token):
        return None
    return session.scalars(
        select(User)
        .join(Invitation, Invitation.user_id == User.id)
        .where(
            Invitation.token_sha256 == sha256(token),
            Invitation.used_at.is_(None),
            Invitation.expires_at > func.now(),
            User.disabled_at.is_(None),
        )
    ).first()


def accept_invitation(
    session: Session, user_id: uuid.UUID, begun_at: datetime, provider: str, claims: Claims
) -> User:
    """Use the user's invitation up, add this identity to the user, and return the user.

    :param begun_at: when the person came with the link; a newer link is not used up
    :raises SignInFailure: the link was used meanwhile, or the identity belongs to another user
    """
    used = session.execute(
        update(Invitation)
        .where(
            Invitation.user_id == user_id,
            Invitation.used_at.is_(None),
            Invitation.expires_at > func.now(),
            Invitation.created_at <= begun_at,
        )
        .values(used_at=func.now())
        .returning(Invitation.id)
        .execution_options(synchronize_session=False)
    )
    if used.first() is None:
        detail = f"the invitation of user {user_id} was used or replaced meanwhile"
        raise SignInFailure(FailureCode.INVITATION_INVALID, detail)
    user = _enabled_user(session, user_id)
    link(session, user_id, provider, claims)
    return user
