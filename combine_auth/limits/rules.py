"""How often what may be done: from one address, under one key, and by all together."""

from __future__ import annotations

from dataclasses import dataclass

from limits import RateLimitItem, parse


@dataclass(frozen=True)
class Rule:
    """Limits of one kind of request, each "number/period" as the library ``limits`` reads it.

    :ivar address: from one client address
    :ivar key: under one key of :func:`combine_auth.limits.hit_limit`
    :ivar everybody: from all addresses together, so that many of them gain little
    """

    address: RateLimitItem
    key: RateLimitItem
    everybody: RateLimitItem


def _rule(address: str, key: str, everybody: str) -> Rule:
    return Rule(parse(address), parse(key), parse(everybody))


# An office behind one address signs in within the same minutes; a script that guesses needs millions.
RULES = {
    "sign-in": _rule("60/minute", "60/minute", "3000/minute"),
    "callback": _rule("60/minute", "60/minute", "3000/minute"),
    "invitation": _rule("20/minute", "20/minute", "1000/minute"),
    # Programs ask for tokens, many of them from one machine.
    "token": _rule("300/minute", "300/minute", "6000/minute"),
    "introspection": _rule("600/minute", "600/minute", "12000/minute"),
    "authorize": _rule("60/minute", "60/minute", "3000/minute"),
    "device": _rule("30/minute", "30/minute", "1000/minute"),
    # A person types a user code (RFC 8628, 5.1).
    "device-code": _rule("10/minute", "5/minute", "300/minute"),
    "report": _rule("30/minute", "30/minute", "600/minute"),
}
