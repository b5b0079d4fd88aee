"""Lifetimes and limits of codes, tokens, grants and devices."""

from __future__ import annotations

from datetime import timedelta

# How long a person may think about what a client asks for.
CONSENT_PAGE = timedelta(minutes=30)
CODE = timedelta(seconds=60)
ACCESS = timedelta(hours=1)
# From one refresh to the next.
REFRESH = timedelta(days=30)
# All tokens of one consent, however often they are refreshed.
GRANT = timedelta(days=90)
# A client that lost the response, or sent two requests at once, may use a rotated refresh token again.
GRACE = timedelta(seconds=30)
DEVICE = timedelta(minutes=10)
# Seconds between two polls of a device, and how much it must add after polling too fast (RFC 8628, 3.5).
POLL_EVERY_S = 5
SLOW_DOWN_S = 5
# How long expired rows are kept.
KEPT_AFTERWARDS = timedelta(days=1)
# Per user and client. A further one is refused.
MOST_GRANTS = 100
