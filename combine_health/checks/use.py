"""Declaring a built-in check: the directive, which the ini goes through too."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from typing import Any

from pyramid.exceptions import ConfigurationError

from combine_health.checks import BUILT_IN
from combine_health.checks.configured import USE
from combine_health.checks.options import options_of
from combine_health.engine.registry import health_of
from combine_health.settings import HealthEnvironmentError

DECLARED = frozenset(
    {
        "kind",
        "critical",
        "timeout",
        "interval",
        "fall",
        "rise",
        "words",
        "groups",
        "endpoints",
        "remedy",
        "remedies",
        "runbook",
    }
)
# The check's own time-out ends a little before the run's deadline: it knows better what it waited
# for than the runner, which could only say that there was no answer.
OWN_SHARE = 0.9


def use_health_check(config: Any, name: str, use: str, /, **options: Any) -> None:
    """Declare the built-in check ``use`` under ``name``.

    ``options`` are the arguments of its class (see `combine_health.checks`) and of
    ``config.add_health_check``. ``timeout`` is the deadline of a run; the check's own time-out
    follows from it. Raises `ConfigurationError` naming every fault.
    """
    check = BUILT_IN.get(use)
    if check is None:
        raise ConfigurationError(
            f"health check {name!r}: {use!r} is no built-in check; use {', '.join(BUILT_IN)}"
        )
    own = {option.name: option for option in options_of(check)}
    _refuse_strangers(name, use, options, own.keys() | DECLARED)
    missing = [key for key, option in own.items() if option.required and key not in options]
    if missing:
        raise ConfigurationError(
            f"health check {name!r} (use = {use}) lacks: {', '.join(sorted(missing))}"
        )
    arguments = {key: value for key, value in options.items() if key in own}
    declared = {"critical": False, "timeout": 1.0, **check.defaults}
    declared |= {key: value for key, value in options.items() if key in DECLARED}
    if "timeout" in own:
        deadline = health_of(config.registry).settings.overrides_of(name).get("timeout")
        arguments["timeout"] = OWN_SHARE * float(deadline or declared["timeout"])
    try:
        function = check(**arguments)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"health check {name!r} (use = {use}): {error}") from None
    declared["remedies"] = {**check.remedies, **(declared.get("remedies") or {})}
    config.add_health_check(name, function, **declared)


def use_configured(config: Any, configured: Mapping[str, Mapping[str, Any]]) -> None:
    """Declare what the settings name. Raises `HealthEnvironmentError` naming all faults."""
    problems = []
    for name, said in configured.items():
        options = {key: value for key, value in said.items() if key != USE}
        try:
            config.use_health_check(name, said[USE], **options)
        except ConfigurationError as error:
            problems.append(str(error))
    if problems:
        raise HealthEnvironmentError("combine_health cannot start:\n  " + "\n  ".join(problems))


def _refuse_strangers(
    name: str, use: str, options: Mapping[str, Any], known: AbstractSet[str]
) -> None:
    problems = []
    for key in options:
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            problems.append(f"{key}{hint}")
    if problems:
        raise ConfigurationError(
            f"health check {name!r} (use = {use}) takes no {', '.join(problems)}"
        )
