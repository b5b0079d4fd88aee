"""Who I am, how I sign in, and where I am signed in."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.security import forget

from combine_auth.account.device import device_of
from combine_auth.account.own import OwnAccount
from combine_auth.audit import Action, record_request
from combine_auth.identities import UNVERIFIED_DOMAIN, list_identities
from combine_auth.oauth_server.grants import revoke_grants_of
from combine_auth.openid import identity_providers
from combine_auth.sessions import end_session, end_sessions_of, list_sessions
from combine_auth.tokens import list_tokens, revoke_token

logger = logging.getLogger(__name__)


class AccountViews:
    """The page and its forms."""

    def __init__(self, context: OwnAccount, request: Any) -> None:
        self.context = context
        self.request = request
        self.user_id = context.identity.user_id

    def show(self) -> Any:
        """The page."""
        dbsession = self.request.dbsession
        clients = identity_providers(self.request.registry).clients
        return {
            "me": self.context.identity,
            "has_address": not self.context.identity.email.endswith(f"@{UNVERIFIED_DOMAIN}"),
            "identities": list_identities(dbsession, self.user_id),
            "titles": {name: client.provider.title for name, client in clients.items()},
            "sessions": list_sessions(dbsession, self.user_id),
            "this_session": self.context.session_id,
            "device_of": device_of,
        }

    def end_session(self) -> Any:
        """Sign out one of my browsers; this one too."""
        session_id = uuid.UUID(self.request.matchdict["id"])
        if session_id == self.context.session_id:
            self._note(Action.SIGN_OUT, target=f"session:{session_id}")
            return self._outside()
        if not end_session(self.request.dbsession, self.user_id, session_id):
            raise HTTPNotFound
        self._note(Action.SESSION_END, target=f"session:{session_id}")
        return self._back()

    def end_others(self) -> Any:
        """Sign out all of my browsers but this one."""
        ended = end_sessions_of(self.request.dbsession, self.user_id, but=self.context.session_id)
        self._note(Action.SESSIONS_END_ALL, target=f"user:{self.user_id}", ended=ended)
        return self._back()

    def end_all(self) -> Any:
        """Sign out everywhere, here too; and, if the form says so, every program as well."""
        ended = end_sessions_of(self.request.dbsession, self.user_id)
        self._note(Action.SESSIONS_END_ALL, target=f"user:{self.user_id}", ended=ended)
        if self.request.POST.get("programs") == "too":
            self._revoke_programs()
        return self._outside()

    def _revoke_programs(self) -> None:
        dbsession = self.request.dbsession
        for token in list_tokens(dbsession, self.user_id):
            if token.revoked_at is None:
                revoke_token(dbsession, token.id, self.user_id)
                self._note(Action.TOKEN_REVOKE, target=f"token:{token.id}")
        revoked = revoke_grants_of(dbsession, self.user_id)
        if revoked:
            self._note(Action.CONSENT_REVOKE, target=f"user:{self.user_id}", revoked=revoked)

    def _note(self, action: Action, **details: Any) -> None:
        record_request(self.request, action, **details)

    def _back(self) -> Any:
        return HTTPSeeOther(location=self.request.route_path("auth.account"))

    def _outside(self) -> Any:
        return HTTPSeeOther(
            location=self.request.route_path("auth.sign_in"), headers=forget(self.request)
        )
