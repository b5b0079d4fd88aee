"""What a probe asks, and the answer. The views and the server's health lane share both."""

from collections.abc import Callable, Collection, Iterable, Sequence
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
    """A request names a check or a group (``what``) that does not exist."""

    def __init__(self, what: str, name: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no {what} {name!r}")
        self.what = what
        self.name = name
        self.known = known


class Question(NamedTuple):
    """A probe, the group or the checks that the answer is limited to, and the format."""

    probe: str  # the name of its route
    group: str | None
    names: tuple[str, ...] | None
    as_health_json: bool

    @property
    def kinds(self) -> Collection[CheckKind]:
        """The kinds of checks that decide the answer."""
        endpoint = PROBES[self.probe]
        return endpoint.nameable if self.chooses else endpoint.deciding

    @property
    def chooses(self) -> bool:
        """Whether it chooses checks by name or by group. Each of them counts, critical or not."""
        return self.names is not None or self.group is not None


def read_question(probe: str, group: str | None, query: str, accept: str) -> Question:
    """Read what a request asks from its query string and its header Accept."""
    return Question(probe, group, names_in(query), wants_health_json(accept))


def names_in(query: str) -> tuple[str, ...] | None:
    """Return the checks in ``?check=a&check=b`` or ``?check=a,b``; ``None`` without any."""
    given = parse_qs(query, True, errors="replace").get("check")
    if given is None:
        return None
    return tuple(dict.fromkeys(name.strip() for text in given for name in text.split(",")))


def wants_health_json(accept: str) -> bool:
    """Whether the header Accept names application/health+json and prefers no other offer."""
    if HEALTH_JSON not in accept.lower():
        return False
    parsed = create_accept_header(accept)
    if not any(str(one[0]).lower() == HEALTH_JSON and one[1] > 0 for one in parsed.parsed or ()):
        return False
    offers = parsed.acceptable_offers([HEALTH_JSON, JSON])
    return bool(offers) and offers[0][0] == HEALTH_JSON


def checks_of(question: Question, health: HealthRegistry) -> frozenset[str] | None:
    """Return the checks that the answer is limited to, ``None`` without a limit.

    Raises `UnknownNameError`.
    """
    chosen = None
    if question.group is not None:
        groups = health.groups()
        if question.group not in groups:
            raise UnknownNameError("group", question.group, sorted(groups))
        chosen = groups[question.group]
    named = checks_named(question.names, PROBES[question.probe].nameable, health)
    if chosen is None or named is None:
        return named if chosen is None else chosen
    return chosen & named


def checks_named(
    names: Sequence[str] | None, kinds: Collection[CheckKind], health: HealthRegistry
) -> frozenset[str] | None:
    """Return ``names`` as a set. Raises `UnknownNameError` if one is no check of ``kinds``."""
    if names is None:
        return None
    known = [check.name for check in health.checks.values() if check.kind in kinds]
    for name in names:
        if name not in known:
            raise UnknownNameError("check", name, known)
    return frozenset(names)


def answer(
    question: Question,
    chosen: Collection[str] | None,
    readings: Iterable[Reading],
    circumstances: Circumstances,
) -> ProbeAnswer:
    """Answer ``question``. ``chosen`` are its checks, as `checks_of` returns them."""
    shown = [one for one in readings if chosen is None or one.check.name in chosen]
    judged = map(probes.asked, shown) if question.chooses else shown
    probe = PROBES[question.probe].judge(judged, circumstances)
    if chosen is not None:
        probe = probe.naming(shown)
    return (health_json.probe_answer if question.as_health_json else probes.plain)(probe)
