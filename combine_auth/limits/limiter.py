"""Rate limits per kind of request, and the counters that enforce them."""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from limits import RateLimitItem, RateLimitItemPerMinute, parse
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter
from pyramid.httpexceptions import HTTPTooManyRequests

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RateLimitRule:
    """Limits of one kind of request, each "number/period" as the library ``limits`` reads it.

    :ivar address: from one client address
    :ivar key: under one key of :func:`combine_auth.limits.hit_limit`
    :ivar everybody: from all addresses together, so that using many addresses gains little
    """

    address: RateLimitItem
    key: RateLimitItem
    everybody: RateLimitItem


def _rule(address: str, key: str, everybody: str) -> RateLimitRule:
    return RateLimitRule(parse(address), parse(key), parse(everybody))


# An office behind one address signs in within the same minutes; a script that guesses needs millions.
RULES = {
    "sign-in": _rule("60/minute", "60/minute", "3000/minute"),
    "callback": _rule("60/minute", "60/minute", "3000/minute"),
    "invitation": _rule("20/minute", "20/minute", "1000/minute"),
    # A link into a project is opened before and after the sign-in, and then accepted.
    "project-invitation": _rule("60/minute", "60/minute", "3000/minute"),
    # Programs ask for tokens, many of them from one machine.
    "token": _rule("300/minute", "300/minute", "6000/minute"),
    "introspection": _rule("600/minute", "600/minute", "12000/minute"),
    "authorize": _rule("60/minute", "60/minute", "3000/minute"),
    "device": _rule("30/minute", "30/minute", "1000/minute"),
    # A person types a user code (RFC 8628, 5.1).
    "device-code": _rule("10/minute", "5/minute", "300/minute"),
    "report": _rule("30/minute", "30/minute", "600/minute"),
}


def rules(address_limits: Iterable[str] = ()) -> dict[str, RateLimitRule]:
    """The rules, with these limits of one address (``sign-in=300``, a minute) in place of the usual ones."""
    changed = dict(RULES)
    for kind, most in (one.split("=") for one in address_limits):
        rule = RULES[kind]
        # All addresses together may send what one may.
        everybody = RateLimitItemPerMinute(max(int(most), rule.everybody.amount))
        changed[kind] = replace(
            rule, address=RateLimitItemPerMinute(int(most)), everybody=everybody
        )
    return changed


# How long a storage that failed is not used: each attempt would last until its timeout.
AWAY_S = 5.0
_IPV6_PREFIX_LENGTH = 64


class RateLimited(HTTPTooManyRequests):  # type: ignore[misc]
    """Too many requests of one kind. ``Retry-After`` says how many seconds to wait."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            f"There were too many requests of this kind. Try again in {retry_after} seconds.",
            headers={"Retry-After": str(retry_after)},
        )
        # Not "retry_after": a response has a property of this name.
        self.wait_seconds = retry_after


class Limiter:
    """Enforces the rules. If the storage fails, requests are allowed, and the log says so once."""

    def __init__(self, storage: Storage, rules: Mapping[str, RateLimitRule] = RULES) -> None:
        self.storage = storage
        self._rules = rules
        self._windows = FixedWindowRateLimiter(storage)
        self._lock = threading.Lock()
        # When to try it again (seconds of the monotonic clock); ``None``: it works.
        self._away_until: float | None = None

    def check(self, name: str, address: str | None) -> None:
        """Count one request of this kind from this address. Raises RateLimited."""
        rule = self._rules[name]
        self._asked(lambda: self._check(name, rule, client_of(address)))

    def _check(self, name: str, rule: RateLimitRule, client: str) -> None:
        # In this order, a flood from one address does not use up the shared limit, and a flood from many
        # addresses creates no more counters than the shared limit allows requests.
        if not self._windows.test(rule.address, name, "address", client):
            raise self._limited(rule.address, name, "address", client)
        for item, key in ((rule.everybody, ("everybody",)), (rule.address, ("address", client))):
            if not self._windows.hit(item, name, *key):
                raise self._limited(item, name, *key)

    def hit(self, name: str, key: str) -> None:
        """Count one request of this kind under this key. Raises RateLimited."""
        item = self._rules[name].key
        # Clients choose the key, of any length. It may be a secret that Redis need not know.
        key = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()

        def hit() -> None:
            if not self._windows.hit(item, name, "key", key):
                raise self._limited(item, name, "key", key)

        self._asked(hit)

    def _limited(self, item: RateLimitItem, *key: str) -> RateLimited:
        end = self._windows.get_window_stats(item, *key).reset_time
        return RateLimited(max(1, math.ceil(end - time.time())))

    def _asked(self, question: Callable[[], None]) -> None:
        away_until = self._away_until
        if away_until is not None and time.monotonic() < away_until:
            return
        try:
            question()
        except self.storage.base_exceptions as error:
            self._failed(error)
            return
        except RateLimited:
            self._works()
            raise
        self._works()

    def _failed(self, error: Exception) -> None:
        with self._lock:
            news = self._away_until is None
            self._away_until = time.monotonic() + AWAY_S
        if news:
            # Only the type: the text may hold the URL with its password.
            logger.warning(
                "Rate limits are not applied: RATE_LIMIT_STORAGE does not answer (%s)",
                type(error).__name__,
            )

    def _works(self) -> None:
        if self._away_until is None:
            return
        with self._lock:
            self._away_until = None
        logger.warning("Rate limits are applied again: RATE_LIMIT_STORAGE answers")


def client_of(address: str | None) -> str:
    """The counted address: an IPv4 address, or the /64 network of an IPv6 address, which one client has.

    All clients on a Unix socket, which have no address, count as one.
    """
    try:
        parsed: Any = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return "unknown"
    # A dual-stack socket shows an IPv4 client as ::ffff:192.0.2.1.
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, _IPV6_PREFIX_LENGTH), strict=False).network_address)
