"""The commands ``combine audit``, ``client``, ``token`` and ``user``.

``combine login`` and ``combine logout`` (:mod:`combine_auth.cli.login`) are loaded separately,
because the others do not need an HTTP client.
"""

from combine_auth.cli.audit import audit
from combine_auth.cli.clients import client
from combine_auth.cli.tokens import token
from combine_auth.cli.users import user

__all__ = ["audit", "client", "token", "user"]
