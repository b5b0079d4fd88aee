"""Run all checks of an application once, without a server.

The worst result comes first. The exit status is 1 if a critical check fails. Checks of the kind
``info`` affect no probe of a running service, but they count here, and their data is printed even if
they pass.
"""

import argparse
import json
from collections.abc import Iterator, Mapping

from combine_health.cli.application import add_ini_argument, application, chosen_ini
from combine_health.cli.result import CommandResult, sentence
from combine_health.engine.check import CheckKind, Status
from combine_health.engine.state import Reading

HELP = "run all checks of an application once, without a server (exit 0 or 1)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_ini_argument(parser)
    parser.add_argument(
        "--ready",
        action="store_true",
        help="run only the checks that decide readiness, such as before the first request",
    )


def run(arguments: argparse.Namespace) -> CommandResult:
    ini = chosen_ini(arguments.config, required=True)
    assert ini is not None
    health = application(ini)
    kinds = [kind for kind in CheckKind if kind is not CheckKind.INFO or not arguments.ready]
    health.runner.refresh(kinds)
    found = [health.runner.reading(n) for n, check in health.checks.items() if check.kind in kinds]
    health.runner.stop()
    readings = sorted(filter(None, found), key=_severity)
    bad = [one for one in readings if _status(one) is not Status.HEALTHY]
    more = [line for one in bad for line in _lines(one)]
    passing = [one for one in readings if one not in bad]
    more += [f"  healthy: {', '.join(one.check.name for one in passing)}"] if passing else []
    more += [line for one in passing for line in _lines_of_passing(one)]
    more += [f"  not run (disabled): {', '.join(health.disabled)}"] if health.disabled else []
    headline = _headline(bad[0]) if bad else f"healthy: {len(readings)} checks pass"
    ok = not any(_is_down(one) for one in bad)
    return CommandResult(ok=ok, headline=headline, more=more, redactor=health.redactor)


def _status(one: Reading) -> Status:
    """Return the status of this single run; ``fall`` and ``rise`` apply only to repeated runs."""
    latest = one.state.latest if one.state else None
    return one.status if latest is None else latest.status


def _is_down(one: Reading) -> bool:
    return one.check.critical and _status(one) not in {Status.HEALTHY, Status.DEGRADED}


def _severity(one: Reading) -> tuple[bool, bool, bool, bool]:
    """Return a sort key: first the checks that make the exit status 1, then those that decide readiness."""
    status = _status(one)
    return (
        status is Status.HEALTHY,
        not _is_down(one),
        one.check.kind is CheckKind.INFO,
        status is Status.DEGRADED,
    )


def _headline(one: Reading) -> str:
    cause = f": {one.cause}" if one.cause else ""
    return sentence(f"{_status(one)}: {one.check.name}{cause}", one.check.remedy_for(one.cause))


def _lines(one: Reading) -> list[str]:
    critical = ", critical" if one.check.critical else ""
    lines = [f"  {one.check.name} ({one.check.kind}{critical}): {_status(one)}, {one.cause}"]
    lines += [f"    detail: {one.detail}"] if one.detail else []
    lines += [f"    remedy: {remedy}"] if (remedy := one.check.remedy_for(one.cause)) else []
    lines += [f"    runbook: {one.check.runbook}"] if one.check.runbook else []
    return lines + _facts(one)


def _lines_of_passing(one: Reading) -> list[str]:
    """Return the lines of a passing check: none unless its kind is ``info``."""
    facts = ([f"    {one.detail}"] if one.detail else []) + _facts(one)
    return [f"  {one.check.name}:", *facts] if one.check.kind is CheckKind.INFO and facts else []


def _facts(one: Reading) -> list[str]:
    if one.check.kind is not CheckKind.INFO:
        return []
    return [f"    {name}: {value}" for name, value in _flat(one.data)]


def _flat(data: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value if isinstance(value, str) else json.dumps(value)
