"""The page ``/account/tokens``, which creates and revokes personal access tokens."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther

from combine_auth.account import AccountViews, account_view, add_account_page
from combine_auth.audit import Action
from combine_auth.failures import Refused
from combine_auth.tokens.format import PREFIX
from combine_auth.tokens.scopes import PLAIN
from combine_auth.tokens.service import (
    DEFAULT_DAYS,
    MAX_DAYS,
    create_token,
    list_tokens,
    revoke_token,
)
from combine_core.web.forms import text_of
from combine_core.web.shown_once import take_for_page

_PAGE = "combine_auth:tokens/tokens.jinja2"
_CHOICES = (7, 30, DEFAULT_DAYS, 180, MAX_DAYS)


class TokenViews(AccountViews):
    """The page of the user's tokens."""

    route = "auth.tokens"

    def show(self, **more: Any) -> dict[str, Any]:
        return {
            "tokens": list_tokens(self.dbsession, self.me.user_id),
            "prefix": PREFIX,
            "choices": _CHOICES,
            "days": DEFAULT_DAYS,
            "now": datetime.now(UTC),
            "created": take_for_page(self.request).get("token"),
            "refused": None,
            "name": "",
            "limited": False,
            "chosen": PLAIN,
            "scopes": self.offered_scopes(),
            **more,
        }

    def create(self) -> dict[str, Any] | HTTPSeeOther:
        """Create a token; the page shows it once."""
        name, days = text_of(self.request, "name"), text_of(self.request, "days")
        limited, chosen = bool(text_of(self.request, "limited")), self.checked_scopes()
        try:
            token, row = create_token(
                self.dbsession,
                self.me.user_id,
                name,
                int(days) if re.fullmatch("[0-9]{1,4}", days) else 0,
                chosen if limited else None,
                text_of(self.request, "project").strip() or None,
            )
        except Refused as refused:
            self.request.response.status_int = 400
            return self.show(refused=str(refused), name=name, limited=limited, chosen=chosen)
        details = {"name": row.name, "days": int(days), "scopes": row.scopes}
        self.record(Action.TOKEN_CREATE, f"token:{row.id}", **details)
        return self.redirect(token=token)

    def revoke(self) -> HTTPSeeOther:
        token_id = self.id_of_path()
        if not revoke_token(self.dbsession, token_id, self.me.user_id):
            raise HTTPNotFound
        self.record(Action.TOKEN_REVOKE, f"token:{token_id}")
        return self.redirect()


def includeme(config: Configurator) -> None:
    show = account_view("GET", TokenViews, "show", _PAGE)
    create = account_view("POST", TokenViews, "create", _PAGE)
    revoke = account_view("POST", TokenViews, "revoke")
    add_account_page(config, "tokens", "/account/tokens", show, create)
    add_account_page(config, "revoke_token", "/account/tokens/{id}/revoke", revoke)
