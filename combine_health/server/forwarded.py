"""The headers of proxies, where the server trusts a proxy: which of them it cannot object to."""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address

_HOST = re.compile(r"[A-Za-z0-9.-]{1,255}(:\d{1,5})?")
_PORT = re.compile(r"\d{1,5}")


def _are_addresses(value: str) -> bool:
    try:
        for hop in value.split(","):
            ip_address(hop.strip())
    except ValueError:
        return False
    return True


_FINE: Mapping[str, Callable[[str], object]] = {
    "X_FORWARDED_FOR": _are_addresses,
    "X_FORWARDED_HOST": _HOST.fullmatch,
    "X_FORWARDED_PORT": _PORT.fullmatch,
    "X_FORWARDED_PROTO": {"http", "https"}.__contains__,
    # Of these two, whatever they say, the server decides.
    "X_FORWARDED_BY": lambda _: False,
    "FORWARDED": lambda _: False,
}


def is_well_formed(headers: Mapping[str, str]) -> bool:
    """Whether what ``headers`` (in waitress' form: ``X_FORWARDED_FOR``) say of proxies is plain.

    waitress refuses some values with 400; those that are plain it never does.
    """
    return all(fine(headers[name]) for name, fine in _FINE.items() if name in headers)
