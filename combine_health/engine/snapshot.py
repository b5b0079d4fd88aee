"""The answers of the probes, made once and handed out until something changes.

A server may answer from them on its I/O thread: looking takes no lock, does no I/O and allocates
nothing as long as they hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from types import MappingProxyType
from typing import TypeAlias

from combine_health.engine import probes
from combine_health.engine.probes import ProbeAnswer, plain
from combine_health.engine.registry import HealthRegistry

Snapshot: TypeAlias = Mapping[str, ProbeAnswer]

LONGEST = 1.0  # seconds that a snapshot holds where the worker threads are watched

NOTHING: Snapshot = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Held:
    """A snapshot and how long it holds."""

    snapshot: Snapshot
    version: tuple[int, int]
    until: float


def snapshot(health: HealthRegistry) -> Snapshot:
    """The answers of the probes as they are now: path -> answer to a plain GET of it.

    Plain means: no query, and no ``application/health+json`` in the header Accept. The paths are
    those of the routes, with their prefix. Empty where checks run at the request
    (``combine_health.background = false``): then only the views can answer.
    """
    held = health.held
    now = health.clock.monotonic()
    if held is not None and now < held.until and held.version == health.version:
        return held.snapshot
    if not health.settings.background:
        return NOTHING
    version = health.version  # first: a change in the meantime makes this one void at once
    readings = health.runner.readings()
    circumstances = health.circumstances()
    answers = {
        "/health": probes.live(readings, circumstances),
        "/health/ready": probes.ready(readings, circumstances),
        "/health/startup": probes.startup(readings),
    }
    made = MappingProxyType({health.prefix + path: plain(one) for path, one in answers.items()})
    until = min((reading.good_until for reading in readings), default=inf)
    until = min(until, health.maintenance.ends if circumstances.maintenance else inf)
    if health.read_saturation is not None:
        until = min(until, now + LONGEST)
    health.held = Held(made, version, until)
    return made
