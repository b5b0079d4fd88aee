"""The pages below ``/account``: identities, sessions, and the deletion of the account."""

from __future__ import annotations

import re
import uuid
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPConflict, HTTPNotFound, HTTPSeeOther
from pyramid.security import forget

from combine_auth.account import AccountViews, account_view, add_account_page
from combine_auth.administration.service import (
    delete_user,
    follow_admin_subjects,
    plan_deletion,
    user_of_id,
)
from combine_auth.audit import Action
from combine_auth.failures import Refused
from combine_auth.identities.service import (
    UNVERIFIED_DOMAIN,
    LastIdentity,
    list_identities,
    unlink,
    verified_addresses,
)
from combine_auth.oauth_server.grants import revoke_grants_of
from combine_auth.openid import IdentityProvider, identity_providers
from combine_auth.sessions import end_session, end_sessions_of, is_fresh, list_sessions
from combine_auth.settings import AuthSettings
from combine_auth.sign_in.flow import prepare_buttons
from combine_auth.tokens.service import list_tokens, revoke_token
from combine_core.settings import settings_of
from combine_core.users import User
from combine_core.users.deletion import in_words

_PAGE = "combine_auth:account/account.jinja2"
_DELETE_PAGE = "combine_auth:account/delete.jinja2"
_ADD_IDENTITY_PAGE = "combine_auth:account/add_identity.jinja2"


class ConfirmedViews(AccountViews):
    """Views that ask the user to sign in again if the last sign-in is old."""

    def is_fresh(self) -> bool:
        return is_fresh(self.dbsession, self.context.session_id)

    def providers(self, *, all_of_them: bool = False) -> list[IdentityProvider]:
        """Return the providers of the user's identities, or all providers, for a page with buttons."""
        prepare_buttons(self.request)
        identities = list_identities(self.dbsession, self.me.user_id)
        own = {identity.provider for identity in identities}
        clients = identity_providers(self.request.registry).clients.values()
        return [client.provider for client in clients if all_of_them or client.provider.name in own]


class SessionViews(ConfirmedViews):
    """The account page, the end of sessions, and the deletion of the account."""

    def show(self) -> dict[str, Any]:
        clients = identity_providers(self.request.registry).clients
        return {
            "me": self.me,
            "has_address": not self.me.email.endswith(f"@{UNVERIFIED_DOMAIN}"),
            "address_verified": bool(verified_addresses(self.dbsession, [self.me.user_id])),
            "identities": list_identities(self.dbsession, self.me.user_id),
            "titles": {name: client.provider.title for name, client in clients.items()},
            "sessions": list_sessions(self.dbsession, self.me.user_id),
            "this_session": self.context.session_id,
            "describe_device": describe_device,
        }

    def end_session(self) -> HTTPSeeOther:
        """End one of the user's sessions, which may be the current one."""
        session_id = self.id_of_path()
        if session_id == self.context.session_id:
            self.record(Action.SIGN_OUT, f"session:{session_id}")
            return self._signed_out()
        if not end_session(self.dbsession, self.me.user_id, session_id):
            raise HTTPNotFound
        self.record(Action.SESSION_END, f"session:{session_id}")
        return self.redirect()

    def end_others(self) -> HTTPSeeOther:
        self._end_sessions(keep=self.context.session_id)
        return self.redirect()

    def end_all(self) -> HTTPSeeOther:
        """End all sessions and, if the form requests it, revoke the tokens of all programs."""
        self._end_sessions()
        if self.request.POST.get("programs") == "too":
            self._revoke_programs()
        return self._signed_out()

    def plan_deletion(self) -> dict[str, Any]:
        """Render the data that is deleted with the account, and the obstacle to its deletion."""
        plan = plan_deletion(self.dbsession, self._own_user(), named=True)
        return {
            "goes": in_words(plan),
            "obstacle": plan.obstacle,
            "fresh": self.is_fresh(),
            "providers": self.providers(),
        }

    def delete(self) -> dict[str, Any] | HTTPSeeOther:
        if not self.is_fresh():
            # Another person may use a browser in which the user is still signed in.
            self.request.response.status_int = 403
            return self.plan_deletion()
        try:
            delete_user(self.dbsession, self._own_user(), self.request, named=True)
        except Refused:
            self.request.response.status_int = 409
            return self.plan_deletion()
        return self._signed_out()

    def _own_user(self) -> User:
        found = user_of_id(self.dbsession, self.me.user_id)
        if found is None:  # deleted a moment ago
            raise HTTPNotFound
        return found

    def _end_sessions(self, keep: uuid.UUID | None = None) -> None:
        ended = end_sessions_of(self.dbsession, self.me.user_id, keep)
        self.record(Action.SESSIONS_END_ALL, f"user:{self.me.user_id}", ended=ended)

    def _revoke_programs(self) -> None:
        for token in list_tokens(self.dbsession, self.me.user_id):
            if token.revoked_at is None:
                revoke_token(self.dbsession, token.id, self.me.user_id)
                self.record(Action.TOKEN_REVOKE, f"token:{token.id}")
        revoked = revoke_grants_of(self.dbsession, self.me.user_id)
        if revoked:
            self.record(Action.CONSENT_REVOKE, f"user:{self.me.user_id}", revoked=revoked)

    def _signed_out(self) -> HTTPSeeOther:
        location = self.request.route_path("auth.sign_in")
        return HTTPSeeOther(location=location, headers=forget(self.request))


class IdentityViews(ConfirmedViews):
    """The page that adds an identity, and the removal of one."""

    def add(self) -> dict[str, Any]:
        """Render the providers to add; after an old sign-in, the providers to confirm it with."""
        fresh = self.is_fresh()
        return {"fresh": fresh, "providers": self.providers(all_of_them=fresh)}

    def remove(self) -> HTTPSeeOther:
        try:
            removed = unlink(self.dbsession, self.me.user_id, self.id_of_path())
        except LastIdentity:
            raise HTTPConflict(
                "This is the only account that you can sign in with. Add another one first, so"
                " that you do not lock yourself out."
            ) from None
        if removed is None:
            raise HTTPNotFound
        self.record(
            Action.IDENTITY_UNLINK,
            f"user:{self.me.user_id}",
            provider=removed.provider,
            issuer=removed.issuer,
            subject=removed.subject,
        )
        # The identity may be the one that ADMIN_SUBJECTS names.
        admins = settings_of(self.request.registry, AuthSettings).admin_subjects
        follow_admin_subjects(self.dbsession, admins)
        return self.redirect()


# In this order, because most browsers also claim to be others.
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
_MAX_LENGTH = 60


def describe_device(user_agent: str) -> str:
    """Return browser and system, such as "Firefox on Windows", or the first word of the header."""
    browser = _first(_BROWSERS, user_agent)
    system = _first(_SYSTEMS, user_agent)
    if browser and system:
        return f"{browser} on {system}"
    own = user_agent.split(maxsplit=1)[0][:_MAX_LENGTH] if user_agent.strip() else None
    return browser or (system and f"A browser on {system}") or own or "Unknown browser"


def _first(names: tuple[tuple[str, str], ...], user_agent: str) -> str | None:
    return next((name for name, sign in names if re.search(sign, user_agent)), None)


def includeme(config: Configurator) -> None:
    show = account_view("GET", SessionViews, "show", _PAGE)
    show_deletion = account_view("GET", SessionViews, "plan_deletion", _DELETE_PAGE)
    delete = account_view("POST", SessionViews, "delete", _DELETE_PAGE)
    show_providers = account_view("GET", IdentityViews, "add", _ADD_IDENTITY_PAGE)
    remove = account_view("POST", IdentityViews, "remove")
    add_account_page(config, "account", "/account", show)
    for name, path in (
        ("end_session", "/account/sessions/{id}/end"),
        ("end_others", "/account/sign-out-others"),
        ("end_all", "/account/sign-out-everywhere"),
    ):
        add_account_page(config, name, path, account_view("POST", SessionViews, name))
    add_account_page(config, "delete_account", "/account/delete", show_deletion, delete)
    add_account_page(config, "add_identity", "/account/identities/add", show_providers)
    add_account_page(config, "remove_identity", "/account/identities/{id}/remove", remove)
    # An application without combine_core.pages has a navigation of its own.
    if hasattr(config, "add_nav_item"):
        config.add_nav_item("Account", "auth.account", order=90)
