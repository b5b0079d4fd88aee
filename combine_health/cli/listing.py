"""List the checks and settings of an application, or those that the installation offers."""

import argparse
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from combine_health.checks import BUILT_IN
from combine_health.cli.application import add_ini_argument, application, chosen_ini, read_ini
from combine_health.cli.result import CommandResult
from combine_health.engine.check import Check
from combine_health.engine.plugins import GROUP
from combine_health.engine.registry import HealthRegistry
from combine_health.options import MASK
from combine_health.settings import ResolvedSetting, resolve

HELP = "checks, kinds, settings"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_ini_argument(parser)


def run(arguments: argparse.Namespace) -> CommandResult:
    ini = chosen_ini(arguments.config)
    if ini is None:
        return _installation()
    health = application(ini)
    checks = [*health.checks.values(), *health.disabled.values()]
    more = [_check(check, health) for check in checks]
    more += ["", "plugins:", *_plugins(), "", "settings:", *_settings(read_ini(ini))]
    return CommandResult(
        ok=True,
        headline=f"{len(checks)} checks",
        more=more,
        redactor=health.redactor,
        unlimited=True,
    )


def _installation() -> CommandResult:
    more = [
        f"  {use:<12}{(check.__doc__ or '').partition('.')[0]}" for use, check in BUILT_IN.items()
    ]
    more += ["", "plugins:", *_plugins(), "", "settings:", *_settings({})]
    return CommandResult(
        ok=True,
        headline="built-in checks (combine_health.check.NAME.use = ...); -c INI lists a service's",
        more=more,
        unlimited=True,
    )


def _check(check: Check, health: HealthRegistry) -> str:
    critical = "critical" if check.critical else "not critical"
    times = f"every {check.interval:g} s, at most {check.timeout:g} s"
    disabled = ", disabled" if check.name in health.disabled else ""
    return f"  {check.name}: {check.kind}, {critical}, {times}{disabled}"


def _plugins() -> list[str]:
    found = [f"  {point.name} ({point.value})" for point in entry_points(group=GROUP)]
    return found or ["  none installed"]


def _settings(ini: Mapping[str, Any]) -> list[str]:
    return [_setting(row) for row in resolve(ini)]


def _setting(row: ResolvedSetting) -> str:
    value = row.value
    if row.declared.secret and value is not None:
        value = MASK
    elif isinstance(value, tuple):
        value = " ".join(value)
    return f"  {row.declared.name} = {'' if value is None else value} ({row.source})"
