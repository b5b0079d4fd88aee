"""Creates, finds and revokes personal access tokens, and revokes secrets that were found in public.

All times are from the database's clock.
"""

from __future__ import annotations

import logging
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

from combine_auth.audit import Action, record_request
from combine_auth.authentication import CredentialKind, FoundCredential, Proof, sha256, use_is_due
from combine_auth.clients.model import OAuthClient
from combine_auth.failures import Refused, clean_name
from combine_auth.oauth_server.grants import revoke_grant
from combine_auth.oauth_server.issued_tokens import find_grant_of
from combine_auth.tokens.format import ACCESS, CLIENT_SECRET, PERSONAL, REFRESH
from combine_auth.tokens.model import PersonalAccessToken
from combine_auth.tokens.scopes import (
    FOR_ADMINISTRATORS,
    PLAIN,
    acts_as_administrator,
    check_grantable,
    parse_scopes,
)
from combine_core.database.metadata import delete_expired
from combine_core.users import Identity, Membership, User
from combine_core.users.user_query import find_user_row

logger = logging.getLogger(__name__)

DEFAULT_DAYS = 90
MAX_DAYS = 365
MAX_NAME = 100
MAX_ACTIVE = 200
MAX_LISTED = 200
# How long an invalid token stays in the list.
KEPT_AFTER_EXPIRY = timedelta(days=90)


_ACTIVE = and_(
    PersonalAccessToken.revoked_at.is_(None), PersonalAccessToken.expires_at > func.now()
)

# The columns that tokens need of a table of combine_core.
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
        _ACTIVE,
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
    """Create a token for this user, and return its text, which is shown once, and its row.

    :param days: the lifetime in days, 1 to ``MAX_DAYS``
    :param scopes: the permissions that it may use; ``None`` for all of the user's
    :param project: the slug of the only project that it may be used in; ``None`` for all of the user's
    :raises Refused: the name, the days or the scopes are not valid, or the user has too many tokens
    """
    name = clean_name(name, "A token's name", MAX_NAME)
    chosen = None if scopes is None else parse_scopes(scopes)
    user = session.get_one(User, user_id)
    check_grantable(chosen or (), is_admin=user.is_admin)
    if chosen == []:
        raise Refused("The token would have no permission. Choose at least one scope.")
    if not 1 <= days <= MAX_DAYS:
        raise Refused(f"A token can be valid for 1 to {MAX_DAYS} days, not {days}.")
    _delete_old(session, user_id)
    active = session.scalar(
        select(func.count())
        .select_from(PersonalAccessToken)
        .where(PersonalAccessToken.user_id == user_id, _ACTIVE)
    )
    if active is not None and active >= MAX_ACTIVE:
        message = f"This user has the maximum of {active} valid tokens. Revoke one first."
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
    """Return the id of the user's project with this slug. Raises Refused if there is none."""
    found = session.scalar(
        select(_projects.c.id)
        .join(Membership, Membership.project_id == _projects.c.id)
        .where(_projects.c.slug == slug.replace("\0", ""), Membership.user_id == user_id)
    )
    if found is None:
        raise Refused(
            f"The user has no project {slug[:100]!r}. Use the part of its address after /projects/."
        )
    return uuid.UUID(str(found))


def _delete_old(session: Session, user_id: uuid.UUID) -> None:
    long_ago = func.now() - KEPT_AFTER_EXPIRY
    delete_expired(
        session,
        PersonalAccessToken,
        PersonalAccessToken.user_id == user_id,
        or_(PersonalAccessToken.expires_at < long_ago, PersonalAccessToken.revoked_at < long_ago),
    )


def find_token(request: Any, token: str) -> FoundCredential | None:
    """Find a valid token of an enabled user, in one statement."""
    row = find_user_row(request, _FIND, token_sha256=sha256(token))
    if row is None:
        return None
    token_id, scopes, project_id, is_due, user_id, email, name, is_admin = row
    is_admin = project_id is None and acts_as_administrator(is_admin, scopes)
    identity = Identity(user_id, email, name, is_admin)
    limited_to = None if scopes is None else frozenset(scopes)
    proof = Proof(identity, CredentialKind.TOKEN, token_id, limited_to, project_id)
    return FoundCredential(proof, token_id, is_due)


def list_tokens(session: Session, user_id: uuid.UUID) -> Sequence[PersonalAccessToken]:
    """Return at most ``MAX_LISTED`` tokens of this user: the valid ones first, then newest first."""
    return session.scalars(
        select(PersonalAccessToken)
        .where(PersonalAccessToken.user_id == user_id)
        .order_by(_ACTIVE.desc(), PersonalAccessToken.id.desc())
        .limit(MAX_LISTED)
    ).all()


def limit_tokens_of(session: Session, user_id: uuid.UUID) -> None:
    """Limit this user's tokens to the scopes of any user; revoke those with an administrator's scope."""
    plain = cast(list(PLAIN), ARRAY(Text))
    of_user = update(PersonalAccessToken).where(PersonalAccessToken.user_id == user_id)
    session.execute(
        of_user.where(PersonalAccessToken.scopes.is_(None))
        .values(scopes=plain)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        of_user.where(
            _ACTIVE,
            PersonalAccessToken.scopes.op("&&")(cast(list(FOR_ADMINISTRATORS), ARRAY(Text))),
        )
        .values(revoked_at=func.now())
        .execution_options(synchronize_session=False)
    )


def revoke_token(session: Session, token_id: uuid.UUID, user_id: uuid.UUID | None = None) -> bool:
    """Revoke the token (of this user, if given); ``False`` if there is none."""
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


def revoke_leaked(request: Any, secret: str) -> None:
    """Revoke a personal access token, a client's token with its grant, or a client's secret.

    The response does not reveal whether the text was one of them, so guessing is useless.
    """
    session: Session = request.dbsession
    target: str | None = None
    owner: uuid.UUID | None = None
    if PERSONAL.is_valid(secret):
        target, owner = _revoke_personal_token(session, secret)
    elif ACCESS.is_valid(secret) or REFRESH.is_valid(secret):
        target, owner = _revoke_client_token(session, secret)
    elif CLIENT_SECRET.is_valid(secret):
        target, owner = _invalidate_client_secret(session, secret)
    if target is None:
        return
    record_request(
        request,
        Action.TOKEN_LEAKED,
        target=target,
        outcome="revoked",
        actor="whoever reported it",
        owner=None if owner is None else str(owner),
    )
    logger.warning("a secret was found in public and revoked: %s", target)


_TargetAndOwner = tuple[str | None, uuid.UUID | None]


def _revoke_personal_token(session: Session, secret: str) -> _TargetAndOwner:
    row = session.execute(
        update(PersonalAccessToken)
        .where(
            PersonalAccessToken.token_sha256 == sha256(secret),
            PersonalAccessToken.leaked_at.is_(None),
        )
        .values(
            leaked_at=func.now(),
            revoked_at=func.coalesce(PersonalAccessToken.revoked_at, func.now()),
        )
        .returning(PersonalAccessToken.id, PersonalAccessToken.user_id)
        .execution_options(synchronize_session=False)
    ).first()
    return (None, None) if row is None else (f"token:{row[0]}", row[1])


def _revoke_client_token(session: Session, secret: str) -> _TargetAndOwner:
    found = find_grant_of(session, secret)
    if found is None:
        return None, None
    grant_id, user_id = found
    revoke_grant(session, grant_id)
    return f"grant:{grant_id}", user_id


def _invalidate_client_secret(session: Session, secret: str) -> _TargetAndOwner:
    """Invalidate the secret. Until a rotation, the client gets no tokens, unless it has another secret."""
    digest = sha256(secret)
    client = session.scalars(
        select(OAuthClient)
        .where(or_(OAuthClient.secret_sha256 == digest, OAuthClient.old_secret_sha256 == digest))
        .with_for_update()
    ).first()
    if client is None:
        return None, None
    if client.old_secret_sha256 == digest:
        client.old_secret_sha256 = client.old_secret_until = None
    else:
        # The hash of an unknown secret, so that the client stays confidential.
        client.secret_sha256 = sha256(CLIENT_SECRET.new())
    return f"client:{client.client_id}", client.owner_id
