"""An OAuth 2.0 authorization server: tokens with which API clients act for users.

pyramid-oauthlib 1.0 on oauthlib 4 implements the protocol. This package corrects what they lack or do
wrong; each such place is marked "Repair" and has a test in
tests/functional/auth/oauth_server/test_repairs.py that fails without it.

* ``/oauth/authorize``, ``/oauth/token``, ``/oauth/revoke``, ``/oauth/introspect``, ``/oauth/device``,
  described by ``/.well-known/oauth-authorization-server``;
* the page ``/device`` for the code of a device, and ``/account/grants`` for a user's grants.

Grants: authorization code with PKCE S256 for every client, refresh with rotation, device, client
credentials. No password, no implicit (RFC 9700).
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
    # If the application has the API of combine_core.
    if hasattr(config, "add_api_spec"):
        config.add_api_spec("combine_auth:oauth_server/openapi.yaml")
        config.set_explorer_client(EXPLORER)
