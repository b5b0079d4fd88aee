"""The hook by which an installed package adds a provider to sign in with.

In the package::

    from combine_auth.openid import Provider, hookimpl

    @hookimpl
    def combine_auth_register_providers(register, settings):
        register(
            Provider(
                name="acme",
                title="Acme",
                issuer="https://id.acme.example",
                discovery_url="https://id.acme.example/.well-known/openid-configuration",
            )
        )

and in its metadata, the module that holds the function::

    [project.entry-points."combine.auth_providers"]
    acme = "my_package.provider"

Such a provider is offered where ``AUTH_PROVIDERS`` names it, with ``ACME_CLIENT_ID`` and
``ACME_CLIENT_SECRET``. One that brings its own client ID and secret is offered in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pluggy

from combine_auth.openid.provider import Provider

PROJECT = "combine_auth_providers"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def combine_auth_register_providers(
    register: Callable[[Provider], None], settings: Mapping[str, Any]
) -> None:
    """Register providers; called once per application, while it is put together. No network here.

    :param register: takes a `Provider`
    :param settings: the application's settings, from its ini file
    """
