"""The pages of the OAuth server: ``/device``, and ``/account/grants`` for what a user granted to programs."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther

from combine_auth.account.context import OwnAccount, account_view
from combine_auth.audit import Action, record_request
from combine_auth.limits import check_limit, hit_limit
from combine_auth.oauth_server import devices
from combine_auth.oauth_server.grants import list_grants, revoke_grant
from combine_auth.tokens.scopes import in_words
from combine_core.web.forms import text_of
from combine_core.web.paths import UUID_PATTERN

if TYPE_CHECKING:
    from pyramid.config import Configurator

logger = logging.getLogger(__name__)


_DEVICE_PAGE = "combine_auth:oauth_server/device.jinja2"
_GRANTS_PAGE = "combine_auth:oauth_server/grants.jinja2"
_UNKNOWN = (
    "No device is waiting with this code. A code works once, within ten minutes. Look at the device"
    " again, or start again there."
)


class DeviceViews:
    """The page and its forms."""

    def __init__(self, context: OwnAccount, request: Any) -> None:
        self.context = context
        self.request = request

    def ask(self) -> dict[str, Any]:
        """GET: a field for the code. A link with the code fills it in, and does nothing else."""
        query = parse_qs(
            self.request.environ.get("QUERY_STRING", ""), errors="replace", max_num_fields=100
        )
        return self._page(code=query.get("user_code", [""])[0][:20])

    def decide(self) -> dict[str, Any]:
        """POST: show what the device asks for; then, what the person decided."""
        # Each try counts: a code has only so many letters (RFC 8628, 5.1).
        check_limit(self.request, "device-code")
        hit_limit(self.request, "device-code", str(self.context.identity.user_id))
        typed = text_of(self.request, "user_code")
        code = devices.read_user_code(typed)
        waiting = code and devices.find_pending(self.request.dbsession, code)
        if not waiting:
            self.request.response.status_int = 400
            return self._page(code=typed[:20], refused=_UNKNOWN)
        decision = text_of(self.request, "decision")
        if decision == "approve":
            return self._approve(waiting)
        if decision == "deny":
            devices.deny(self.request.dbsession, waiting)
            self._note(Action.DEVICE_DENY, waiting)
            return self._page(done="The device was denied.")
        return self._page(waiting=waiting)

    def _approve(self, waiting: devices.PendingDevice) -> dict[str, Any]:
        user_id = self.context.identity.user_id
        grant = devices.approve(self.request.dbsession, waiting, user_id)
        self._note(Action.DEVICE_APPROVE, waiting, target=f"grant:{grant.id}")
        logger.info("%s let a device in", self.context.identity.email)
        return self._page(done="Done. Go back to the device: it goes on by itself.")

    def _note(self, action: Action, waiting: devices.PendingDevice, **more: Any) -> None:
        record_request(
            self.request,
            action,
            client=waiting.client.client_id,
            scopes=list(waiting.scopes),
            device_ip=waiting.ip,
            **more,
        )

    def _page(self, **more: Any) -> dict[str, Any]:
        waiting: devices.PendingDevice | None = more.get("waiting")
        scopes = [] if waiting is None else waiting.scopes
        return {
            "me": self.context.identity,
            "code": "",
            "refused": None,
            "done": None,
            "waiting": None,
            "scopes": [(scope, in_words(scope)) for scope in scopes],
            **more,
        }


class GrantViews:
    """The page and its buttons."""

    def __init__(self, context: OwnAccount, request: Any) -> None:
        self.request = request
        self.me = context.identity

    def show(self) -> dict[str, Any]:
        """The page."""
        return {
            "grants": list_grants(self.request.dbsession, self.me.user_id),
            "in_words": in_words,
        }

    def revoke(self) -> Any:
        """Take one back."""
        grant_id = uuid.UUID(self.request.matchdict["id"])
        if not revoke_grant(self.request.dbsession, grant_id, self.me.user_id):
            raise HTTPNotFound
        record_request(self.request, Action.CONSENT_REVOKE, target=f"grant:{grant_id}")
        logger.info("%s revoked grant %s", self.me.email, grant_id)
        return HTTPSeeOther(location=self.request.route_path("auth.grants"))


def includeme(config: Configurator) -> None:
    """Add the endpoints."""
    config.add_endpoint(
        "auth.device",
        "/device",
        account_view("GET", DeviceViews, "ask", _DEVICE_PAGE),
        account_view("POST", DeviceViews, "decide", _DEVICE_PAGE),
        factory=OwnAccount,
    )
    config.add_endpoint(
        "auth.grants",
        "/account/grants",
        account_view("GET", GrantViews, "show", _GRANTS_PAGE),
        factory=OwnAccount,
    )
    config.add_endpoint(
        "auth.revoke_grant",
        "/account/grants/{id}/revoke",
        account_view("POST", GrantViews, "revoke"),
        factory=OwnAccount,
        variables={"id": UUID_PATTERN},
    )
