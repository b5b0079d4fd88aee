"""The page ``/account/tokens``: the personal access tokens of the signed-in user."""

from __future__ import annotations

import logging
import re
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther

from combine_auth.account.context import OwnAccount, account_view
from combine_auth.audit import Action, record_request
from combine_auth.refused import Refused
from combine_auth.tokens.format import PREFIX
from combine_auth.tokens.scopes import PLAIN, SCOPES, in_words
from combine_auth.tokens.service import (
    DEFAULT_DAYS,
    MOST_DAYS,
    create_token,
    list_tokens,
    revoke_token,
)
from combine_core.web.forms import text_of
from combine_core.web.paths import UUID_PATTERN

if TYPE_CHECKING:
    from pyramid.config import Configurator

logger = logging.getLogger(__name__)

_PAGE = "combine_auth:tokens/tokens.jinja2"
_CHOICES = (7, 30, DEFAULT_DAYS, 180, MOST_DAYS)


class TokenViews:
    """The page and its forms."""

    def __init__(self, context: OwnAccount, request: Any) -> None:
        self.context = context
        self.request = request
        self.user_id = context.identity.user_id

    def show(self) -> Any:
        """The page."""
        return self._page()

    def _page(self, **more: Any) -> dict[str, Any]:
        return {
            "tokens": list_tokens(self.request.dbsession, self.user_id),
            "prefix": PREFIX,
            "choices": _CHOICES,
            "days": DEFAULT_DAYS,
            "now": datetime.now(UTC),
            "made": None,
            "refused": None,
            "name": "",
            "limited": False,
            "chosen": PLAIN,
            "scopes": [(scope, in_words(scope)) for scope in self._offered()],
            **more,
        }

    def _offered(self) -> tuple[str, ...]:
        return SCOPES if self.context.identity.is_admin else PLAIN

    def create(self) -> Any:
        """Create a token, and show it once."""
        name, days = text_of(self.request, "name"), text_of(self.request, "days")
        limited = bool(text_of(self.request, "limited"))
        chosen = [one for one in self.request.POST.getall("scope") if isinstance(one, str)]
        try:
            token, row = create_token(
                self.request.dbsession,
                self.user_id,
                name,
                int(days) if re.fullmatch("[0-9]{1,4}", days) else 0,
                chosen if limited else None,
            )
        except Refused as refused:
            self.request.response.status_int = 400
            return self._page(refused=str(refused), name=name, limited=limited, chosen=chosen)
        record_request(
            self.request,
            Action.TOKEN_CREATE,
            target=f"token:{row.id}",
            name=row.name,
            days=int(days),
            scopes=row.scopes,
        )
        logger.info("%s made token %s", self.context.identity.email, row.id)
        return self._page(made=token)

    def revoke(self) -> Any:
        """Revoke one of the user's tokens."""
        token_id = uuid.UUID(self.request.matchdict["id"])
        if not revoke_token(self.request.dbsession, token_id, self.user_id):
            raise HTTPNotFound
        record_request(self.request, Action.TOKEN_REVOKE, target=f"token:{token_id}")
        logger.info("%s revoked token %s", self.context.identity.email, token_id)
        return HTTPSeeOther(location=self.request.route_path("auth.tokens"))


def includeme(config: Configurator) -> None:
    """Add the endpoints."""
    config.add_endpoint(
        "auth.tokens",
        "/account/tokens",
        account_view("GET", TokenViews, "show", _PAGE),
        account_view("POST", TokenViews, "create", _PAGE),
        factory=OwnAccount,
    )
    config.add_endpoint(
        "auth.revoke_token",
        "/account/tokens/{id}/revoke",
        account_view("POST", TokenViews, "revoke"),
        factory=OwnAccount,
        variables={"id": UUID_PATTERN},
    )
