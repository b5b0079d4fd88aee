"""Personal access tokens: keys that people make for their programs."""

from combine_auth.tokens.format import PREFIX, is_token
from combine_auth.tokens.model import PersonalAccessToken
from combine_auth.tokens.service import (
    DEFAULT_DAYS,
    MOST_DAYS,
    create_token,
    list_tokens,
    revoke_token,
)

__all__ = [
    "DEFAULT_DAYS",
    "MOST_DAYS",
    "PREFIX",
    "PersonalAccessToken",
    "create_token",
    "is_token",
    "list_tokens",
    "revoke_token",
]
