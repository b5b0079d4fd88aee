"""API clients: programs that are registered to ask for tokens (RFC 6749, 2)."""

from combine_auth.clients.grant_type import GrantType
from combine_auth.clients.model import OAuthClient

__all__ = ["GrantType", "OAuthClient"]
