"""The proxies whose headers the server believes, named as an operator knows them."""

import logging
import re
import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from math import inf
from threading import Lock
from time import monotonic

from combine_health.engine.log_throttle import Quiet

log = logging.getLogger("combine_health")

FRESH = 30.0  # seconds that the answer for a name holds
SOON = 1.0  # the shortest time from one look-up to the next
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")


def proxies(text: str) -> tuple[str, ...]:
    """Addresses, networks and names by spaces or commas, or ``*``; `ValueError` says what to write."""
    found = tuple(dict.fromkeys(text.replace(",", " ").split()))
    for one in found:
        if one != "*" and _network(one) is None and (not _NAME.fullmatch(one) or _is_number(one)):
            raise ValueError(
                f"{one!r} is none of 10.0.0.5 (an address), 10.0.0.0/24 (a network), lb (a name), *"
            )
    return found


def look_up(name: str) -> set[str]:
    """The addresses of a host. Raises `OSError`."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return {str(address[0]) for *_, address in found}


class Proxies:
    """``address in proxies``: whether a connection from there is one of them.

    A name is looked up when an unknown address comes, and again after a while: a container that is
    made anew has another address, and somebody else may get the old one. Where a name has no
    answer, the addresses known last are kept. Any thread may ask.
    """

    def __init__(
        self,
        named: Iterable[str],
        *,
        resolve: Callable[[str], set[str]] = look_up,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """``named`` as `proxies` gives them."""
        self._all = False
        self._networks: list[IPv4Network | IPv6Network] = []
        self._names: dict[str, set[str]] = {}
        for one in named:
            if one == "*":
                self._all = True
            elif (network := _network(one)) is not None:
                self._networks.append(network)
            else:
                self._names[one] = set()
        self._resolve = resolve
        self._clock = clock
        self._asked_at = -inf
        self._lock = Lock()
        self._log = Quiet(log)

    def __bool__(self) -> bool:
        return bool(self._all or self._networks or self._names)

    def __contains__(self, address: str) -> bool:
        if self._all or address in self._names or self._in_a_network(address):
            return True  # a name: what waitress says of clients on a Unix socket is `localhost`
        if not self._names:
            return False
        if self._is_known(address) and self._clock() - self._asked_at < FRESH:
            return True
        # Many may ask at once when the proxy has a new address: all wait for the one answer.
        with self._lock:
            wait = FRESH if self._is_known(address) else SOON
            if self._clock() - self._asked_at >= wait:
                self._look_up()
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

    def _look_up(self) -> None:
        for name in self._names:
            try:
                self._names[name] = self._resolve(name)
            except OSError as error:
                self._log.warning("the trusted proxy %s is not found: %s", name, error)
        self._asked_at = self._clock()


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None


def _is_number(text: str) -> bool:
    """A slip in an address, such as 10.0.0.500, is no name."""
    return not text.strip("0123456789.")
