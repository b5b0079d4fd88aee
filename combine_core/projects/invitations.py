"""Links that invite people into a project.

An owner makes a link and sends it to somebody. Whoever accepts it, while signed in, becomes a member. A
link works once and for some days, and no longer when it is revoked, or when the person who made it owns
the project no more. All times are those of the database's clock.
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
from combine_core.database.expiry import delete_expired
from combine_core.projects.members import Notify, RoleChange
from combine_core.projects.model import InvitationState, Project, ProjectInvitation
from combine_core.users import Deed, Membership, Role

DEFAULT_DAYS = 7
MOST_DAYS = 30
MOST_OPEN = 100
# How long a link that has ended stays in the list.
KEPT_AFTERWARDS = timedelta(days=90)
# 256 random bits in base64url, as `secrets.token_urlsafe(32)` makes them.
TOKEN_PATTERN = "[A-Za-z0-9_-]{43}"  # noqa: S105 - a pattern

_WHY_ENDED = {
    InvitationState.USED: "This link has been used, and a link works once.",
    InvitationState.EXPIRED: "This link has expired.",
    InvitationState.REVOKED: "This link was revoked.",
}


class UnknownInvitation(LookupError):
    """There is no such link."""


class InvitationEnded(ValueError):
    """The link is not open any more."""

    def __init__(self, state: InvitationState) -> None:
        super().__init__(f"{_WHY_ENDED[state]} Ask the person who sent it for another one.")


class TooManyInvitations(ValueError):
    """The project has ``MOST_OPEN`` open links."""

    def __init__(self) -> None:
        super().__init__(
            f"There are {MOST_OPEN} open links, and no more are allowed. Revoke one first."
        )


def create_invitation(
    session: Session,
    project_id: uuid.UUID,
    maker_id: uuid.UUID,
    role: Role,
    *,
    days: int = DEFAULT_DAYS,
    notify: Callable[[Deed], object],
) -> tuple[str, ProjectInvitation]:
    """A new link: its token, to show once, and its row.

    :param days: how long it works, 1 to ``MOST_DAYS``
    :raises TooManyInvitations: revoke one first
    """
    delete_expired(
        session,
        ProjectInvitation,
        ProjectInvitation.project_id == project_id,
        ProjectInvitation.expires_at < func.now() - KEPT_AFTERWARDS,
    )
    is_open = ProjectInvitation.state == InvitationState.OPEN
    of_project = select(func.count()).where(ProjectInvitation.project_id == project_id, is_open)
    if (session.scalar(of_project) or 0) >= MOST_OPEN:
        raise TooManyInvitations
    token = secrets.token_urlsafe(32)
    invitation = ProjectInvitation(
        project_id=project_id,
        role=role,
        token_sha256=_sha256(token),
        created_by=maker_id,
        expires_at=func.now() + timedelta(days=max(1, min(days, MOST_DAYS))),
    )
    session.add(invitation)
    session.flush()
    notify(_deed("project-invite", project_id, invitation.id, role))
    return token, read_invitation(session, project_id, invitation.id)


def _deed(action: str, project_id: uuid.UUID, invitation_id: uuid.UUID, role: str) -> Deed:
    return Deed(action, f"invitation:{invitation_id}", {"project": project_id, "role": role})


def list_invitations(
    session: Session, project_id: uuid.UUID, *, cursor: str | None = None, limit: int = 50
) -> Page[ProjectInvitation]:
    """The links of a project, with who made and who used them, newest first."""
    statement = _with_people().where(ProjectInvitation.project_id == project_id)
    return paginate(session, statement, ProjectInvitation.id, cursor=cursor, limit=limit)


def read_invitation(
    session: Session, project_id: uuid.UUID, invitation_id: uuid.UUID
) -> ProjectInvitation:
    """A link of the project, with who made and who used it.

    :raises UnknownInvitation: the project has no such link
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
    notify: Callable[[Deed], object],
) -> None:
    """Revoke a link. That of one that is revoked has no effect.

    :raises UnknownInvitation: the project has no such link
    :raises InvitationEnded: the link was used
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
        notify(_deed("project-invite-revoke", project_id, invitation_id, role))
    elif read_invitation(session, project_id, invitation_id).used_at is not None:
        raise InvitationEnded(InvitationState.USED)


def find_invitation(session: Session, token: str) -> ProjectInvitation:
    """The link of this token, in whatever state, with its project and who made it.

    :raises UnknownInvitation: there is no such link
    """
    return _found(session, token, select(ProjectInvitation))


def accept_invitation(
    session: Session, token: str, user_id: uuid.UUID, *, notify: Notify
) -> tuple[Project, Role]:
    """Make the user a member by this link, and return the project and the user's role in it.

    Of two who accept one link at once, the second waits for the first. A member stays what they are, and
    the link stays open.

    :raises UnknownInvitation: there is no such link
    :raises InvitationEnded: the link is not open any more
    """
    locked = select(ProjectInvitation).with_for_update(of=ProjectInvitation)
    invitation = _found(session, token, locked)
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
    """Whether the user has become a member, and was none before."""
    joined = session.scalar(
        insert(Membership)
        .values(project_id=invitation.project_id, user_id=user_id, role=invitation.role)
        .on_conflict_do_nothing()
        .returning(Membership.user_id)
    )
    return joined is not None


def _found(session: Session, token: str, statement: Select[ProjectInvitation]) -> ProjectInvitation:
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
