"""For packages that add an identity provider: the names to import. See :mod:`combine_auth.openid.plugins`."""

from combine_auth.openid import IdentityProvider as Provider
from combine_auth.openid import hookimpl

__all__ = ["Provider", "hookimpl"]
