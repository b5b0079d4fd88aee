"""Creates, invites, promotes, disables, enables and deletes users, and records this in the audit."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import Session

from combine_auth.audit import OPERATOR, Action, record, record_request
from combine_auth.clients.model import OAuthClient
from combine_auth.clients.service import delete_client, list_clients
from combine_auth.failures import Refused, clean_name
from combine_auth.identities.invitations import create_invitation
from combine_auth.identities.model import LinkedIdentity
from combine_auth.identities.service import end_invitations
from combine_auth.oauth_server.grants import revoke_grants_of
from combine_auth.sessions import end_sessions_of
from combine_auth.tokens.scopes import FOR_ADMINISTRATORS
from combine_auth.tokens.service import limit_tokens_of
from combine_core.database import Page, paginate
from combine_core.users import User, add_user, clean_email, find_user

if TYPE_CHECKING:
    from combine_core.users.deletion import Plan

logger = logging.getLogger(__name__)

ADMIN_SUBJECTS = "ADMIN_SUBJECTS"
MAX_USERS_LISTED = 10_000
MAX_NAME_LENGTH = 200


def create_user(session: Session, email: str, name: str | None, *, is_admin: bool) -> User:
    """Create a user, who can sign in after :func:`invite_user`. Raises Refused and InvalidEmail."""
    if name is not None:
        name = clean_name(name, "A name", MAX_NAME_LENGTH)
    user = add_user(session, email, name, is_admin=is_admin)
    if user is None:
        raise Refused(f"A user with the address {email.strip()} already exists.")
    _record(session, Action.USER_CREATE, user, is_admin=is_admin)
    return user


def invite_user(session: Session, user: User, public_url: str) -> str:
    """Create a link that lets the first person who opens it sign in as this user. Earlier links end."""
    if user.disabled_at is not None:
        message = f"{user.email} is disabled. To enable it: combine user enable {user.email}"
        raise Refused(message)
    token = create_invitation(session, user.id)
    _record(session, Action.INVITATION, user)
    return f"{public_url}/auth/invitation?token={token}"


def set_email(session: Session, user: User, email: str) -> None:
    """Change the user's address. Invitations end, because they may have been sent to the old address.

    :raises Refused: the address belongs to another user
    :raises InvalidEmail: the address is not valid
    """
    email = clean_email(email)
    other = find_user(session, email)
    if other is not None and other.id != user.id:
        raise Refused(f"A user with the address {other.email} already exists.")
    before, user.email = user.email, email
    end_invitations(session, user.id)
    session.flush()
    _record(session, Action.USER_CHANGE, user, before={"email": before}, after={"email": email})


def set_administrator(session: Session, user: User, is_admin: bool, *, setting: str = "") -> None:
    """Grant or revoke the rights of an administrator.

    Existing credentials neither get nor keep these rights: sessions end, tokens are limited to the scopes
    of any user, and consents with further scopes are revoked.

    :param setting: the variable that causes the change; empty if an operator does
    """
    if user.is_admin != is_admin:
        user.is_admin = is_admin
        end_sessions_of(session, user.id)
        limit_tokens_of(session, user.id)
        revoke_grants_of(session, user.id, covering=FOR_ADMINISTRATORS)
        action = Action.ADMIN_GRANT if is_admin else Action.ADMIN_REVOKE
        _record(session, action, user, **({"by": setting} if setting else {}))
    # The setting never revokes rights that an operator has granted.
    user.admin_by_setting = is_admin and bool(setting)


def follow_admin_subjects(session: Session, subjects: Collection[str]) -> None:
    """Revoke the rights of administrators whom ADMIN_SUBJECTS no longer names."""
    named = _users_of(subjects)
    unnamed = select(User).where(User.admin_by_setting, User.id.not_in(named)).with_for_update()
    for user in session.scalars(unnamed).all():
        set_administrator(session, user, False, setting=ADMIN_SUBJECTS)
        logger.warning("%s is no longer an administrator: not in %s", user.email, ADMIN_SUBJECTS)


def is_named(session: Session, user: User, subjects: Collection[str]) -> bool:
    """Check whether ADMIN_SUBJECTS names an identity of the user."""
    return session.scalar(_users_of(subjects).where(LinkedIdentity.user_id == user.id)) is not None


def _users_of(subjects: Collection[str]) -> Select[uuid.UUID]:
    identity = LinkedIdentity.issuer + "|" + LinkedIdentity.subject
    return select(LinkedIdentity.user_id).where(identity.in_(subjects))


def disable_user(session: Session, user: User, request: Any = None) -> None:
    """Lock the user out. Sessions end, and tokens are rejected until the user is enabled.

    :param request: the administrator's request; ``None`` for a command of the operator
    :raises Refused: administrators cannot disable themselves
    """
    if request is not None and request.identity.user_id == user.id:
        raise Refused("You cannot disable yourself. Ask another administrator.")
    if user.disabled_at is None:
        user.disabled_at = func.now()
        _record(session, Action.USER_DISABLE, user, request)
    end_sessions_of(session, user.id)


def enable_user(session: Session, user: User, request: Any = None) -> None:
    """Let the user sign in again. Unexpired tokens work again."""
    if user.disabled_at is not None:
        user.disabled_at = None
        _record(session, Action.USER_ENABLE, user, request)


def end_sessions(session: Session, user: User, request: Any) -> None:
    ended = end_sessions_of(session, user.id)
    _record(session, Action.SESSIONS_END_ALL, user, request, ended=ended)


def plan_deletion(session: Session, user: User, *, named: bool = False) -> Plan:
    """Return the data that would be deleted with the user, and the obstacle to the deletion.

    :param named: name the user's projects, which only the user and operators may see
    """
    # Imported here and below because it imports the whole domain, which few commands need.
    from combine_core.users.deletion import Plan, plan_user

    plan = plan_user(session, user.id, named=named)
    clients = len(list_clients(session, user.id))
    takes = {**plan.takes, **({"clients": clients} if clients else {})}
    return Plan(takes, obstacle=_obstacle(session, user) or plan.obstacle)


def delete_user(session: Session, user: User, request: Any = None, *, named: bool = False) -> Plan:
    """Delete a user with all sessions, tokens and consents, and the data of :func:`plan_deletion`.

    :param request: the request of the user or an administrator; ``None`` for a command of the operator
    :returns: the plan that was carried out
    :raises Refused: there is an obstacle to the deletion
    """
    from combine_core.users.deletion import Impossible
    from combine_core.users.deletion import delete_user as remove_user

    # If the last two administrators are deleted at once, the second deletion waits, and is refused.
    administrators = select(User.id).where(User.is_admin, User.disabled_at.is_(None))
    session.execute(administrators.order_by(User.id).with_for_update())
    plan = plan_deletion(session, user, named=named)
    if plan.obstacle is not None:
        raise Refused(plan.obstacle)
    for client in list_clients(session, user.id):
        delete_client(session, client)
    try:
        remove_user(session, user.id, named=named)
    except Impossible as impossible:
        raise Refused(str(impossible)) from impossible
    _record(session, Action.USER_DELETE, user, request, **plan.takes)
    return plan


def _obstacle(session: Session, user: User) -> str | None:
    others = exists().where(User.is_admin, User.disabled_at.is_(None), User.id != user.id)
    if user.is_admin and user.disabled_at is None and not session.scalar(select(others)):
        return (
            "This is the only administrator. Make another user an administrator first:"
            " combine user grant-admin EMAIL"
        )
    client_of_user = select(OAuthClient.client_id).where(OAuthClient.service_user_id == user.id)
    client_id = session.scalar(client_of_user)
    if client_id is not None:
        return f"The client {client_id} acts as this user. Delete the client first."
    return None


def _record(
    session: Session, action: Action, user: User, request: Any = None, **details: Any
) -> None:
    details = {"target": f"user:{user.id}", "email": user.email, **details}
    if request is None:
        record(session, action, actor=OPERATOR, **details)
    else:
        record_request(request, action, session=session, **details)


def user_of_id(session: Session, user_id: uuid.UUID) -> User | None:
    """Return the user with this id, locked until the transaction ends."""
    return session.get(User, user_id, with_for_update=True)


def user_with_email(session: Session, email: str) -> User:
    """Return the user with this address. Raises Refused if there is none."""
    user = find_user(session, email.strip())
    if user is None:
        message = f"There is no user {email.strip()}. To create one: combine user create EMAIL"
        raise Refused(message)
    return user


def list_users(session: Session) -> Sequence[User]:
    """Return at most ``MAX_USERS_LISTED`` users, oldest first."""
    return session.scalars(select(User).order_by(User.id).limit(MAX_USERS_LISTED)).all()


def page_of_users(
    session: Session, *, email: str | None, cursor: str | None, limit: int
) -> Page[User]:
    """Return a page of users, newest first. Raises InvalidCursor."""
    statement = select(User)
    if email is not None:
        address = email.strip().replace("\0", "").lower()
        statement = statement.where(func.lower(User.email) == address)
    return paginate(session, statement, User.id, cursor=cursor, limit=limit)
