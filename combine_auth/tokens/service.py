"""Create, find and revoke personal access tokens. All times are those of the database's clock."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    Text,
    Uuid,
    and_,
    bindparam,
    cast,
    column,
    func,
    or_,
    select,
    table,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from combine_auth.authentication import CredentialKind, FoundCredential, Proof, sha256, use_is_due
from combine_auth.refused import Refused, clean_name
from combine_auth.tokens.format import PERSONAL
from combine_auth.tokens.model import PersonalAccessToken
from combine_auth.tokens.scopes import (
    FOR_ADMINISTRATORS,
    PLAIN,
    check_grantable,
    known_scopes,
    speaks_for_administrator,
)
from combine_core.database.expiry import delete_expired
from combine_core.users import Identity, Membership, User
from combine_core.users.user_query import find_user_row

DEFAULT_DAYS = 90
MOST_DAYS = 365
MOST_OF_NAME = 100
MOST_ALIVE = 200
MOST_LISTED = 200
# How long an invalid token stays in the list.
KEPT_AFTERWARDS = timedelta(days=90)


_ALIVE = and_(PersonalAccessToken.revoked_at.is_(None), PersonalAccessToken.expires_at > func.now())

# As much as tokens need of a table of combine_core.
_projects = table("projects", column("id", Uuid), column("slug"))

_FIND = (
    select(
        PersonalAccessToken.id,
        PersonalAccessToken.scopes,
        PersonalAccessToken.project_id,
        use_is_due(PersonalAccessToken.last_used_at),
        User.id,
        User.email,
        User.name,
        User.is_admin,
    )
    .join(User, User.id == PersonalAccessToken.user_id)
    .where(
        PersonalAccessToken.token_sha256 == bindparam("token_sha256"),
        _ALIVE,
        User.disabled_at.is_(None),
    )
)


def create_token(
    session: Session,
    user_id: uuid.UUID,
    name: str,
    days: int = DEFAULT_DAYS,
    scopes: Iterable[str] | None = None,
    project: str | None = None,
) -> tuple[str, PersonalAccessToken]:
    """A new token of this user: the text to show once, and its row.

    :param days: how long it works, 1 to ``MOST_DAYS``
    :param scopes: the permissions that it may use; ``None``: all that the user has
    :param project: the slug of the only project that it may be used in; ``None``: all of the user's
    :raises Refused: the name, the days or the scopes are not allowed, or the user has too many
    """
    name = clean_name(name, "A token's name", MOST_OF_NAME)
    chosen = None if scopes is None else known_scopes(scopes)
    user = session.get_one(User, user_id)
    check_grantable(chosen or (), is_admin=user.is_admin)
    if chosen == []:
        raise Refused("The token would be good for nothing. Choose at least one thing it may do.")
    if not 1 <= days <= MOST_DAYS:
        raise Refused(f"A token works for 1 to {MOST_DAYS} days, not {days}.")
    _delete_old(session, user_id)
    alive = session.scalar(
        select(func.count())
        .select_from(PersonalAccessToken)
        .where(PersonalAccessToken.user_id == user_id, _ALIVE)
    )
    if alive is not None and alive >= MOST_ALIVE:
        message = f"There are {alive} tokens that work, and no more are allowed. Revoke one first."
        raise Refused(message)
    token = PERSONAL.new()
    row = PersonalAccessToken(
        user_id=user_id,
        name=name,
        last4=token[-4:],
        token_sha256=sha256(token),
        scopes=chosen,
        project_id=_project_of(session, user_id, project) if project else None,
        expires_at=func.now() + timedelta(days=days),
    )
    session.add(row)
    session.flush()
    return token, row


def _project_of(session: Session, user_id: uuid.UUID, slug: str) -> uuid.UUID:
    """The project of this user with this slug. Raises Refused."""
    found = session.scalar(
        select(_projects.c.id)
        .join(Membership, Membership.project_id == _projects.c.id)
        .where(_projects.c.slug == slug.replace("\0", ""), Membership.user_id == user_id)
    )
    if found is None:
        raise Refused(
            f"The user has no project {slug[:100]!r}. Give the part of its address after /projects/."
        )
    return uuid.UUID(str(found))


def _delete_old(session: Session, user_id: uuid.UUID) -> None:
    long_ago = func.now() - KEPT_AFTERWARDS
    delete_expired(
        session,
        PersonalAccessToken,
        PersonalAccessToken.user_id == user_id,
        or_(PersonalAccessToken.expires_at < long_ago, PersonalAccessToken.revoked_at < long_ago),
    )


def find_token(request: Any, token: str) -> FoundCredential | None:
    """Find the valid token of a user who is not disabled, with one statement."""
    row = find_user_row(request, _FIND, token_sha256=sha256(token))
    if row is None:
        return None
    token_id, scopes, project_id, is_due, user_id, email, name, is_admin = row
    is_admin = project_id is None and speaks_for_administrator(is_admin, scopes)
    identity = Identity(user_id, email, name, is_admin)
    covered = None if scopes is None else frozenset(scopes)
    proof = Proof(identity, CredentialKind.TOKEN, token_id, covered, project_id)
    return FoundCredential(proof, token_id, is_due)


def list_tokens(session: Session, user_id: uuid.UUID) -> Sequence[PersonalAccessToken]:
    """The tokens of this user, at most ``MOST_LISTED``: first the valid ones; each the newest first."""
    return session.scalars(
        select(PersonalAccessToken)
        .where(PersonalAccessToken.user_id == user_id)
        .order_by(_ALIVE.desc(), PersonalAccessToken.id.desc())
        .limit(MOST_LISTED)
    ).all()


def limit_tokens_of(session: Session, user_id: uuid.UUID) -> None:
    """Limit the tokens of this user to what any user may do, and revoke those that then may do nothing."""
    plain = cast(list(PLAIN), ARRAY(Text))
    of_user = update(PersonalAccessToken).where(PersonalAccessToken.user_id == user_id)
    session.execute(
        of_user.where(PersonalAccessToken.scopes.is_(None))
        .values(scopes=plain)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        of_user.where(
            _ALIVE, PersonalAccessToken.scopes.op("&&")(cast(list(FOR_ADMINISTRATORS), ARRAY(Text)))
        )
        .values(revoked_at=func.now())
        .execution_options(synchronize_session=False)
    )


def revoke_token(session: Session, token_id: uuid.UUID, user_id: uuid.UUID | None = None) -> bool:
    """Revoke this token, of this user unless the operator asks; ``False`` if there is none."""
    chosen = [PersonalAccessToken.id == token_id]
    if user_id is not None:
        chosen.append(PersonalAccessToken.user_id == user_id)
    revoked = session.execute(
        update(PersonalAccessToken)
        .where(*chosen)
        .values(revoked_at=func.coalesce(PersonalAccessToken.revoked_at, func.now()))
        .returning(PersonalAccessToken.id)
        .execution_options(synchronize_session=False)
    )
    return revoked.first() is not None
