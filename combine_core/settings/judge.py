"""Judge the settings of one add-on: what is missing, what is wrong, what is left to run with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from combine_core.settings.declare import AddonSettings, Declared, Given
from combine_core.settings.envfile import NAME as ENV_FILE_NAME
from combine_core.settings.environment import Place
from combine_core.settings.loaded import MISSING, UNUSABLE, Row, row, valueless_row
from combine_core.settings.problems import Finding, Problem, Unusable
from combine_core.settings.sources import Found, Source, Sources
from combine_core.settings.suspicion import examine

# A name that is set and resembles the one that is missing, or "".
Resembling = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Judged:
    """The settings of one add-on; unusable values are defaults in `instance`.

    :ivar faults: what is wrong with tolerated settings, which the add-on says itself
    """

    instance: AddonSettings
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    faults: tuple[Problem, ...]


def with_names(cls: type[AddonSettings], sources: Sources) -> type[AddonSettings]:
    """The class with the settings of the names that one of its settings lists here."""
    if not cls.named_by:
        return cls
    (d,) = (one for one in cls.declared() if one.field == cls.named_by)
    hit = sources.find(d)
    usable = _usable(cls, {d.field: _read(d, hit)[0]})[0] if hit else {}
    return cls.extended(usable.get(d.field, d.default))


def judge(
    cls: type[AddonSettings], sources: Sources, place: Place, resembling: Resembling
) -> Judged:
    """Everything there is to say about the settings of one add-on."""
    declared = {d.field: d for d in cls.declared()}
    texts: dict[str, Any] = {}
    found: dict[str, Found] = {}
    findings: list[tuple[str, Finding]] = []
    placeholders: set[str] = set()
    for name, d in declared.items():
        hit = sources.find(d)
        if hit is not None:
            found[name] = hit
            text, reasons, placeholder = _read(d, hit)
            findings += ((name, reason) for reason in reasons)
            if placeholder or (reasons and d.traits.tolerated):
                placeholders.add(name)
            elif text != "":
                texts[name] = text
        if name not in {*texts, *placeholders} and place.environment in d.traits.required_in:
            findings.append((name, _missing(d, sources, resembling)))

    usable, unusable = _usable(cls, texts)
    findings += ((name, reason) for name, reasons in unusable.items() for reason in reasons)
    # Where a placeholder is only worth a warning, it counts as not set.
    given = Given(usable, placeholders | unusable.keys(), place)
    instance = cls(**{**usable, **cls.worked_out(given)})
    findings += instance.findings(given)

    problems: dict[Problem, None] = {}
    warnings: dict[Problem, None] = {}
    faults: dict[str, dict[Problem, None]] = {}
    order = list(declared)
    for name, finding in sorted(findings, key=lambda entry: order.index(entry[0])):
        problem = _problem(declared[name], found.get(name), finding)
        if declared[name].traits.tolerated:
            faults.setdefault(name, {})[problem] = None
        else:
            (problems if place.environment in finding.refused_in else warnings)[problem] = None
    instance.tell_faults({name: tuple(said) for name, said in faults.items()})
    rows = tuple(
        _row(d, getattr(instance, name), found.get(name), given) for name, d in declared.items()
    )
    told = tuple(problem for said in faults.values() for problem in said)
    return Judged(instance, rows, tuple(problems), tuple(warnings), told)


def _row(d: Declared, value: Any, found: Found | None, given: Given) -> Row:
    if d.field in given.unusable and found:
        return valueless_row(d, UNUSABLE, found.source)
    if d.field in given and found:
        return row(d, value, found.source)
    if given.place.environment in d.traits.required_in:
        return valueless_row(d, MISSING, Source.DEFAULT)
    return row(d, value, Source.DEFAULT)


def _read(d: Declared, hit: Found) -> tuple[Any, tuple[Finding, ...], bool]:
    """The text as it was meant, what is wrong with how it is written, whether a placeholder."""
    rivalry: tuple[Finding, ...] = ()
    if hit.rivals:
        what = f"and {' and '.join(hit.rivals)} hold different values"
        rivalry = (Finding(what, f"keep one of them, {hit.name}"),)
    if not isinstance(hit.value, str):
        return hit.value, rivalry, False
    # In an ini file whitespace around a value means nothing.
    text = hit.value.strip() if hit.source is Source.INI else hit.value
    examined = examine(text, d.traits.kind, many=isinstance(d.default, tuple))
    return examined.text, (*rivalry, *examined.findings), examined.placeholder


def _missing(d: Declared, sources: Sources, resembling: Resembling) -> Finding:
    if any(True for _ in sources.empty_names(d)):
        return Finding("is set but empty")
    other = resembling(d.variable)
    return Finding(f"is not set, but {other} is, which nothing reads" if other else "is not set")


def _problem(d: Declared, found: Found | None, finding: Finding) -> Problem:
    remedy = finding.remedy or d.traits.write or f"write {d.traits.shape}"
    return Problem(d.variable, f"{_whereabouts(d, found)}{finding.what}", remedy)


def _whereabouts(d: Declared, found: Found | None) -> str:
    if found is None:
        return ""
    if found.source is Source.ENV_FILE:
        alias = "" if found.name == d.variable else f" as {found.name}"
        return f"(in {ENV_FILE_NAME}{alias}) "
    return "" if found.name == d.variable else f"(as {found.name}) "


def _usable(
    cls: type[AddonSettings], texts: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, tuple[Finding, ...]]]:
    """The texts that are values of their types, as values; and for the others, why not."""
    try:
        instance = cls(**texts)
    except ValidationError as error:
        unusable = {
            str(detail["loc"][0]): _reasons(detail.get("ctx", {}).get("error"))
            for detail in error.errors(include_url=False, include_input=False)
        }
    else:
        return {name: getattr(instance, name) for name in texts}, {}
    good = {name: text for name, text in texts.items() if name not in unusable}
    return _usable(cls, good)[0], unusable


def _reasons(cause: object) -> tuple[Finding, ...]:
    if isinstance(cause, Unusable):
        return cause.findings
    return (Finding("has a value of the wrong type"),)
