"""The public names for packages that add an identity provider.

A package adds a provider with a hook::

    from combine_auth.oidc import Provider, hookimpl

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

and names the module of the hook in its metadata::

    [project.entry-points."combine.auth_providers"]
    acme = "my_package.provider"

The provider is offered if ``AUTH_PROVIDERS`` names it, and ``ACME_CLIENT_ID`` and ``ACME_CLIENT_SECRET``
are set. A provider with a client ID and secret of its own is always offered.
"""

from combine_auth.openid import IdentityProvider as Provider
from combine_auth.openid import hookimpl

__all__ = ["Provider", "hookimpl"]
