"""Who I am, my sessions."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from pyramid.httpexceptions import HTTPMethodNotAllowed, HTTPNotFound, HTTPSeeOther
from pyramid.security import forget

from combine_auth.account.own import OwnAccount
from combine_auth.sessions import end_session, list_sessions

logger = logging.getLogger(__name__)


class AccountViews:
    """The page and its forms."""

    def __init__(self, context: OwnAccount, request: Any) -> None:
        self.context = context
        self.request = request
        self.user_id = context.identity.user_id

    def show(self) -> Any:
        """The page."""
        return {
            "me": self.context.identity,
            "sessions": list_sessions(self.request.dbsession, self.user_id),
            "this_session": self.context.session_id,
        }

    def end_session(self) -> Any:
        """Sign out one of my browsers; this one too."""
        session_id = self._id()
        if session_id == self.context.session_id:
            return HTTPSeeOther(
                location=self.request.route_path("auth.sign_in"), headers=forget(self.request)
            )
        if not end_session(self.request.dbsession, self.user_id, session_id):
            raise HTTPNotFound
        return self._back()

    def _id(self) -> uuid.UUID:
        return uuid.UUID(self.request.matchdict["id"])

    def _back(self) -> Any:
        return HTTPSeeOther(location=self.request.route_path("auth.account"))


def post_only(request: Any) -> Any:  # noqa: ARG001
    """Another method than POST."""
    return HTTPMethodNotAllowed(headers=[("Allow", "POST")])
