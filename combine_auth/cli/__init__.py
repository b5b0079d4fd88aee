"""The commands ``combine audit``, ``client``, ``login``, ``logout``, ``token`` and ``user``."""

from combine_auth.cli.audit import audit
from combine_auth.cli.clients import client
from combine_auth.cli.login import login, logout
from combine_auth.cli.tokens import token
from combine_auth.cli.users import user

__all__ = ["audit", "client", "login", "logout", "token", "user"]
