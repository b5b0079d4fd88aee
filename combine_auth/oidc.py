"""The public names for packages that add an identity provider (:mod:`combine_auth.openid.plugins`)."""

from combine_auth.openid import IdentityProvider as Provider
from combine_auth.openid import hookimpl

__all__ = ["Provider", "hookimpl"]
