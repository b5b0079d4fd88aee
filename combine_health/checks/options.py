"""The arguments of a built-in check: typed in code, read from text in the ini."""

from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, field, fields
from math import isfinite
from typing import Any

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


@dataclass(frozen=True, slots=True)
class Option:
    """One argument: how its text is read (`ValueError` says what to write), and what it is for."""

    name: str
    type: str
    read: Callable[[str], Any]
    default: Any
    help: str
    secret: bool
    required: bool


def option(
    type_: str,
    read: Callable[[str], Any],
    help_: str,
    default: Any = MISSING,
    *,
    secret: bool = False,
) -> Any:
    """A dataclass field that the ini may set. A secret one is left out of ``repr``."""
    metadata = {"type": type_, "read": read, "help": help_, "secret": secret}
    return field(default=default, repr=not secret, metadata=metadata)


def options_of(check: Any) -> Iterator[Option]:
    """The options of a built-in check's class, in their order."""
    one: Field[Any]
    for one in fields(check):
        if "read" in one.metadata:
            required = one.default is MISSING
            default = None if required else one.default
            said = one.metadata
            yield Option(
                one.name,
                said["type"],
                said["read"],
                default,
                said["help"],
                said["secret"],
                required,
            )


def text(value: str) -> str:
    """Any text but an empty one."""
    value = value.strip()
    if not value:
        raise ValueError("write something")
    return value


def size(value: str) -> int:
    """A number of bytes; K, M, G and T are powers of 1024."""
    word = value.strip().lower().removesuffix("b").removesuffix("i")
    unit = word[-1:] if word[-1:] in _UNITS else ""
    number = decimal(word.removesuffix(unit), "write bytes, such as 500M or 2G")
    if number < 0:
        raise ValueError("write bytes, such as 500M or 2G")
    return int(number * _UNITS[unit])


def percent(value: str) -> float:
    """A number from 0 to 100, with or without the sign."""
    number = decimal(value.strip().removesuffix("%"), "write a percentage, such as 5")
    if not 0 <= number <= 100:
        raise ValueError("write a percentage from 0 to 100")
    return number


def decimal(value: str, otherwise: str) -> float:
    """A finite number; ``otherwise`` is what the error says."""
    try:
        number = float(value)
    except ValueError:
        raise ValueError(otherwise) from None
    if not isfinite(number):
        raise ValueError(otherwise)
    return number


def days(value: str) -> float:
    """A number of days."""
    number = decimal(value, "write a number of days, such as 21")
    if number < 0:
        raise ValueError("write a number of days, such as 21")
    return number


def port(value: str) -> int:
    """A TCP port."""
    word = value.strip()
    if not (word.isascii() and word.isdigit() and 1 <= int(word) <= 65535):
        raise ValueError("write a port from 1 to 65535")
    return int(word)


def require(problems: Iterator[str]) -> None:
    """Raise `ValueError` with all ``problems``, if there are any."""
    if found := list(problems):
        raise ValueError("; ".join(found))
