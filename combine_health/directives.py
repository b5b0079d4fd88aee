"""Defines the directives of ``config`` with which an application and its add-ons declare checks."""

import logging
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from inspect import signature
from typing import Any

from pyramid.exceptions import ConfigurationError

from combine_health.checks import BUILT_IN
from combine_health.checks.configured import USE
from combine_health.engine.check import (
    NAME,
    Check,
    CheckFunction,
    CheckKind,
    own_remedies,
    own_secrets,
)
from combine_health.engine.plugins import Plugins
from combine_health.engine.registry import health_of
from combine_health.environment_error import HealthEnvironmentError
from combine_health.options import options_of

log = logging.getLogger("combine_health")

RESERVED_SECTIONS = frozenset(
    {"status", "cause", "detail", "remedy", "uptime_seconds", "time", "maintenance", "server"}
    | {"history", "monitor", "groups", "checks"}
)


def add_health_check(
    config: Any,
    name: str,
    check: CheckFunction | str,
    *,
    kind: str = CheckKind.READY,
    critical: bool = True,
    timeout: float = 1.0,
    interval: float = 2.0,
    fall: int = 1,
    rise: int = 1,
    words: tuple[str, str] | None = None,
    remedy: str | None = None,
    remedies: Mapping[str, str] | None = None,
    runbook: str | None = None,
    groups: Iterable[str] = (),
    endpoints: Iterable[str] = (),
) -> None:
    """Declare a check; `combine_health` and `combine_health.engine.check.Check` explain the arguments.

    ``check`` is ``check(registry) -> HealthResult | bool | None``, plain or ``async``, or its
    dotted name. Raises `ConfigurationError` with every error of the declaration, or if the
    application has been created.
    """
    health = health_of(config.registry)
    health.require_open(f"health check {name!r}")
    try:
        function = config.maybe_dotted(check)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"health check {name!r}: {check!r} cannot be imported: {error}"
        ) from error
    try:
        declared = Check(
            name,
            function,
            CheckKind(kind) if kind in set(CheckKind) else kind,  # type: ignore[arg-type]  # Check rejects it
            critical,
            timeout,
            interval,
            fall,
            rise,
            words,
            remedy,
            {**own_remedies(function), **(remedies or {})},
            runbook,
            _as_tuple(groups),
            _as_tuple(endpoints),
        )
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    for secret in own_secrets(function):
        add_health_secret(config, secret)
    found = config.introspectable(
        "health checks", name, config.object_description(function), "health check"
    )
    found.update(
        name=name, kind=declared.kind, critical=critical, timeout=timeout, interval=interval
    )
    config.action(
        ("combine_health check", name),
        lambda: health.add_check(declared),
        introspectables=(found,),
    )


def _as_tuple(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names as a tuple. A single string is one name, not a sequence of letters."""
    return (names,) if isinstance(names, str) else tuple(names)


def add_health_section(config: Any, name: str, section: Callable[[Any], Any] | str) -> None:
    """Add the section ``name`` to the body of ``/health/detailed``.

    ``section(registry)`` returns its JSON value. It is called during the request, so it must only
    read memory. ``version`` and ``environment`` may be defined this way too.
    """
    health = health_of(config.registry)
    health.require_open(f"health section {name!r}")
    function = config.maybe_dotted(section)
    if not NAME.fullmatch(str(name)) or name in RESERVED_SECTIONS:
        raise ConfigurationError(
            f"health section {name!r}: the name is taken, or has characters other than a-z, 0-9, _ and -"
        )
    if not callable(function):
        raise ConfigurationError(f"health section {name!r}: {function!r} is not callable")
    found = config.introspectable(
        "health sections", name, config.object_description(function), "health section"
    )
    found.update(name=name)
    config.action(
        ("combine_health section", name),
        lambda: health.sections.update({name: function}),
        introspectables=(found,),
    )


def add_health_counter(
    config: Any,
    name: str,
    help_: str,
    labels: tuple[str, ...],
    read: Callable[[Any], Mapping[tuple[str, ...], int]],
) -> None:
    """Add the counter ``name`` to /metrics.

    ``read(registry)`` returns the counts by the values of the labels. It is called during the request,
    so it must only read memory, and the values of the labels must be few.
    """
    health = health_of(config.registry)
    health.require_open(f"health counter {name!r}")
    config.action(
        ("combine_health counter", name),
        lambda: health.counters.append((name, help_, labels, read)),
    )


def add_health_secret(config: Any, value: str | None) -> None:
    """Mask ``value`` in the results of all checks. Empty values are ignored."""
    if value and not health_of(config.registry).redactor.add(value):
        log.warning(
            "health results cannot mask a secret of fewer than 4 characters; make it longer"
        )


def make_add_health_plugin(plugins: Plugins) -> Callable[..., None]:
    def add_health_plugin(config: Any, plugin: Any, name: str | None = None) -> None:
        """Add a pluggy plugin (module, object or dotted name) that has no entry point."""
        health_of(config.registry).require_open(f"health plugin {name or plugin!r}")
        plugins.add(config.maybe_dotted(plugin), name)

    return add_health_plugin


DECLARED = frozenset(signature(add_health_check).parameters) - {"config", "name", "check"}


def use_health_check(config: Any, name: str, use: str, /, **options: Any) -> None:
    """Declare the built-in check ``use`` under ``name``.

    ``options`` are the arguments of its class (see `combine_health.checks`) and of
    ``config.add_health_check``. ``timeout`` is the deadline of a run; the check derives its own
    timeout from it. Raises `ConfigurationError` with every error.
    """
    check = BUILT_IN.get(use)
    if check is None:
        raise ConfigurationError(
            f"health check {name!r}: {use!r} is not a built-in check; use {', '.join(BUILT_IN)}"
        )
    own = {option.name: option for option in options_of(check)}
    _reject_unknown_options(name, use, options, own.keys() | DECLARED)
    missing = [key for key, option in own.items() if option.required and key not in options]
    if missing:
        raise ConfigurationError(
            f"health check {name!r} (use = {use}) lacks: {', '.join(sorted(missing))}"
        )
    arguments = {key: value for key, value in options.items() if key in own}
    declared = {"critical": False, "timeout": 1.0, **check.defaults}
    declared |= {key: value for key, value in options.items() if key in DECLARED}
    try:
        function = check(**arguments)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"health check {name!r} (use = {use}): {error}") from None
    declared["remedies"] = {**check.remedies, **(declared.get("remedies") or {})}
    config.add_health_check(name, function, **declared)


def use_configured(config: Any, configured: Mapping[str, Mapping[str, Any]]) -> None:
    """Declare the built-in checks of the settings. Raises `HealthEnvironmentError` with all errors."""
    problems = []
    for name, values in configured.items():
        options = {key: value for key, value in values.items() if key != USE}
        try:
            config.use_health_check(name, values[USE], **options)
        except ConfigurationError as error:
            problems.append(str(error))
    if problems:
        raise HealthEnvironmentError.of(problems)


def _reject_unknown_options(
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
