"""Texts to values: numbers, sizes, switches, names. Each refuses what it would have to guess."""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from combine_core.settings.problems import Finding, Unusable

E = TypeVar("E", bound=StrEnum)

_SIZE = re.compile(r"([0-9]{1,15})([kKmM]?)")
_UNITS = {"": 1, "k": 1024, "m": 1024 * 1024}
_SWITCH = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def whole(low: int, high: int) -> Callable[[str], int]:
    """A parser of whole numbers from `low` to `high`, in ASCII digits."""

    def parse(text: str) -> int:
        # int() takes 1_000, other scripts' digits and 5000 of them; people who write these err.
        number = int(text) if re.fullmatch(r"-?[0-9]{1,15}", text) else None
        if number is None:
            raise Unusable(Finding("is not a whole number", f"write a number from {low} to {high}"))
        if not low <= number <= high:
            raise Unusable(Finding("is out of range", f"write a whole number from {low} to {high}"))
        return number

    return parse


def size(low: int, high: int) -> Callable[[str], int]:
    """A parser of sizes in bytes; k and m stand for 1024 and 1024 * 1024 bytes."""

    def parse(text: str) -> int:
        match = _SIZE.fullmatch(text)
        remedy = f"write {_as_size(low)} to {_as_size(high)}, such as 10m"
        if match is None:
            raise Unusable(Finding("is not a size in bytes (k and m are understood)", remedy))
        number = int(match[1]) * _UNITS[match[2].lower()]
        if not low <= number <= high:
            raise Unusable(Finding("is out of range", remedy))
        return number

    return parse


def _as_size(number: int) -> str:
    for unit, factor in (("m", 1024 * 1024), ("k", 1024)):
        if number % factor == 0:
            return f"{number // factor}{unit}"
    return str(number)


def switch(text: str) -> bool:
    """true, yes, on, 1 or false, no, off, 0."""
    try:
        return _SWITCH[text.casefold()]
    except KeyError:
        raise Unusable(Finding("is neither true nor false", "write true or false")) from None


def one_of(choices: type[E], *, any_case: bool = False) -> Callable[[str], E]:
    """A parser of the names of an enumeration."""
    names = [choice.value for choice in choices]

    def parse(text: str) -> E:
        try:
            return choices(text.casefold() if any_case else text)
        except ValueError:
            listed = f"{', '.join(names[:-1])} or {names[-1]}"
            raise Unusable(Finding(f"is none of {', '.join(names)}", f"write {listed}")) from None

    return parse


def one_word(text: str) -> str:
    """A text without whitespace inside: a key, an identifier, a model string."""
    if re.search(r"\s", text):
        raise Unusable(Finding("contains a space", "write it in one piece"))
    return text


def words(text: str) -> tuple[str, ...]:
    """The entries of a list separated by commas, spaces or new lines."""
    if text.startswith(("[", "(", "{")):
        raise Unusable(
            Finding("is in brackets", "write the entries without brackets, separated by commas")
        )
    return tuple(entry for entry in re.split(r"[,\s]+", text) if entry)
