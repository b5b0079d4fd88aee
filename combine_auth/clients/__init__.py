"""API clients: programs that are registered to request tokens (RFC 6749, 2)."""

from combine_auth.clients.model import GrantType, OAuthClient

__all__ = ["GrantType", "OAuthClient"]
