"""Parses the requests of probes and answers them, for the views and the server's health lane."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import parse_qs

from webob.acceptparse import create_accept_header

from combine_health.endpoints import health_json
from combine_health.endpoints.health_json import HEALTH_JSON
from combine_health.engine import probes
from combine_health.engine.check import CheckKind
from combine_health.engine.probes import JSON, Probe, ProbeAnswer
from combine_health.engine.registry import HealthRegistry
from combine_health.engine.state import Reading
from combine_health.engine.verdict import Circumstances

DECIDING = (CheckKind.LIVE, CheckKind.READY, CheckKind.STARTUP)
EVERY = tuple(CheckKind)


class _Endpoint(NamedTuple):
    judge: Callable[[Iterable[Reading], Circumstances], Probe]
    deciding: Collection[CheckKind]
    nameable: Collection[CheckKind]  # the kinds of the checks that a request may name


_READY = _Endpoint(probes.ready, DECIDING, EVERY)
PROBES = {
    "combine_health": _Endpoint(probes.live, (CheckKind.LIVE,), (CheckKind.LIVE,)),
    "combine_health_ready": _READY,
    "combine_health_ready_group": _READY,
    "combine_health_startup": _Endpoint(
        lambda readings, _: probes.startup(readings), (CheckKind.STARTUP,), (CheckKind.STARTUP,)
    ),
}
"""The probes by the names of their routes."""


class UnknownNameError(Exception):
    """A request names a check or a group (``kind``) that does not exist."""

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no {kind} {name!r}")
        self.kind = kind
        self.name = name
        self.known = known


class ProbeRequest(NamedTuple):
    """A parsed request of a probe, with the group or checks that limit the response, and its format."""

    probe: str  # the name of the route
    group: str | None
    names: tuple[str, ...] | None
    as_health_json: bool

    @property
    def kinds(self) -> Collection[CheckKind]:
        """The kinds of checks that decide the response."""
        endpoint = PROBES[self.probe]
        return endpoint.nameable if self.is_selective else endpoint.deciding

    @property
    def is_selective(self) -> bool:
        """True if it selects checks by name or by group. Each selected check counts, critical or not."""
        return self.names is not None or self.group is not None


def parse_request(probe: str, group: str | None, query: str, accept: str) -> ProbeRequest:
    """Parse the query string and the header Accept of a request."""
    return ProbeRequest(probe, group, names_in(query), wants_health_json(accept))


def names_in(query: str) -> tuple[str, ...] | None:
    """Return the checks in ``?check=a&check=b`` or ``?check=a,b``, or ``None`` without the parameter."""
    values = parse_qs(query, True, errors="replace").get("check")
    if values is None:
        return None
    return tuple(dict.fromkeys(name.strip() for value in values for name in value.split(",")))


def wants_health_json(accept: str) -> bool:
    """Check whether the header Accept contains application/health+json and prefers it."""
    if HEALTH_JSON not in accept.lower():
        return False
    parsed = create_accept_header(accept)
    if not any(
        str(offer[0]).lower() == HEALTH_JSON and offer[1] > 0 for offer in parsed.parsed or ()
    ):
        return False
    offers = parsed.acceptable_offers([HEALTH_JSON, JSON])
    return bool(offers) and offers[0][0] == HEALTH_JSON


def selected_checks(request: ProbeRequest, health: HealthRegistry) -> frozenset[str] | None:
    """Return the checks that limit the response, or ``None`` without a limit.

    Raises `UnknownNameError`.
    """
    selected = None
    if request.group is not None:
        groups = health.groups()
        if request.group not in groups:
            raise UnknownNameError("group", request.group, sorted(groups))
        selected = groups[request.group]
    named = checks_named(request.names, PROBES[request.probe].nameable, health)
    if selected is None or named is None:
        return named if selected is None else selected
    return selected & named


def checks_named(
    names: Sequence[str] | None, kinds: Collection[CheckKind], health: HealthRegistry
) -> frozenset[str] | None:
    """Return ``names`` as a set. Raises `UnknownNameError` if one is not a check of ``kinds``."""
    if names is None:
        return None
    known = [check.name for check in health.checks.values() if check.kind in kinds]
    for name in names:
        if name not in known:
            raise UnknownNameError("check", name, known)
    return frozenset(names)


def answer(
    request: ProbeRequest,
    selected: Collection[str] | None,
    readings: Iterable[Reading],
    circumstances: Circumstances,
) -> ProbeAnswer:
    """Answer ``request``. ``selected`` is the result of `selected_checks`."""
    shown = [reading for reading in readings if selected is None or reading.check.name in selected]
    judged = map(probes.make_critical, shown) if request.is_selective else shown
    probe = PROBES[request.probe].judge(judged, circumstances)
    if selected is not None:
        probe = replace(probe, selected=tuple(shown))
    return (health_json.probe_answer if request.as_health_json else probes.plain_answer)(probe)
