"""The endpoints for administrators."""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING, Any

from pyramid.httpexceptions import HTTPConflict, HTTPNoContent, HTTPNotFound
from sqlalchemy import func, select

from combine_auth.audit import Action, record_request
from combine_auth.audit.listing import Wanted, list_events, show_event
from combine_auth.sessions import end_sessions_of
from combine_core.database import paginate
from combine_core.users import User

if TYPE_CHECKING:
    from combine_auth.administration import Administration

Json = dict[str, Any]


def list_audit(request: Any) -> Json:
    """GET /audit."""
    query = dict(request.openapi_validated.parameters.query)
    page = list_events(
        request.dbsession,
        Wanted(
            query.get("user"),
            query.get("action"),
            query.get("outcome"),
            _aware(query.get("since")),
            _aware(query.get("until")),
        ),
        cursor=query.get("cursor"),
        limit=query["limit"],
    )
    return {"items": [show_event(event) for event in page.items], "next": page.next}


def _aware(moment: datetime.datetime | None) -> datetime.datetime | None:
    return moment and moment.replace(tzinfo=moment.tzinfo or datetime.UTC)


def list_users(request: Any) -> Json:
    """GET /users."""
    query = request.openapi_validated.parameters.query
    statement = select(User)
    if "email" in query:
        email = query["email"].strip().replace("\0", "")
        statement = statement.where(func.lower(User.email) == email.lower())
    page = paginate(
        request.dbsession,
        statement,
        User.id,
        cursor=query.get("cursor"),
        limit=query["limit"],
    )
    return {"items": [_show(user) for user in page.items], "next": page.next}


def change_user(context: Administration, request: Any) -> Json:
    """PATCH /users/{user_id}: keep a user out, or let it in again."""
    user = _user(request)
    disabled: bool = request.openapi_validated.body["disabled"]
    if disabled and user.id == context.identity.user_id:
        message = "You cannot disable yourself. Another administrator can."
        raise HTTPConflict(message)
    if disabled != (user.disabled_at is not None):
        user.disabled_at = func.now() if disabled else None
        request.dbsession.flush()
        request.dbsession.refresh(user)
        action = Action.USER_DISABLE if disabled else Action.USER_ENABLE
        record_request(request, action, target=f"user:{user.id}", email=user.email)
    if disabled:
        end_sessions_of(request.dbsession, user.id)
    return _show(user)


def end_sessions(request: Any) -> HTTPNoContent:
    """DELETE /users/{user_id}/sessions: sign a user out everywhere."""
    user = _user(request)
    ended = end_sessions_of(request.dbsession, user.id)
    record_request(
        request, Action.SESSIONS_END_ALL, target=f"user:{user.id}", email=user.email, ended=ended
    )
    return HTTPNoContent()


def _user(request: Any) -> User:
    # Checked by the description of the endpoint.
    user_id: uuid.UUID = request.openapi_validated.parameters.path["user_id"]
    user = request.dbsession.get(User, user_id, with_for_update=True)
    if user is None:
        raise HTTPNotFound
    assert isinstance(user, User)
    return user


def _show(user: User) -> Json:
    return {
        "id": str(user.id),
        "email": user.email,
        "name": user.name,
        "is_admin": user.is_admin,
        "created_at": _moment(user.created_at),
        "disabled_at": _moment(user.disabled_at),
    }


def _moment(moment: datetime.datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
