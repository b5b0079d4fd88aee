"""Sign-in, sessions and tokens for a Pyramid application on :mod:`combine_core.database`.

Include it with ``config.include("combine_auth")``, after ``combine_core``. It brings

* the security policy: ``request.identity`` is a :class:`combine_core.users.Identity` or ``None``;
  ``request.has_permission`` asks the context's ``__acl__`` with the principals ``Everyone``,
  ``Authenticated`` and ``user:<id>``. The user is identified by the session cookie, or
  by a token: ``Authorization: Bearer cmb_pat_...``. With an invalid token the request is
  unauthenticated: it never falls back to the cookie. This costs one indexed statement, and none
  without cookie and token;
* ``request.proof``: the identity with the credential that proves it
  (:class:`combine_auth.authentication.Proof`), or ``None``;
* CSRF protection of every view, on by default: a form carries ``get_csrf_token()`` in the field
  ``csrf_token``, a script in the header ``X-CSRF-Token``. A request that a bearer token has
  authenticated needs none. A view that is not for browsers says ``require_csrf=False``;
* sign-in with providers of OpenID Connect: the page ``/auth/sign-in`` with a button for each,
  ``POST /auth/<provider>/start``, ``/auth/<provider>/callback``, and ``/auth/error?code=...``, where
  every failure ends (:class:`combine_auth.failures.FailureCode`). A user is found by issuer and
  subject, never by an e-mail address. No connection to the database is held while a provider is
  queried. A view may also raise :class:`combine_auth.failures.SignInFailure`;
* ``/account``, ``/auth/invitation``, ``POST /auth/local`` and ``POST /auth/sign-out``;
* refusal of unknown hosts (:mod:`combine_core.web.hosts`), CORS for ALLOWED_ORIGINS
  (:mod:`combine_auth.cross_site`), rate limits (:mod:`combine_auth.limits`), and the audit
  (:mod:`combine_auth.audit`), which administrators read (:mod:`combine_auth.administration`);
* the commands ``combine audit``, ``combine user`` and ``combine token``.

A page that needs a signed-in user sends the browser to the route ``auth.sign_in`` with the path
to return to as ``next``. Templates extend ``combine_core:pages/layout.jinja2``; an application
without ``combine_core.pages`` puts its own there with ``config.override_asset``, and adds a Jinja2
filter ``moment`` for times.

Settings (:class:`combine_auth.settings.AuthSettings`): with ``combine_auth.local_sign_in = true``
one button signs in as ``local@localhost``. It works only in development, and only for requests from
the same machine: the server must not hide the headers of a proxy from the application
(waitress: ``clear_untrusted_proxy_headers = false``).

Tables: ``sessions``, ``personal_access_tokens``, ``sign_in_attempts`` and ``invitations`` store only
the SHA-256 of secrets; ``identities`` maps accounts of providers to users.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyramid.config import Configurator

_NEEDED = (
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
    """Put the add-on together. Does no I/O. Raises ConfigurationError without the extra ``auth``."""
    # First of all: every import below needs them.
    _check_installed()
    from combine_auth.settings import AuthSettings

    # Harmless where combine_core has included these already.
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
    config.include("combine_auth.administration.pages")
    config.include("combine_auth.tokens.page")
    config.include("combine_auth.tokens.api")
    config.include("combine_auth.clients.page")
    config.include("combine_auth.oauth_server")


def _check_installed() -> None:
    missing = [name for name in _NEEDED if not _is_installed(name)]
    if missing:
        # Here, because commands import this package, but not Pyramid.
        from pyramid.exceptions import ConfigurationError

        raise ConfigurationError(
            f"combine_auth needs {', '.join(missing)}. Install them: pip install '.[auth]' in the"
            " checkout, or pip install 'WHEEL[auth]' with the path of the wheel"
        )


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        # The package around it is missing.
        return False
