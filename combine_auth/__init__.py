"""Sign-in, sessions and tokens for a Pyramid application on :mod:`combine_core.database`.

Include it with ``config.include("combine_auth")``, after ``combine_core``. It brings

* the security policy. ``request.identity`` is a :class:`combine_core.users.Identity` or ``None``.
  ``request.has_permission`` checks the context's ``__acl__`` with the principals ``Everyone``,
  ``Authenticated`` and ``user:<id>``. The session cookie identifies the user, or a token does:
  ``Authorization: Bearer cmb_pat_...``. A request with an invalid token is unauthenticated: it never
  falls back to the cookie. Authentication takes one indexed statement, and none without a cookie or
  a token;
* ``request.proof``: the identity and the credential that proves it
  (:class:`combine_auth.authentication.Proof`), or ``None``;
* CSRF protection of every view, on by default. A form sends ``get_csrf_token()`` in the field
  ``csrf_token``, a script sends it in the header ``X-CSRF-Token``. A request that is authenticated by a
  bearer token needs neither. Set ``require_csrf=False`` on a view that is not for browsers;
* sign-in with OpenID Connect providers: the page ``/auth/sign-in`` with a button for each provider,
  ``POST /auth/<provider>/start``, ``/auth/<provider>/callback``, and the error page
  ``/auth/error?code=...`` (:class:`combine_auth.failures.FailureCode`). Issuer and subject identify a
  user, never an e-mail address. No database connection is held during a request to a provider. Any
  view may raise :class:`combine_auth.failures.SignInFailure`;
* ``/account``, ``/auth/invitation``, ``POST /auth/local`` and ``POST /auth/sign-out``;
* rejection of unknown hosts (:mod:`combine_core.web.hosts`), CORS for ALLOWED_ORIGINS
  (:mod:`combine_auth.cross_site`), rate limits (:mod:`combine_auth.limits`), and the audit
  (:mod:`combine_auth.audit`), which administrators can read (:mod:`combine_auth.administration`);
* the commands ``combine audit``, ``combine user`` and ``combine token``.

A page that needs a signed-in user redirects the browser to the route ``auth.sign_in``, with the path
to return to as ``next``. Templates extend ``combine_core:pages/layout.jinja2``. An application
without ``combine_core.pages`` replaces that layout with ``config.override_asset``, and adds a Jinja2
filter ``moment`` for times.

Settings (:class:`combine_auth.settings.AuthSettings`): with ``combine_auth.local_sign_in = true``
a button signs in as ``local@localhost``. It works only in development, and only for requests from
the same machine. The server must pass proxy headers on to the application so that it can detect a proxy
(waitress: ``clear_untrusted_proxy_headers = false``).

Tables: ``sessions``, ``personal_access_tokens``, ``sign_in_attempts`` and ``invitations`` store only
the SHA-256 of secrets; ``identities`` maps provider accounts to users.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyramid.config import Configurator

_REQUIRED = (
    "sqlalchemy",
    "zope.sqlalchemy",
    "pydantic_settings",
    "pyramid_jinja2",
    "authlib",
    "joserfc",
    "requests",
    "limits",
)


def includeme(config: Configurator) -> None:
    """Include the modules of the add-on. Raises ConfigurationError without the extra ``auth``."""
    # The imports below need these packages.
    _check_installed()
    from combine_auth.settings import AuthSettings

    # combine_core may have included these already; a second include has no effect.
    config.include("combine_core.settings")
    config.include("combine_core.database")
    config.include("combine_core.web.endpoints")
    config.include("pyramid_jinja2")

    config.add_addon_settings(AuthSettings)
    config.include("combine_auth.security")
    config.include("combine_auth.openid")
    config.include("combine_auth.cross_site")
    config.include("combine_auth.limits")
    config.include("combine_auth.audit.service")
    config.include("combine_auth.audit.settings_changes")
    config.include("combine_auth.administration.views")
    # The pages.
    config.include("combine_auth.sign_in")
    config.include("combine_auth.account.views")
    config.include("combine_auth.tokens.page")
    config.include("combine_auth.tokens.api")
    config.include("combine_auth.clients.page")
    config.include("combine_auth.oauth_server")


def _check_installed() -> None:
    missing = [name for name in _REQUIRED if not _is_installed(name)]
    if missing:
        # Imported here because commands import this package without Pyramid.
        from pyramid.exceptions import ConfigurationError

        raise ConfigurationError(
            f"combine_auth needs {', '.join(missing)}. Run pip install '.[auth]' in the"
            " checkout, or pip install 'WHEEL[auth]' with the path to the wheel"
        )


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        # The parent package is missing.
        return False
