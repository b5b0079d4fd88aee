"""The pages ``/device``, where a user connects a device, and ``/account/grants``, the user's grants."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther

from combine_auth.account import AccountViews, account_view, add_account_page
from combine_auth.audit import Action
from combine_auth.clients.service import owner_of
from combine_auth.limits import check_limit, hit_limit
from combine_auth.oauth_server import devices
from combine_auth.oauth_server.grants import TooManyGrants, list_grants, revoke_grant
from combine_auth.tokens.scopes import describe_scope, grantable
from combine_core.web.forms import text_of

_DEVICE_PAGE = "combine_auth:oauth_server/device.jinja2"
_GRANTS_PAGE = "combine_auth:oauth_server/grants.jinja2"
_UNKNOWN = (
    "No device is waiting with this code. A code works once, within ten minutes. Check the code on the"
    " device, or start again there."
)
_FOR_ADMINISTRATORS = "The device requests permissions that only an administrator can grant."


class DeviceViews(AccountViews):
    """The page that connects a device."""

    def show(self) -> dict[str, Any]:
        """Render the field for the code. A link with a code only fills the field in."""
        query = parse_qs(
            self.request.environ.get("QUERY_STRING", ""), errors="replace", max_num_fields=100
        )
        return self._page(code=query.get("user_code", [""])[0][:20])

    def decide(self) -> dict[str, Any]:
        """Render the request of the device; in the next step, record the user's decision."""
        # Each attempt counts, because a short code can be guessed (RFC 8628, 5.1).
        check_limit(self.request, "device-code")
        hit_limit(self.request, "device-code", str(self.me.user_id))
        typed = text_of(self.request, "user_code")
        code = devices.read_user_code(typed)
        waiting = code and devices.find_pending(self.dbsession, code)
        if not waiting:
            self.request.response.status_int = 400
            return self._page(code=typed[:20], refused=_UNKNOWN)
        decision = text_of(self.request, "decision")
        scopes = grantable(waiting.device.scopes, is_admin=self.me.is_admin)
        if not scopes:
            self.request.response.status_int = 400
            return self._page(code=code, refused=_FOR_ADMINISTRATORS)
        if decision == "approve":
            try:
                grant = devices.approve(self.dbsession, waiting, self.me.user_id, scopes)
            except TooManyGrants as error:
                self.request.response.status_int = 409
                return self._page(code=code, refused=str(error))
            self._record(Action.DEVICE_APPROVE, waiting, scopes, f"grant:{grant.id}")
            return self._page(
                done="The device is connected. Go back to the device: it continues by itself."
            )
        if decision == "deny":
            devices.deny(waiting)
            self._record(Action.DEVICE_DENY, waiting, scopes)
            return self._page(done="The device was denied.")
        return self._page(
            waiting=waiting,
            client=waiting.client,
            owner=owner_of(self.dbsession, waiting.client),
            scopes=[(scope, describe_scope(scope)) for scope in scopes],
        )

    def _record(
        self,
        action: Action,
        waiting: devices.PendingDevice,
        scopes: list[str],
        target: str | None = None,
    ) -> None:
        device, client = waiting
        details = {"client": client.client_id, "scopes": scopes, "device_ip": device.ip}
        self.record(action, target, **details)

    def _page(self, **more: Any) -> dict[str, Any]:
        empty: dict[str, Any] = {
            "code": "",
            "refused": None,
            "done": None,
            "waiting": None,
            "scopes": [],
        }
        return {"me": self.me, **empty, **more}


class GrantViews(AccountViews):
    """The page of the user's grants."""

    route = "auth.grants"

    def show(self) -> dict[str, Any]:
        return {
            "grants": list_grants(self.dbsession, self.me.user_id),
            "describe_scope": describe_scope,
        }

    def revoke(self) -> HTTPSeeOther:
        grant_id = self.id_of_path()
        if not revoke_grant(self.dbsession, grant_id, self.me.user_id):
            raise HTTPNotFound
        self.record(Action.CONSENT_REVOKE, f"grant:{grant_id}")
        return self.redirect()


def includeme(config: Configurator) -> None:
    show = account_view("GET", DeviceViews, "show", _DEVICE_PAGE)
    decide = account_view("POST", DeviceViews, "decide", _DEVICE_PAGE)
    grants = account_view("GET", GrantViews, "show", _GRANTS_PAGE)
    revoke = account_view("POST", GrantViews, "revoke")
    add_account_page(config, "device", "/device", show, decide)
    add_account_page(config, "grants", "/account/grants", grants)
    add_account_page(config, "revoke_grant", "/account/grants/{id}/revoke", revoke)
