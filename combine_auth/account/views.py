"""``/account``: who the user is, how they sign in, and where they are signed in."""

from __future__ import annotations

import logging
import re
import uuid
from typing import TYPE_CHECKING, Any

from pyramid.httpexceptions import HTTPConflict, HTTPNotFound, HTTPSeeOther
from pyramid.security import forget

from combine_auth.account.context import OwnAccount, account_view
from combine_auth.audit import Action, record_request
from combine_auth.identities import UNVERIFIED_DOMAIN, LastIdentity, list_identities, unlink
from combine_auth.oauth_server.grants import revoke_grants_of
from combine_auth.openid import identity_providers
from combine_auth.sessions import end_session, end_sessions_of, is_fresh, list_sessions
from combine_auth.sign_in.flow import allow_forms_to_providers
from combine_auth.tokens import list_tokens, revoke_token
from combine_core.web.paths import UUID_PATTERN

if TYPE_CHECKING:
    from pyramid.config import Configurator

logger = logging.getLogger(__name__)

_PAGE = "combine_auth:account/account.jinja2"
_ADD_IDENTITY_PAGE = "combine_auth:account/add_identity.jinja2"


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
        """Sign out one of the user's browsers, which may be this one."""
        session_id = uuid.UUID(self.request.matchdict["id"])
        if session_id == self.context.session_id:
            self._note(Action.SIGN_OUT, target=f"session:{session_id}")
            return self._outside()
        if not end_session(self.request.dbsession, self.user_id, session_id):
            raise HTTPNotFound
        self._note(Action.SESSION_END, target=f"session:{session_id}")
        return self._back()

    def end_others(self) -> Any:
        """Sign out all other browsers of the user."""
        ended = end_sessions_of(self.request.dbsession, self.user_id, but=self.context.session_id)
        self._note(Action.SESSIONS_END_ALL, target=f"user:{self.user_id}", ended=ended)
        return self._back()

    def end_all(self) -> Any:
        """Sign out everywhere, and, if the form says so, revoke the tokens of all programs."""
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


class IdentityViews:
    """The page that adds an identity, and the button that removes one."""

    def __init__(self, context: OwnAccount, request: Any) -> None:
        self.context = context
        self.request = request
        self.user_id = context.identity.user_id

    def add(self) -> Any:
        """The providers to choose from; if the sign-in is old, those to confirm it with first."""
        allow_forms_to_providers(self.request)
        dbsession = self.request.dbsession
        fresh = is_fresh(dbsession, self.context.session_id)
        mine = {identity.provider for identity in list_identities(dbsession, self.user_id)}
        clients = identity_providers(self.request.registry).clients.values()
        return {
            "fresh": fresh,
            "providers": [
                client.provider for client in clients if fresh or client.provider.name in mine
            ],
        }

    def remove(self) -> Any:
        """Remove one, unless it is the last."""
        identity_id = uuid.UUID(self.request.matchdict["id"])
        try:
            removed = unlink(self.request.dbsession, self.user_id, identity_id)
        except LastIdentity:
            raise HTTPConflict(
                "This is the only account that you can sign in with. Add another one first, so"
                " that you do not lock yourself out."
            ) from None
        if removed is None:
            raise HTTPNotFound
        record_request(
            self.request,
            Action.IDENTITY_UNLINK,
            target=f"user:{self.user_id}",
            provider=removed.provider,
            issuer=removed.issuer,
            subject=removed.subject,
        )
        logger.info("%s unlinked %s", self.context.identity.email, removed.provider)
        return HTTPSeeOther(location=self.request.route_path("auth.account"))


# The first match counts, because most browsers also claim to be others.
_BROWSERS = (
    ("Edge", r"\bEdg(e|A|iOS)?/"),
    ("Opera", r"\bOPR/|\bOpera\b"),
    ("Samsung Internet", r"\bSamsungBrowser/"),
    ("Vivaldi", r"\bVivaldi/"),
    ("Firefox", r"\b(Firefox|FxiOS)/"),
    ("Chrome", r"\b(Chrome|CriOS|HeadlessChrome)/"),
    ("Chromium", r"\bChromium/"),
    ("Safari", r"\bVersion/[0-9.]+ (Mobile/\w+ )?Safari/"),
)
_SYSTEMS = (
    ("iPad", r"\biPad\b"),
    ("iPhone", r"\biPhone\b"),
    ("Android", r"\bAndroid\b"),
    ("Chrome OS", r"\bCrOS\b"),
    ("Windows", r"\bWindows\b"),
    ("macOS", r"\bMacintosh\b|\bMac OS X\b"),
    ("Linux", r"\bLinux\b|\bX11\b"),
)
_LONGEST = 60


def device_of(user_agent: str) -> str:
    """Browser and system, such as "Firefox on Windows"; of other programs, the first word they send.

    It helps users to recognise their own devices. Nothing depends on it.
    """
    browser = _first(_BROWSERS, user_agent)
    system = _first(_SYSTEMS, user_agent)
    if browser and system:
        return f"{browser} on {system}"
    own = user_agent.split(maxsplit=1)[0][:_LONGEST] if user_agent.strip() else None
    return browser or (system and f"A browser on {system}") or own or "Unknown browser"


def _first(names: tuple[tuple[str, str], ...], user_agent: str) -> str | None:
    return next((name for name, sign in names if re.search(sign, user_agent)), None)


def includeme(config: Configurator) -> None:
    """Add the endpoints, and the link in the head of the pages."""
    one = {"id": UUID_PATTERN}
    for route, path, view in (
        ("account", "/account", account_view("GET", AccountViews, "show", _PAGE)),
        (
            "add_identity",
            "/account/identities/add",
            account_view("GET", IdentityViews, "add", _ADD_IDENTITY_PAGE),
        ),
        (
            "end_others",
            "/account/sign-out-others",
            account_view("POST", AccountViews, "end_others"),
        ),
        ("end_all", "/account/sign-out-everywhere", account_view("POST", AccountViews, "end_all")),
    ):
        config.add_endpoint(f"auth.{route}", path, view, factory=OwnAccount)
    config.add_endpoint(
        "auth.remove_identity",
        "/account/identities/{id}/remove",
        account_view("POST", IdentityViews, "remove"),
        factory=OwnAccount,
        variables=one,
    )
    config.add_endpoint(
        "auth.end_session",
        "/account/sessions/{id}/end",
        account_view("POST", AccountViews, "end_session"),
        factory=OwnAccount,
        variables=one,
    )
    # An application without combine_core.pages has a navigation of its own.
    if hasattr(config, "add_nav_item"):
        config.add_nav_item("Account", "auth.account", order=90)
