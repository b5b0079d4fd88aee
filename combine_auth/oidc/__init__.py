"""OpenID Connect providers, and what they say of who signs in."""
