"""How long what lives, and how many there may be."""

from __future__ import annotations

from datetime import timedelta

CODE = timedelta(seconds=60)
ACCESS = timedelta(hours=1)
# From one refresh to the next.
REFRESH = timedelta(days=30)
# All of what one consent brought, however often it is refreshed.
GRANT = timedelta(days=90)
# A client that lost the answer, or asked twice at once, may show a rotated refresh token again.
GRACE = timedelta(seconds=30)
DEVICE = timedelta(minutes=10)
# Seconds between two questions of a device, and what it must add when it asks too fast (RFC 8628, 3.5).
POLL_EVERY_S = 5
SLOW_DOWN_S = 5
USED_EVERY = timedelta(minutes=1)
# How long what is over can still be told from what never was.
KEPT_AFTERWARDS = timedelta(days=1)
# Of one user and one client; the oldest gives way.
MOST_GRANTS = 100
