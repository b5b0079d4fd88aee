"""What a client hears at once when the queue of requests is full (RFC 9457 problem document)."""

import json
from email.utils import formatdate
from time import time
from typing import Any

from combine_health.server.lane import Ready, head

LONGEST_RETRY = 30  # seconds


def refusal(request: Any, *, ident: str | None, waiting: int, oldest: float) -> Ready:
    """A 503 for a request that waitress has parsed; the connection ends with it.

    ``waiting`` requests are queued, the first of them for ``oldest`` seconds.
    """
    retry = max(1, min(LONGEST_RETRY, round(oldest)))
    body = json.dumps(
        {
            "type": "about:blank",
            "title": "Service Unavailable",
            "status": 503,
            "detail": f"Every worker thread is busy and {waiting} requests wait."
            f" Try again in {retry} s.",
        }
    ).encode()
    headers = [
        ("Cache-Control", "no-store"),
        ("Connection", "close"),
        ("Content-Length", str(len(body))),
        ("Content-Type", "application/problem+json"),
        ("Date", formatdate(time(), usegmt=True)),
        ("Retry-After", str(retry)),
    ]
    if ident:
        headers.append(("Server", ident))
    version = request.version if request.version in {"1.0", "1.1"} else "1.0"
    if getattr(request, "command", "") == "HEAD":
        body = b""
    return Ready(head(version, 503, headers) + body, close=True)
