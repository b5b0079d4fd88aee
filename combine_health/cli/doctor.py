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
    bad = [reading for reading in readings if _status(reading) is not Status.HEALTHY]
    more = [line for reading in bad for line in _lines(reading)]
    passing = [reading for reading in readings if reading not in bad]
    names = ", ".join(reading.check.name for reading in passing)
    more += [f"  healthy: {names}"] if passing else []
    more += [line for reading in passing for line in _lines_of_passing(reading)]
    more += [f"  not run (disabled): {', '.join(health.disabled)}"] if health.disabled else []
    headline = _headline(bad[0]) if bad else f"healthy: {len(readings)} checks pass"
    ok = not any(_is_down(reading) for reading in bad)
    return CommandResult(ok=ok, headline=headline, more=more, redactor=health.redactor)


def _status(reading: Reading) -> Status:
    """Return the status of this single run; ``fall`` and ``rise`` apply only to repeated runs."""
    latest = reading.state.latest if reading.state else None
    return reading.status if latest is None else latest.status


def _is_down(reading: Reading) -> bool:
    return reading.check.critical and _status(reading) not in {Status.HEALTHY, Status.DEGRADED}


def _severity(reading: Reading) -> tuple[bool, bool, bool, bool]:
    """Return a sort key: first the checks that make the exit status 1, then those that decide readiness."""
    status = _status(reading)
    return (
        status is Status.HEALTHY,
        not _is_down(reading),
        reading.check.kind is CheckKind.INFO,
        status is Status.DEGRADED,
    )


def _headline(reading: Reading) -> str:
    check, cause = reading.check, f": {reading.cause}" if reading.cause else ""
    return sentence(f"{_status(reading)}: {check.name}{cause}", check.remedy_for(reading.cause))


def _lines(reading: Reading) -> list[str]:
    check, cause = reading.check, reading.cause
    critical = ", critical" if check.critical else ""
    texts = {"detail": reading.detail, "remedy": check.remedy_for(cause), "runbook": check.runbook}
    lines = [f"  {check.name} ({check.kind}{critical}): {_status(reading)}, {cause}"]
    lines += [f"    {name}: {text}" for name, text in texts.items() if text]
    return lines + _facts(reading)


def _lines_of_passing(reading: Reading) -> list[str]:
    """Return the lines of a passing check: none unless its kind is ``info``."""
    if reading.check.kind is not CheckKind.INFO:
        return []
    facts = ([f"    {reading.detail}"] if reading.detail else []) + _facts(reading)
    return [f"  {reading.check.name}:", *facts] if facts else []


def _facts(reading: Reading) -> list[str]:
    if reading.check.kind is not CheckKind.INFO:
        return []
    return [f"    {name}: {value}" for name, value in _flat(reading.data)]


def _flat(data: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value if isinstance(value, str) else json.dumps(value)
