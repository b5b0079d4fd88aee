"""Run all checks of an application once, here and now, without a server."""

import argparse
import os

from combine_health.check import Kind
from combine_health.cli.application import application
from combine_health.cli.finding import Finding, InputError, sentence
from combine_health.result import Status
from combine_health.state import Reading

HELP = "run all checks of an application once, without a server (exit 0 or 1)"
VARIABLE = "COMBINE_INI"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "-c", "--config", metavar="INI", help=f"the ini file of the service (default: ${VARIABLE})"
    )


def ini_of(arguments: argparse.Namespace) -> str:
    """The ini file that is meant. Raises `InputError` where none is named."""
    ini: str = arguments.config or os.environ.get(VARIABLE, "")
    if not ini:
        raise InputError(f"name the ini file of the service: -c production.ini, or ${VARIABLE}")
    return ini


def run(arguments: argparse.Namespace) -> Finding:
    """Make the application, run its checks at once, put the worst first."""
    health = application(ini_of(arguments))
    health.runner.refresh(tuple(Kind))
    found = [health.runner.reading(name) for name in health.checks]
    health.runner.stop()
    readings = sorted(filter(None, found), key=_severity)
    bad = [one for one in readings if _status(one) is not Status.HEALTHY]
    down = [one for one in bad if _severity(one) == 0]
    more = [line for one in bad for line in _lines(one)]
    more += [f"  healthy: {', '.join(_names(readings, bad))}"] if len(bad) < len(readings) else []
    more += [f"  not run (disabled): {', '.join(health.disabled)}"] if health.disabled else []
    headline = _headline(bad[0]) if bad else f"healthy: {len(readings)} checks pass"
    return Finding(ok=not down, headline=headline, more=more, redactor=health.redactor)


def _status(one: Reading) -> Status:
    """What this one run found: thresholds are for those who look again and again."""
    latest = one.state.latest if one.state else None
    return one.status if latest is None else latest.status


def _severity(one: Reading) -> int:
    status = _status(one)
    if status is Status.HEALTHY:
        return 4
    if one.check.kind is Kind.INFO:
        return 3
    if status is Status.DEGRADED:
        return 2
    return 0 if one.check.critical else 1


def _remedy(one: Reading) -> str | None:
    return one.check.remedy_for(one.cause)


def _headline(one: Reading) -> str:
    cause = f": {one.cause}" if one.cause else ""
    return sentence(f"{_status(one)}: {one.check.name}{cause}", _remedy(one))


def _lines(one: Reading) -> list[str]:
    critical = ", critical" if one.check.critical and one.check.kind is not Kind.INFO else ""
    lines = [f"  {one.check.name} ({one.check.kind}{critical}): {_status(one)}, {one.cause}"]
    lines += [f"    detail: {one.detail}"] if one.detail else []
    lines += [f"    remedy: {remedy}"] if (remedy := _remedy(one)) else []
    lines += [f"    runbook: {one.check.runbook}"] if one.check.runbook else []
    return lines


def _names(readings: list[Reading], bad: list[Reading]) -> list[str]:
    return [one.check.name for one in readings if one not in bad]
