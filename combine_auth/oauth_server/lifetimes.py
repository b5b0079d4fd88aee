"""The lifetimes and limits of codes, tokens, grants and devices."""

from __future__ import annotations

from datetime import timedelta

# The time that a user has to decide on a consent page.
CONSENT_PAGE = timedelta(minutes=30)
CODE = timedelta(seconds=60)
ACCESS = timedelta(hours=1)
# From one refresh to the next.
REFRESH = timedelta(days=30)
# The maximum lifetime of all tokens of one consent.
GRANT = timedelta(days=90)
# A client that lost the response, or sent two requests at once, may use a rotated refresh token again.
GRACE = timedelta(seconds=30)
DEVICE = timedelta(minutes=10)
# Seconds between two polls of a device, and the increment after polling too fast (RFC 8628, 3.5).
POLL_EVERY_S = 5
SLOW_DOWN_S = 5
# How long expired rows are kept.
KEPT_AFTER_EXPIRY = timedelta(days=1)
# The maximum number per user and client.
MAX_GRANTS = 100
