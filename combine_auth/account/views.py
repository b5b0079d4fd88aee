"""Who I am, my tokens, my sessions."""

from __future__ import annotations

import logging
import re
import uuid
from datetime import UTC, datetime
from typing import Any

from pyramid.httpexceptions import HTTPMethodNotAllowed, HTTPNotFound, HTTPSeeOther
from pyramid.security import forget

from combine_auth.account.own import OwnAccount
from combine_auth.sessions import end_session, list_sessions
from combine_auth.tokens import (
    DEFAULT_DAYS,
    MOST_DAYS,
    PREFIX,
    TokenRefused,
    create_token,
    list_tokens,
    revoke_token,
)

logger = logging.getLogger(__name__)

_CHOICES = (7, 30, DEFAULT_DAYS, 180, MOST_DAYS)


class AccountViews:
    """The page and its forms."""

    def __init__(self, context: OwnAccount, request: Any) -> None:
        self.context = context
        self.request = request
        self.user_id = context.identity.user_id

    def show(self) -> Any:
        """The page."""
        return self._page()

    def _page(self, **more: Any) -> dict[str, Any]:
        dbsession = self.request.dbsession
        return {
            "me": self.context.identity,
            "tokens": list_tokens(dbsession, self.user_id),
            "sessions": list_sessions(dbsession, self.user_id),
            "this_session": self.context.session_id,
            "prefix": PREFIX,
            "choices": _CHOICES,
            "days": DEFAULT_DAYS,
            "now": datetime.now(UTC),
            "made": None,
            "refused": None,
            "name": "",
            **more,
        }

    def make_token(self) -> Any:
        """Make a token and show it, this once."""
        name, days = self._text("name"), self._text("days")
        try:
            token, row = create_token(
                self.request.dbsession,
                self.user_id,
                name,
                int(days) if re.fullmatch("[0-9]{1,4}", days) else 0,
            )
        except TokenRefused as refused:
            self.request.response.status_int = 400
            return self._page(refused=str(refused), name=name)
        logger.info("%s made token %s", self.context.identity.email, row.id)
        return self._page(made=token)

    def _text(self, field: str) -> str:
        value = self.request.POST.get(field, "")
        return value if isinstance(value, str) else ""

    def revoke_token(self) -> Any:
        """Revoke one of my tokens."""
        token_id = self._id()
        if not revoke_token(self.request.dbsession, token_id, self.user_id):
            raise HTTPNotFound
        logger.info("%s revoked token %s", self.context.identity.email, token_id)
        return self._back()

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
