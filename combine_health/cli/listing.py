"""List the checks and settings of an application, or without one, those of the installation."""

import argparse
from importlib.metadata import entry_points

from combine_health.checks import BUILT_IN
from combine_health.cli.application import add_ini_argument, application, chosen_ini, read_ini
from combine_health.cli.result import CommandResult
from combine_health.engine.check import Check
from combine_health.engine.registry import HealthRegistry
from combine_health.options import MASK
from combine_health.plugin_settings import ENTRY_POINTS
from combine_health.settings import ResolvedSetting, resolve

HELP = "checks, kinds, settings"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_ini_argument(parser)


def run(arguments: argparse.Namespace) -> CommandResult:
    ini = chosen_ini(arguments.config)
    health = None if ini is None else application(ini)
    if health is not None:
        checks = [*health.checks.values(), *health.disabled.values()]
        headline = f"{len(checks)} checks"
        more = [_check(check, health) for check in checks]
    else:
        headline = (
            "built-in checks (combine_health.check.NAME.use); -c INI lists those of a service"
        )
        summaries = {use: (each.__doc__ or "").partition(".")[0] for use, each in BUILT_IN.items()}
        more = [f"  {use:<12}{summary}" for use, summary in summaries.items()]
    plugins = [f"  {point.name} ({point.value})" for point in entry_points(group=ENTRY_POINTS)]
    more += ["", "plugins:", *(plugins or ["  none installed"])]
    more += ["", "settings:", *map(_setting, resolve(read_ini(ini) if ini else {}))]
    redactor = None if health is None else health.redactor
    return CommandResult(True, headline, more, redactor, unlimited=True)


def _check(check: Check, health: HealthRegistry) -> str:
    critical = "critical" if check.critical else "not critical"
    times = f"every {check.interval:g} s, at most {check.timeout:g} s"
    disabled = ", disabled" if check.name in health.disabled else ""
    return f"  {check.name}: {check.kind}, {critical}, {times}{disabled}"


def _setting(row: ResolvedSetting) -> str:
    value = row.value
    if row.declared.secret and value is not None:
        value = MASK
    elif isinstance(value, tuple):
        value = " ".join(value)
    return f"  {row.declared.name} = {'' if value is None else value} ({row.source})"
