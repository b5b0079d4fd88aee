"""My identities: add one, take one away."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from pyramid.httpexceptions import HTTPConflict, HTTPNotFound, HTTPSeeOther

from combine_auth.account.own import OwnAccount
from combine_auth.audit import Action, record_request
from combine_auth.identities import LastIdentity, list_identities, unlink
from combine_auth.openid import identity_providers
from combine_auth.sign_in.fresh import is_fresh
from combine_auth.sign_in.leave import let_forms_leave

logger = logging.getLogger(__name__)


class IdentityViews:
    """The page that adds one, and the button that takes one away."""

    def __init__(self, context: OwnAccount, request: Any) -> None:
        self.context = context
        self.request = request
        self.user_id = context.identity.user_id

    def add(self) -> Any:
        """The providers to choose from; first, where the sign-in is long ago, those to confirm with."""
        let_forms_leave(self.request)
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
        """Take one away, unless it is the last."""
        identity_id = uuid.UUID(self.request.matchdict["id"])
        try:
            removed = unlink(self.request.dbsession, self.user_id, identity_id)
        except LastIdentity:
            message = (
                "This is the only account that you can sign in with. Add another one first, so"
                " that you do not lock yourself out."
            )
            raise HTTPConflict(message) from None
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
