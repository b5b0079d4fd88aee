"""Creates, revokes and accepts links that invite people to a project.

An owner creates a link and sends it to a person. A signed-in person who accepts it becomes a member. A link
can be used once and expires after some days. It also becomes invalid if it is revoked, or if its creator no
longer owns the project. All times are times of the database's clock.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, joinedload

from combine_core.database import Page, paginate
from combine_core.database.metadata import delete_expired
from combine_core.projects.members import Notify, RoleChange
from combine_core.projects.model import InvitationState, Project, ProjectInvitation
from combine_core.users import Membership, Role, UserAction

DEFAULT_DAYS = 7
MAX_DAYS = 30
MAX_OPEN = 100
# Invalid links stay in the list for this long.
ENDED_LINKS_KEPT = timedelta(days=90)
# 256 random bits in base64url, as `secrets.token_urlsafe(32)` makes them.
TOKEN_PATTERN = "[A-Za-z0-9_-]{43}"  # noqa: S105 - a pattern

_END_MESSAGES = {
    InvitationState.USED: "This link has been used already, and a link works only once.",
    InvitationState.EXPIRED: "This link has expired.",
    InvitationState.REVOKED: "This link was revoked.",
}


class UnknownInvitation(LookupError):
    """Raised when the link does not exist."""


class InvitationEnded(ValueError):
    """Raised when the link is no longer open."""

    def __init__(self, state: InvitationState) -> None:
        super().__init__(f"{_END_MESSAGES[state]} Ask the person who sent it for a new one.")


class TooManyInvitations(ValueError):
    """Raised when the project already has ``MAX_OPEN`` open links."""

    def __init__(self) -> None:
        super().__init__(
            f"The project has {MAX_OPEN} open links, and no more are allowed. Revoke one first."
        )


def create_invitation(
    session: Session,
    project_id: uuid.UUID,
    maker_id: uuid.UUID,
    role: Role,
    *,
    days: int = DEFAULT_DAYS,
    notify: Callable[[UserAction], object],
) -> tuple[str, ProjectInvitation]:
    """Create a link. Return its token, which is shown only once, and its row.

    :param days: the lifetime of the link, 1 to ``MAX_DAYS``
    :raises TooManyInvitations: if the project already has ``MAX_OPEN`` open links
    """
    delete_expired(
        session,
        ProjectInvitation,
        ProjectInvitation.project_id == project_id,
        ProjectInvitation.expires_at < func.now() - ENDED_LINKS_KEPT,
    )
    is_open = ProjectInvitation.state == InvitationState.OPEN
    of_project = select(func.count()).where(ProjectInvitation.project_id == project_id, is_open)
    if (session.scalar(of_project) or 0) >= MAX_OPEN:
        raise TooManyInvitations
    token = secrets.token_urlsafe(32)
    invitation = ProjectInvitation(
        project_id=project_id,
        role=role,
        token_sha256=_sha256(token),
        created_by=maker_id,
        expires_at=func.now() + timedelta(days=max(1, min(days, MAX_DAYS))),
    )
    session.add(invitation)
    session.flush()
    notify(_action("project-invite", project_id, invitation.id, role))
    return token, read_invitation(session, project_id, invitation.id)


def renew_invitation(
    session: Session,
    project_id: uuid.UUID,
    maker_id: uuid.UUID,
    role: Role,
    *,
    days: int,
    within: timedelta,
) -> str | None:
    """Give the equal open link that the user created ``within`` this time a new token, and return the token.

    Only the hash of a token is stored, so the first one cannot be shown again. It stops working.
    """
    token = secrets.token_urlsafe(32)
    renewed = session.scalar(
        update(ProjectInvitation)
        .where(
            ProjectInvitation.project_id == project_id,
            ProjectInvitation.created_by == maker_id,
            ProjectInvitation.role == role,
            ProjectInvitation.created_at > func.now() - within,
            ProjectInvitation.expires_at == ProjectInvitation.created_at + timedelta(days=days),
            ProjectInvitation.used_at.is_(None),
            ProjectInvitation.revoked_at.is_(None),
        )
        .values(token_sha256=_sha256(token))
        .returning(ProjectInvitation.id)
        .execution_options(synchronize_session=False)
    )
    return token if renewed is not None else None


def _action(action: str, project_id: uuid.UUID, invitation_id: uuid.UUID, role: str) -> UserAction:
    return UserAction(action, f"invitation:{invitation_id}", {"project": project_id, "role": role})


def list_invitations(
    session: Session, project_id: uuid.UUID, *, cursor: str | None = None, limit: int = 50
) -> Page[ProjectInvitation]:
    """List the links of a project with their creators and users, newest first."""
    statement = _with_people().where(ProjectInvitation.project_id == project_id)
    return paginate(session, statement, ProjectInvitation.id, cursor=cursor, limit=limit)


def read_invitation(
    session: Session, project_id: uuid.UUID, invitation_id: uuid.UUID
) -> ProjectInvitation:
    """Return a link of the project with its creator and user.

    :raises UnknownInvitation: if the project does not have this link
    """
    found = session.scalar(
        _with_people()
        .where(ProjectInvitation.id == invitation_id, ProjectInvitation.project_id == project_id)
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise UnknownInvitation
    return found


def revoke_invitation(
    session: Session,
    project_id: uuid.UUID,
    invitation_id: uuid.UUID,
    *,
    notify: Callable[[UserAction], object],
) -> None:
    """Revoke a link. Repeating this has no effect.

    :raises UnknownInvitation: if the project does not have this link
    :raises InvitationEnded: if the link was used
    """
    role = session.scalar(
        update(ProjectInvitation)
        .where(
            ProjectInvitation.id == invitation_id,
            ProjectInvitation.project_id == project_id,
            ProjectInvitation.used_at.is_(None),
            ProjectInvitation.revoked_at.is_(None),
        )
        .values(revoked_at=func.now())
        .returning(ProjectInvitation.role)
        .execution_options(synchronize_session=False)
    )
    if role is not None:
        notify(_action("project-invite-revoke", project_id, invitation_id, role))
    elif read_invitation(session, project_id, invitation_id).used_at is not None:
        raise InvitationEnded(InvitationState.USED)


def find_invitation(session: Session, token: str) -> ProjectInvitation:
    """Return the link with this token, in any state, with its project and creator.

    :raises UnknownInvitation: if the link does not exist
    """
    return _find(session, token, select(ProjectInvitation))


def accept_invitation(
    session: Session, token: str, user_id: uuid.UUID, *, notify: Notify
) -> tuple[Project, Role]:
    """Make the user a member with this link, and return the project and the user's role in it.

    If two users accept a link at the same time, the second waits for the first. An existing member keeps the
    current role, and the link stays open.

    :raises UnknownInvitation: if the link does not exist
    :raises InvitationEnded: if the link is no longer open
    """
    locked = select(ProjectInvitation).with_for_update(of=ProjectInvitation)
    invitation = _find(session, token, locked)
    project_id = invitation.project_id
    if invitation.state == InvitationState.OPEN and _join(session, invitation, user_id):
        invitation.used_at = func.now()
        invitation.used_by = user_id
        session.flush()
        role = Role(invitation.role)
        notify(RoleChange(project_id, user_id, None, role, invitation_id=invitation.id))
    membership = session.get(Membership, (project_id, user_id))
    if membership is None:
        raise InvitationEnded(InvitationState(invitation.state))
    return invitation.project, Role(membership.role)


def _join(session: Session, invitation: ProjectInvitation, user_id: uuid.UUID) -> bool:
    """Add the user as a member. Return whether the user was not a member before."""
    joined = session.scalar(
        insert(Membership)
        .values(project_id=invitation.project_id, user_id=user_id, role=invitation.role)
        .on_conflict_do_nothing()
        .returning(Membership.user_id)
    )
    return joined is not None


def _find(session: Session, token: str, statement: Select[ProjectInvitation]) -> ProjectInvitation:
    found = None
    if re.fullmatch(TOKEN_PATTERN, token):
        found = session.scalar(
            statement.where(ProjectInvitation.token_sha256 == _sha256(token))
            .options(
                joinedload(ProjectInvitation.project, innerjoin=True),
                joinedload(ProjectInvitation.maker, innerjoin=True),
            )
            .execution_options(populate_existing=True)
        )
    if found is None:
        raise UnknownInvitation
    return found


def _with_people() -> Select[ProjectInvitation]:
    return select(ProjectInvitation).options(
        joinedload(ProjectInvitation.maker, innerjoin=True), joinedload(ProjectInvitation.user)
    )


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
