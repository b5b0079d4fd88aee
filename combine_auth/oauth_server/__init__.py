"""An OAuth 2.0 authorization server, which issues tokens to API clients that act for users.

pyramid-oauthlib 1.0 and oauthlib 4 implement the protocol. This package corrects their faults and
omissions. Each correction is marked "Repair" and has a test in
tests/functional/auth/oauth_server/test_repairs.py that fails without it.

* ``/oauth/authorize``, ``/oauth/token``, ``/oauth/revoke``, ``/oauth/introspect``, ``/oauth/device``,
  described by ``/.well-known/oauth-authorization-server``;
* the page ``/device``, where a user enters the code of a device, and ``/account/grants`` with the user's
  grants.

The grant types are authorization code with PKCE S256 for every client, refresh token with rotation, device
code and client credentials. The password and implicit grants are not supported (RFC 9700).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from combine_auth.clients.built_in import EXPLORER

if TYPE_CHECKING:
    from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    config.include("combine_auth.oauth_server.server")
    config.include("combine_auth.oauth_server.endpoints")
    config.include("combine_auth.oauth_server.authorize")
    config.include("combine_auth.oauth_server.pages")
    # The application may lack the API of combine_core.
    if hasattr(config, "add_api_spec"):
        config.add_api_spec("combine_auth:oauth_server/openapi.yaml")
        config.set_explorer_client(EXPLORER)
