"""Where to go after signing in: a path of this service and nothing else."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from combine_auth.sign_in.query import query_of

HOME = "/"
_LONGEST = 2000
# What may stand in a path and its query (RFC 3986, 3.3 and 3.4); above all no backslash, which
# browsers read as a slash, and no control character or space, which they drop.
_PATH = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*")
_QUERY = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*")
# How often an address may have been encoded over on its way.
_ROUNDS = 5


def safe_next(text: str) -> str:
    """``text`` if it is a path of this service, with a query perhaps; else ``/``.

    Whatever a browser, or a proxy that decodes once more, could take for another host is refused,
    and so are the pages of the sign-in itself. A fragment is cut off.
    """
    address = text.partition("#")[0]
    path, _, query = address.partition("?")
    if len(address) > _LONGEST or not _QUERY.fullmatch(query):
        return HOME
    if not _is_plain(path):
        return HOME
    return address


def _is_plain(path: str) -> bool:
    if not _PATH.fullmatch(path):
        return False
    for _ in range(_ROUNDS):
        if "//" in path or "\\" in path or not path.isprintable() or path.startswith("/auth/"):
            return False
        decoded = unquote(path)
        if decoded == path:
            return True
        path = decoded
    return False


def next_of_query(request: Any) -> str:
    """The path that the query of this request names as ``next``; ``/`` without a good one."""
    return safe_next(query_of(request).get("next", HOME))
