"""TLS as libpq does it for each sslmode."""

from __future__ import annotations

import ssl
from pathlib import Path

from sqlalchemy import URL


def context_for(mode: str, url: URL) -> ssl.SSLContext:
    """The context for ``mode``: before ``verify-ca`` libpq believes any certificate.

    :raises OSError: the file of certificates (sslrootcert) cannot be read
    """
    if mode not in {"verify-ca", "verify-full"}:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    named = url.query.get("sslrootcert")
    if named == "system":
        context = ssl.create_default_context()
    else:
        file = named if isinstance(named, str) else str(Path.home() / ".postgresql" / "root.crt")
        context = ssl.create_default_context(cafile=file)
    context.check_hostname = mode == "verify-full"
    return context
