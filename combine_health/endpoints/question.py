"""What a request asks of the health endpoints: which checks, and in which format."""

from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qs

from pyramid.response import Response

from combine_health.endpoints.access import may_see_details
from combine_health.endpoints.health_json import HEALTH_JSON
from combine_health.engine import report
from combine_health.engine.check import Check, Kind
from combine_health.engine.registry import HealthRegistry
from combine_health.engine.report import JSON, Answer
from combine_health.engine.result import Json


class NotThere(Exception):
    """A check or group that does not exist was asked for; holds the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body)
        self.answer = answer


def names_asked(request: Any, health: HealthRegistry, kinds: Collection[Kind]) -> list[str] | None:
    """The checks named in the query (``?check=a&check=b`` or ``?check=a,b``); ``None``: no query.

    Raises `NotThere` when one of them is no check of ``kinds``.
    """
    given = parse_qs(request.environ.get("QUERY_STRING", ""), True, errors="replace").get("check")
    if given is None:
        return None
    names = list(dict.fromkeys(name.strip() for text in given for name in text.split(",")))
    there = [check.name for check in health.checks.values() if check.kind in kinds]
    strange = [name for name in names if name not in there]
    if strange:
        raise _not_there(request, health, "check", strange[0], there)
    return names


def group_asked(request: Any, health: HealthRegistry) -> frozenset[str] | None:
    """The names of the checks in the group that the path names; ``None`` where it names none.

    Raises `NotThere` when there is no such group.
    """
    if "group" not in request.matchdict:
        return None
    name = request.matchdict["group"]
    names = health.groups().get(name)
    if names is None:
        raise _not_there(request, health, "group", name, sorted(health.groups()))
    return names


def wants_health_json(request: Any) -> bool:
    """Whether the header Accept names application/health+json, and prefers nothing to it."""
    accept = request.accept
    named = any(str(one[0]).lower() == HEALTH_JSON and one[1] > 0 for one in accept.parsed or ())
    if not named:
        return False
    offers = accept.acceptable_offers([HEALTH_JSON, JSON])
    return bool(offers) and offers[0][0] == HEALTH_JSON


def respond(answer: Answer) -> Response:
    """``answer`` as Pyramid's response."""
    return Response(body=answer.body, status=answer.status, headerlist=answer.headers)


def refusal(status: int, error: str, **more: Json) -> Answer:
    """An answer that says why there is none."""
    return Answer(status, report.encode({"error": error, **more}))


def _not_there(
    request: Any, health: HealthRegistry, what: str, name: str, there: list[str]
) -> NotThere:
    """Those who may see details are told what there is; it is in the full status anyway."""
    if not may_see_details(request, health):
        return NotThere(refusal(404, f"there is no such {what} here"))
    said = health.redactor.text(name, 64)
    names: list[Json] = list(there)
    return NotThere(refusal(404, f"there is no {what} {said!r} here", **{f"{what}s": names}))


def is_named(check: Check, names: Collection[str] | None) -> bool:
    """Whether ``check`` is among ``names``, or none are named."""
    return names is None or check.name in names
