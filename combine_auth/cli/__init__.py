"""The commands ``combine audit``, ``combine user`` and ``combine token``."""

from combine_auth.cli.audit import audit
from combine_auth.cli.tokens import token
from combine_auth.cli.users import user

__all__ = ["audit", "token", "user"]
