"""Built-in checks in the ini and the environment: ``combine_health.check.NAME.use = disk``."""

from collections.abc import Iterator, Mapping
from typing import Any

from combine_health.checks import BUILT_IN
from combine_health.checks.options import Option, options_of, text
from combine_health.declarations import CHECK, VARIABLE_PREFIX, Declared, in_variable
from combine_health.engine.check import NAME, CheckKind
from combine_health.setting_values import one_of

USE = "use"
ELSEWHERE = frozenset({"timeout"})  # a setting of every check

# What such a check may be told besides the options of its class and the settings of every check.
_SHARED = (
    Option(
        USE,
        "|".join(BUILT_IN),
        one_of(*BUILT_IN),
        None,
        "Makes a check NAME of this built-in check. Its options follow, in the same way.",
        secret=False,
        required=True,
    ),
    Option(
        "kind",
        "|".join(CheckKind),
        one_of(*CheckKind),
        None,
        "What a built-in check decides; ready if not set.",
        secret=False,
        required=False,
    ),
    Option(
        "remedy",
        "str",
        text,
        None,
        "What to do when a built-in check fails, for causes that it has no remedy for.",
        secret=False,
        required=False,
    ),
    Option(
        "runbook",
        "str",
        text,
        None,
        "A link for when a built-in check fails.",
        secret=False,
        required=False,
    ),
)


def uses(ini: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """The built-in checks that the settings name: the check's name -> which one."""
    found: dict[str, str] = {}
    for key, value in ini.items():
        name = str(key).removeprefix(CHECK).removesuffix(f".{USE}")
        if key == f"{CHECK}{name}.{USE}" and NAME.fullmatch(name):
            found[name] = str(value).strip().lower()
    known = {in_variable(name): name for name in found}
    for variable, value in environ.items():
        stem = variable.removeprefix(f"{VARIABLE_PREFIX}CHECK_").removesuffix("_USE")
        is_one = variable == f"{VARIABLE_PREFIX}CHECK_{stem}_USE" and NAME.fullmatch(stem.lower())
        if is_one and value.strip():
            found[known.get(stem, stem.lower())] = value.strip().lower()
    return found


def accepted(ini: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[Declared]:
    """Every setting that the built-in checks in use take, whether it is set or not."""
    for name, use in uses(ini, environ).items():
        own = options_of(BUILT_IN[use]) if use in BUILT_IN else ()
        for option in (*_SHARED, *own):
            if option.name not in ELSEWHERE:
                yield _declared(name, option, option.help)


def examples() -> Iterator[Declared]:
    """Every setting that any built-in check takes, with NAME in place of the check's name."""
    for option in _SHARED:
        yield _declared("NAME", option, option.help)
    by_name: dict[str, list[tuple[str, Option]]] = {}
    for use, check in BUILT_IN.items():
        for option in options_of(check):
            if option.name not in ELSEWHERE:
                by_name.setdefault(option.name, []).append((use, option))
    for options in by_name.values():
        help_ = " ".join(f"{use}: {_with_default(option)}" for use, option in options)
        yield _declared("NAME", options[0][1], help_)


def _with_default(option: Option) -> str:
    if option.default in (None, "", (), 0):
        return option.help
    shown = str(option.default).lower() if option.default is True else option.default
    return f"{option.help.removesuffix('.')} ({shown})."


def _declared(name: str, option: Option, help_: str) -> Declared:
    return Declared(
        f"{CHECK}{name}.{option.name}",
        f"{VARIABLE_PREFIX}CHECK_{in_variable(name)}_{option.name.upper()}",
        option.type,
        None,
        help_,
        option.read,
        secret=option.secret,
    )
