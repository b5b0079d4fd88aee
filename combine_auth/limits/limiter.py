"""Defines the rate limits, enforces them, and counts the requests in memory or in Redis."""

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
from limits.errors import ConfigurationError as UnknownStorage
from limits.storage import Storage, storage_from_string
from limits.strategies import FixedWindowRateLimiter
from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import HTTPTooManyRequests

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RateLimitRule:
    """The limits for one kind of request.

    :ivar address: the limit for one client address
    :ivar key: the limit for one key of :func:`combine_auth.limits.hit_limit`
    :ivar everybody: the limit for all addresses together, so that the use of many addresses gains little
    """

    address: RateLimitItem
    key: RateLimitItem
    everybody: RateLimitItem


def _rule(address: str, key: str, everybody: str) -> RateLimitRule:
    return RateLimitRule(parse(address), parse(key), parse(everybody))


# A whole office may sign in from one address within minutes; a script that guesses needs millions.
RULES = {
    "sign-in": _rule("60/minute", "60/minute", "3000/minute"),
    "callback": _rule("60/minute", "60/minute", "3000/minute"),
    "invitation": _rule("20/minute", "20/minute", "1000/minute"),
    # An invitation to a project is opened before and after the sign-in, and then accepted.
    "project-invitation": _rule("60/minute", "60/minute", "3000/minute"),
    # Many programs may request tokens from one machine.
    "token": _rule("300/minute", "300/minute", "6000/minute"),
    "introspection": _rule("600/minute", "600/minute", "12000/minute"),
    "authorize": _rule("60/minute", "60/minute", "3000/minute"),
    "device": _rule("30/minute", "30/minute", "1000/minute"),
    # A person types a user code (RFC 8628, 5.1).
    "device-code": _rule("10/minute", "5/minute", "300/minute"),
    "report": _rule("30/minute", "30/minute", "600/minute"),
}


def rules(address_limits: Iterable[str] = ()) -> dict[str, RateLimitRule]:
    """Return the rules with changed limits per address and minute, such as ``sign-in=300``."""
    changed = dict(RULES)
    for kind, number in (one.split("=") for one in address_limits):
        rule = RULES[kind]
        # The shared limit must not be lower than that of one address.
        everybody = RateLimitItemPerMinute(max(int(number), rule.everybody.amount))
        changed[kind] = replace(
            rule, address=RateLimitItemPerMinute(int(number)), everybody=everybody
        )
    return changed


# How long a failed storage is not used, because each attempt would wait for its timeout.
OUTAGE_S = 5.0
_IPV6_PREFIX_LENGTH = 64


class RateLimited(HTTPTooManyRequests):  # type: ignore[misc]
    """A 429 response whose ``Retry-After`` contains the seconds to wait."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            f"There were too many requests of this kind. Try again in {retry_after} seconds.",
            headers={"Retry-After": str(retry_after)},
        )
        # Not "retry_after", which is a property of WebOb's response.
        self.wait_seconds = retry_after


class Limiter:
    """An enforcer of rules. If the storage fails, it allows all requests, and logs this once."""

    def __init__(self, storage: Storage, rules: Mapping[str, RateLimitRule] = RULES) -> None:
        self.storage = storage
        self._rules = rules
        self._windows = FixedWindowRateLimiter(storage)
        self._lock = threading.Lock()
        # The monotonic time at which to use the storage again; ``None`` while it works.
        self._retry_at: float | None = None

    def check(self, name: str, address: str | None) -> None:
        """Count one request of this kind from this address. Raises RateLimited."""
        rule = self._rules[name]
        self._enforce(lambda: self._check(name, rule, client_key(address)))

    def _check(self, name: str, rule: RateLimitRule, client: str) -> None:
        # In this order, a flood from one address does not exhaust the shared limit, and a flood from many
        # addresses creates no more counters than the shared limit allows requests.
        if not self._windows.test(rule.address, name, "address", client):
            raise self._limited(rule.address, name, "address", client)
        for item, key in ((rule.everybody, ("everybody",)), (rule.address, ("address", client))):
            if not self._windows.hit(item, name, *key):
                raise self._limited(item, name, *key)

    def hit(self, name: str, key: str) -> None:
        """Count one request of this kind under this key. Raises RateLimited."""
        item = self._rules[name].key
        # Clients choose the key, which may have any length, and may be a secret.
        key = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()

        def hit() -> None:
            if not self._windows.hit(item, name, "key", key):
                raise self._limited(item, name, "key", key)

        self._enforce(hit)

    def _limited(self, item: RateLimitItem, *key: str) -> RateLimited:
        end = self._windows.get_window_stats(item, *key).reset_time
        return RateLimited(max(1, math.ceil(end - time.time())))

    def _enforce(self, count: Callable[[], None]) -> None:
        retry_at = self._retry_at
        if retry_at is not None and time.monotonic() < retry_at:
            return
        try:
            count()
        except self.storage.base_exceptions as error:
            self._suspend(error)
            return
        except RateLimited:
            self._resume()
            raise
        self._resume()

    def _suspend(self, error: Exception) -> None:
        with self._lock:
            is_first_failure = self._retry_at is None
            self._retry_at = time.monotonic() + OUTAGE_S
        if is_first_failure:
            # Log the type only: the text may contain the URL with its password.
            logger.warning(
                "Rate limits are not applied: RATE_LIMIT_STORAGE does not answer (%s)",
                type(error).__name__,
            )

    def _resume(self) -> None:
        if self._retry_at is None:
            return
        with self._lock:
            self._retry_at = None
        logger.warning("Rate limits are applied again: RATE_LIMIT_STORAGE answers")


def client_key(address: str | None) -> str:
    """Return the key of a client: its IPv4 address, or the /64 network of its IPv6 address.

    All clients on a Unix socket, which have no address, share a key.
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


# The storages of the counters.

MAX_KEYS = 50_000
_REDIS_TIMEOUT_S = 0.5


class MemoryStorage(Storage):
    """A storage of counters in memory, ordered by the start of their windows.

    The memory storage of the library ``limits`` starts a thread for each burst, which scans all keys every
    ten milliseconds, and does not limit the number of its keys.
    """

    STORAGE_SCHEME = None

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        super().__init__()
        self._max_keys = max_keys
        self._lock = threading.Lock()
        # The count and the end of the window (system time in seconds), by key.
        self._counters: dict[str, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._counters)

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        return ()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Increment the counter. The first increment starts a window of ``expiry`` seconds."""
        now = time.time()
        with self._lock:
            count, end = self._counters.get(key, (0, 0.0))
            if end <= now:
                # Removed first, so that it moves to the end of the order.
                self._counters.pop(key, None)
                self._make_room(now)
                count, end = 0, now + expiry
            self._counters[key] = (count + amount, end)
            return count + amount

    def _make_room(self, now: float) -> None:
        if len(self._counters) < self._max_keys:
            return
        expired = [key for key, (_, end) in self._counters.items() if end <= now]
        # If no counter has expired, delete the oldest tenth, so that the next ones fit without a search.
        for key in expired or list(self._counters)[: max(1, self._max_keys // 10)]:
            del self._counters[key]

    def get(self, key: str) -> int:
        count, end = self._counters.get(key, (0, 0.0))
        return count if end > time.time() else 0

    def get_expiry(self, key: str) -> float:
        return self._counters.get(key, (0, 0.0))[1] or time.time()

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        with self._lock:
            count = len(self._counters)
            self._counters.clear()
            return count

    def clear(self, key: str) -> None:
        with self._lock:
            self._counters.pop(key, None)


def make_storage(url: str) -> Storage:
    """Create the storage for a URL. It connects on first use. Raises ConfigurationError of Pyramid."""
    if url.startswith("memory:"):
        return MemoryStorage()
    try:
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        options: dict[str, Any] = {
            "socket_timeout": _REDIS_TIMEOUT_S,
            "socket_connect_timeout": _REDIS_TIMEOUT_S,
            # One retry, because the server may have restarted since a pooled connection was opened.
            "retry": Retry(NoBackoff(), 1),
            "key_prefix": "combine:limits",
        }
        storage = storage_from_string(url, **options)
    except (UnknownStorage, ImportError, ValueError) as error:
        # Without the error's text, which may contain the URL with its password.
        raise ConfigurationError(
            "RATE_LIMIT_STORAGE is not usable. Set memory://, or set redis://host:6379/0 and run:"
            " pip install '.[redis]' in the checkout, or pip install 'WHEEL[redis]' with the path"
            " to the wheel"
        ) from error
    assert isinstance(storage, Storage)
    return storage
