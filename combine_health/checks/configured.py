"""Finds the built-in checks in the settings: ``combine_health.check.NAME.use = disk``."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from combine_health.checks import BUILT_IN
from combine_health.declarations import (
    CHECK,
    PER_CHECK,
    VARIABLE_PREFIX,
    DeclaredSetting,
    check_setting,
    to_variable,
)
from combine_health.engine.check import NAME, CheckKind
from combine_health.options import Option, one_of, option, options_of, text

USE = "use"


@dataclass(frozen=True, slots=True)
class _SharedOptions:
    """The options that every built-in check has besides its own and those of `CheckOverrides`."""

    use: str = option(
        "|".join(BUILT_IN),
        one_of(*BUILT_IN),
        "Declares a check NAME that uses this built-in check. Set its options in the same way.",
    )
    kind: str | None = option(
        "|".join(CheckKind),
        one_of(*CheckKind),
        "The probe that a built-in check decides; ready if not set.",
        None,
    )
    remedy: str | None = option(
        "str",
        text,
        "The action to take when a built-in check fails, for causes without a remedy of their own.",
        None,
    )
    runbook: str | None = option("str", text, "A link to show when a built-in check fails.", None)


def uses(ini: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Map the name of each check in the settings to the built-in check that it uses."""
    found: dict[str, str] = {}
    for key, value in ini.items():
        name = str(key).removeprefix(CHECK).removesuffix(f".{USE}")
        if key == f"{CHECK}{name}.{USE}" and NAME.fullmatch(name):
            found[name] = str(value).strip().lower()
    known = {to_variable(name): name for name in found}
    for variable, value in environ.items():
        stem = variable.removeprefix(f"{VARIABLE_PREFIX}CHECK_").removesuffix("_USE")
        is_one = variable == f"{VARIABLE_PREFIX}CHECK_{stem}_USE" and NAME.fullmatch(stem.lower())
        if is_one and value.strip():
            found[known.get(stem, stem.lower())] = value.strip().lower()
    return found


def accepted(ini: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[DeclaredSetting]:
    """Yield every setting of the built-in checks in use, set or not."""
    for name, use in uses(ini, environ).items():
        own = options_of(BUILT_IN[use]) if use in BUILT_IN else ()
        for each in (*options_of(_SharedOptions), *own):
            if each.name not in PER_CHECK:
                yield check_setting(name, each)


def examples() -> Iterator[DeclaredSetting]:
    """Yield every setting of every built-in check, with NAME as a placeholder for the check's name."""
    for shared in options_of(_SharedOptions):
        yield check_setting("NAME", shared)
    by_name: dict[str, list[tuple[str, Option]]] = {}
    for use, check in BUILT_IN.items():
        for each in options_of(check):
            if each.name not in PER_CHECK:
                by_name.setdefault(each.name, []).append((use, each))
    for options in by_name.values():
        help_ = " ".join(f"{use}: {_with_default(each)}" for use, each in options)
        yield check_setting("NAME", replace(options[0][1], help=help_))


def _with_default(declared: Option) -> str:
    if declared.default in (None, "", (), 0):
        return declared.help
    default = str(declared.default).lower() if declared.default is True else declared.default
    return f"{declared.help.removesuffix('.')} ({default})."
