"""What the sign-in needs at each request and is made of the settings once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from combine_auth.cookies import cookies_are_secure
from combine_auth.sign_in.browser import BrowserCookie
from combine_auth.sign_in.keys import AttemptKeys
from combine_core.settings import CoreSettings

if TYPE_CHECKING:
    from pyramid.registry import Registry

_PARTS = "combine_auth.sign_in.parts"


class Parts(NamedTuple):
    """The keys of attempts, and the cookie by which a browser is known."""

    keys: AttemptKeys
    cookie: BrowserCookie


def set_up(registry: Registry, core: CoreSettings) -> None:
    """Make the parts and keep them."""
    keys = AttemptKeys(
        core.secret_key.get_secret_value(), (key.get_secret_value() for key in core.secret_key_old)
    )
    registry[_PARTS] = Parts(keys, BrowserCookie(secure=cookies_are_secure(core)))


def parts_of(registry: Registry) -> Parts:
    """The parts of this application."""
    parts: Parts = registry[_PARTS]
    return parts
