"""Where to go after a sign-in: only to a path of this service."""

from __future__ import annotations

import re
from urllib.parse import unquote

HOME = "/"
_MAX_LENGTH = 2000
# The characters of a path and its query (RFC 3986, 3.3 and 3.4). Above all there is no backslash, which
# browsers read as a slash, and no control character or space, which they drop.
_PATH = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*")
_QUERY = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*")
# An address may have been percent-encoded this often on its way.
_MAX_DECODINGS = 5


def safe_next(text: str) -> str:
    """``text`` if it is a path of this service, perhaps with a query; otherwise ``/``.

    Refuses whatever a browser, or a proxy that decodes once more, could take for another host, and the
    pages of the sign-in itself. Cuts off a fragment.
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
