"""The commands ``combine user`` and ``combine token``."""

from combine_auth.cli.tokens import token
from combine_auth.cli.users import user

__all__ = ["token", "user"]
