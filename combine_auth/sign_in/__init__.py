"""Sign-in with an OpenID provider, by an invitation, or as the local developer; and sign-out.

Start with :mod:`~combine_auth.sign_in.views` (the pages), then read :mod:`~combine_auth.sign_in.flow`
(the redirects to the provider and back), :mod:`~combine_auth.sign_in.attempts` (the state between the
two), and :mod:`~combine_auth.sign_in.failures` (the error page).
"""

from __future__ import annotations

from pyramid.config import Configurator
from pyramid.exceptions import BadCSRFToken
from pyramid.security import NO_PERMISSION_REQUIRED

from combine_auth.failures import SignInFailure
from combine_core.settings import CoreSettings

_SIGN_IN = "combine_auth:sign_in/sign_in.jinja2"
_INVITATION = "combine_auth:sign_in/invitation.jinja2"
_FAILURE = "combine_auth:sign_in/failure.jinja2"
_PROVIDER = "{provider:[a-z][a-z0-9_]{0,30}}"


def includeme(config: Configurator) -> None:
    # Imported here because alembic and the commands import this package for its tables only.
    from combine_auth.openid import identity_providers
    from combine_auth.sign_in.attempts import set_attempt_config
    from combine_core.web.endpoints import View

    set_attempt_config(config.registry, config.add_addon_settings(CoreSettings))
    config.add_exception_view(".failures.refuse", context=SignInFailure)
    # For the buttons of the sign-in page. Other forms get combine_core's page for outdated forms.
    config.add_exception_view(
        ".views.outdated_form",
        context=BadCSRFToken,
        route_name="auth.start",
        request_param="purpose=sign-in",
        renderer=_SIGN_IN,
    )
    providers = identity_providers(config.registry)
    names = "|".join([*providers.clients, *providers.hidden]) or "google"
    for name, path, method, view, page in (
        ("auth.sign_in", "/auth/sign-in", "GET", ".views.sign_in", _SIGN_IN),
        # Only a POST may sign a user in or out: a link or an image must not do it.
        ("auth.local", "/auth/local", "POST", ".views.local", _SIGN_IN),
        ("auth.sign_out", "/auth/sign-out", "POST", ".views.sign_out", None),
        ("auth.invitation", "/auth/invitation", "GET", ".views.invitation", _INVITATION),
        ("auth.start", f"/auth/{_PROVIDER}/start", "POST", ".flow.start", None),
        ("auth.callback", f"/auth/{_PROVIDER}/callback", "GET", ".flow.callback", None),
        ("auth.error", "/auth/error", "GET", ".failures.show_failure", _FAILURE),
        # The last route, so that a provider's name cannot shadow another endpoint.
        ("auth.provider", f"/auth/{{provider:{names}}}", "GET", ".views.provider_page", None),
    ):
        view_ = View(
            method, f"{__name__}{view}", NO_PERMISSION_REQUIRED, renderer=page, http_cache=0
        )
        config.add_endpoint(name, path, view_)
