"""Decides which reverse proxies the server trusts, and which of their headers it accepts."""

import logging
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from math import inf
from threading import Lock
from time import monotonic

from combine_health.engine.log_throttle import ThrottledLog

log = logging.getLogger("combine_health")

FRESH = 30.0  # seconds that a resolved name stays valid
SOON = 1.0  # seconds between two look-ups for unknown addresses
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,255}(:\d{1,5})?")
_PORT = re.compile(r"\d{1,5}")


def parse_proxies(text: str) -> tuple[str, ...]:
    """Split ``text`` at spaces or commas into addresses, networks and names, or ``*``.

    Raises `ValueError` for an invalid entry.
    """
    found = tuple(dict.fromkeys(text.replace(",", " ").split()))
    for entry in found:
        if entry == "*" or _network(entry) is not None:
            continue
        if not _NAME.fullmatch(entry) or _is_number(entry):
            raise ValueError(
                f"{entry!r} is invalid: write an address (10.0.0.5), a network (10.0.0.0/24), a name"
                " (lb), or *"
            )
    return found


def resolve_host(name: str) -> set[str]:
    """Return the addresses of a host. Raises `OSError`."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return {str(address[0]) for *_, address in found}


class TrustedProxies:
    """The trusted proxies: ``address in proxies`` is true for the address of a trusted proxy.

    A name is resolved when an unknown address connects, and again after `FRESH` seconds: a
    recreated container has a new address, and another container may get the old one. If the name
    does not resolve, its last known addresses stay trusted. Thread-safe.
    """

    def __init__(
        self,
        entries: Iterable[str],
        *,
        resolve: Callable[[str], set[str]] = resolve_host,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Take ``entries`` from `parse_proxies`."""
        self._all = False
        self._networks: list[IPv4Network | IPv6Network] = []
        self._names: dict[str, set[str]] = {}
        for entry in entries:
            if entry == "*":
                self._all = True
            elif (network := _network(entry)) is not None:
                self._networks.append(network)
            else:
                self._names[entry] = set()
        self._resolve = resolve
        self._clock = clock
        self._resolved_at = -inf
        self._lock = Lock()
        self._log = ThrottledLog(log)

    def __contains__(self, address: str) -> bool:
        # An address can be a name: for a client on a Unix socket, waitress sets `localhost`.
        if self._all or address in self._names or self._in_a_network(address):
            return True
        if not self._names:
            return False
        if self._is_known(address) and self._clock() - self._resolved_at < FRESH:
            return True
        # When the proxy has a new address, many threads need it at once: one resolves it for all.
        with self._lock:
            wait = FRESH if self._is_known(address) else SOON
            if self._clock() - self._resolved_at >= wait:
                self._resolve_all()
        return self._is_known(address)

    def _in_a_network(self, address: str) -> bool:
        if not self._networks:
            return False
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)

    def _is_known(self, address: str) -> bool:
        return any(address in found for found in self._names.values())

    def _resolve_all(self) -> None:
        for name in self._names:
            try:
                self._names[name] = self._resolve(name)
            except OSError as error:
                self._log.warning("the trusted proxy %s does not resolve: %s", name, error)
        self._resolved_at = self._clock()


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None


def _is_number(text: str) -> bool:
    """Check whether ``text`` is a mistyped address such as 10.0.0.500, which is not a name."""
    return not text.strip("0123456789.")


def _are_addresses(value: str) -> bool:
    try:
        for hop in value.split(","):
            ip_address(hop.strip())
    except ValueError:
        return False
    return True


_WELL_FORMED: Mapping[str, Callable[[str], object]] = {
    "X_FORWARDED_FOR": _are_addresses,
    "X_FORWARDED_HOST": _HOST.fullmatch,
    "X_FORWARDED_PORT": _PORT.fullmatch,
    "X_FORWARDED_PROTO": {"http", "https"}.__contains__,
    # Only waitress validates these two.
    "X_FORWARDED_BY": lambda _: False,
    "FORWARDED": lambda _: False,
}


def are_well_formed(headers: Mapping[str, str]) -> bool:
    """Check whether waitress certainly accepts all proxy headers among ``headers``.

    The names are in the form of waitress (``X_FORWARDED_FOR``). waitress rejects some values with 400,
    but never values that are well formed here.
    """
    return all(check(headers[name]) for name, check in _WELL_FORMED.items() if name in headers)
