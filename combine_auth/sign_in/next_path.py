"""Validates the path to redirect to after a sign-in."""

from __future__ import annotations

import re
from urllib.parse import unquote

HOME = "/"
_MAX_LENGTH = 2000
# The characters of a path and its query (RFC 3986, 3.3 and 3.4). They exclude the backslash, which
# browsers treat as a slash, and control characters and spaces, which browsers remove.
_PATH = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*")
_QUERY = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*")
# Proxies may decode an address more than once.
_MAX_DECODINGS = 5


def safe_next(text: str) -> str:
    """Return the text if it is a path of this service, with an optional query; otherwise ``/``.

    Rejects every path that a browser, or a proxy that decodes once more, could read as another host, and
    the sign-in pages. Removes a fragment.
    """
    address = text.partition("#")[0]
    path, _, query = address.partition("?")
    if len(address) > _MAX_LENGTH or not _QUERY.fullmatch(query) or not _is_local(path):
        return HOME
    return address


def _is_local(path: str) -> bool:
    if not _PATH.fullmatch(path):
        return False
    for _ in range(_MAX_DECODINGS):
        if "//" in path or "\\" in path or not path.isprintable() or path.startswith("/auth/"):
            return False
        decoded = unquote(path)
        if decoded == path:
            return True
        path = decoded
    return False
