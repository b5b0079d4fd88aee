"""OpenID Connect: providers as data, one client for each, ID tokens verified.

Knows of no request, no session and no table.
"""

from combine_auth.oidc.client import OidcClient
from combine_auth.oidc.hookspecs import hookimpl
from combine_auth.oidc.provider import Claims, Provider, redirect_uri
from combine_auth.oidc.providers import Providers, providers_of

__all__ = [
    "Claims",
    "OidcClient",
    "Provider",
    "Providers",
    "hookimpl",
    "providers_of",
    "redirect_uri",
]
