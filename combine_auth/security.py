"""Hand Pyramid the security policy and the protection against foreign forms."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pyramid.settings import aslist

from combine_auth.cookies import cookies_are_secure
from combine_auth.csrf import CsrfTokens
from combine_auth.policy import SecurityPolicy
from combine_auth.sessions import SessionCookie
from combine_auth.tokens import BearerToken
from combine_core.settings import CoreSettings

if TYPE_CHECKING:
    from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    """Set the policy, ``request.proof``, and CSRF protection as the default of every view."""
    core = config.add_addon_settings(CoreSettings)
    secure = cookies_are_secure(core)

    policy = SecurityPolicy(BearerToken(), SessionCookie(secure=secure))
    config.set_security_policy(policy)
    # Not reified: the policy keeps the answer, and forgets it at sign-in and sign-out.
    config.add_request_method(policy.proof, "proof", property=True)
    config.include("combine_auth.scopes")

    origins = {core.public_url, *core.allowed_origins}
    settings = config.registry.settings
    # Pyramid's own check, which it makes over https.
    settings["pyramid.csrf_trusted_origins"] = [
        *aslist(settings.get("pyramid.csrf_trusted_origins", [])),
        *(urlsplit(origin).netloc for origin in sorted(origins)),
    ]
    config.set_csrf_storage_policy(CsrfTokens(secure=secure, origins=origins))
    config.set_default_csrf_options(
        require_csrf=True, check_origin=True, callback=policy.needs_csrf_token
    )
