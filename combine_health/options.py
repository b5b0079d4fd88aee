"""Declares options as fields of a dataclass, and parses their text in the ini file and the environment.

Each parser raises `ValueError` with a message that tells the operator what to write.
"""

import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar

from combine_health.engine.check import HealthResult

MASK = "********"
SHORTEST_TOKEN = 16  # characters

_TRUE = {"true", "yes", "on", "1", "t", "y"}
_FALSE = {"false", "no", "off", "0", "f", "n"}
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


@dataclass(frozen=True, slots=True)
class Option:
    """An option: ``type`` is its type in tables, ``read`` its parser, and ``help`` its purpose."""

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
    """Declare a dataclass field as an option. A secret one is left out of ``repr``."""
    metadata = {"type": type_, "read": read, "help": help_, "secret": secret}
    return field(default=default, repr=not secret, metadata=metadata)


def options_of(declaring: Any) -> Iterator[Option]:
    """Yield the options of a dataclass in the order of its fields. Other fields are skipped."""
    for item in fields(declaring):
        if item.metadata:
            required = item.default is MISSING
            default = None if required else item.default
            yield Option(item.name, default=default, required=required, **item.metadata)


class BuiltIn:
    """A dataclass whose fields are the options of a check. Raises `ValueError` with all errors."""

    __slots__ = ()

    remedies: ClassVar[Mapping[str, str]] = {}
    """The action to take for each cause."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Default arguments of ``config.add_health_check`` for this check."""

    def __post_init__(self) -> None:
        if found := list(self.problems()):
            raise ValueError("; ".join(found))

    def problems(self) -> Iterator[str]:
        yield from ()

    def __call__(self, registry: Any) -> HealthResult:
        raise NotImplementedError

    def percent_problems(self, *names: str, zero: bool = False) -> Iterator[str]:
        for name in names:
            percent = getattr(self, name)
            if not 0 <= percent <= 100 or (percent == 0 and not zero):
                yield f"{name} must be {'at least' if zero else 'above'} 0, at most 100"


class Secret:
    """A secret text that prints as a mask, in a traceback, a table or a log line."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def matches(self, value: str) -> bool:
        """Compare ``value`` with the secret in constant time."""
        return hmac.compare_digest(value.encode(errors="replace"), self._value.encode())

    def __repr__(self) -> str:
        return MASK


def flag(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError("write true or false")
    return word in _TRUE


def text(value: str) -> str:
    value = value.strip()
    if not value:
        raise ValueError("write something")
    return value


def names(value: str) -> tuple[str, ...]:
    """Parse names separated by spaces or commas, without duplicates."""
    return tuple(dict.fromkeys(value.replace(",", " ").split()))


def one_of(*words: str) -> Callable[[str], str]:
    """Return the parser of an option whose value is one of ``words``."""

    def read(value: str) -> str:
        word = value.strip().lower()
        if word not in words:
            raise ValueError(f"write one of {', '.join(words)}")
        return word

    return read


def file(value: str) -> Path:
    """Parse an absolute path; ``~`` is the user's home."""
    try:
        path = Path(value.strip()).expanduser()
    except RuntimeError:
        raise ValueError("write an absolute path without ~; this user has no home") from None
    if not path.is_absolute() or "\0" in value:
        raise ValueError("write an absolute path")
    return path


def path_prefix(value: str) -> str:
    """Parse a path prefix, and remove the slashes around it."""
    word = value.strip().strip("/")
    if not re.fullmatch(r"[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*|", word):
        raise ValueError("write a path of letters, digits and ._~- , such as internal")
    return word


def address(value: str) -> str:
    """Parse the target of a link: a path of the application, or a URL."""
    word = value.strip()
    if not re.fullmatch(r"(/(?!/)|https?://)[^\s\\]*", word):
        raise ValueError("write a path that begins with /, or a URL that begins with https://")
    return word


def token(value: str) -> Secret:
    """Parse a secret that is valid in an HTTP header."""
    value = value.strip()
    if len(value) < SHORTEST_TOKEN or not value.isascii() or not value.isprintable():
        raise ValueError(
            f"write at least {SHORTEST_TOKEN} random letters and digits; to make them:"
            " python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    if " " in value:
        raise ValueError("write it without spaces")
    return Secret(value)


def count(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ValueError("write a whole number") from None


def positive(value: str) -> int:
    number = count(value)
    if number < 1:
        raise ValueError("write a whole number above 0")
    return number


def port(value: str) -> int:
    word = value.strip()
    if not (word.isascii() and word.isdigit() and 1 <= int(word) <= 65535):
        raise ValueError("write a port from 1 to 65535")
    return int(word)


def number(value: str, otherwise: str = "write a number") -> float:
    """Parse a number. Raises `ValueError` with the message ``otherwise``."""
    try:
        return float(value)
    except ValueError:
        raise ValueError(otherwise) from None


def seconds(value: str) -> float:
    return number(value, "write a number of seconds, such as 2 or 0.5")


def wait(value: str) -> float:
    """Parse a number of seconds above 0."""
    number = seconds(value)
    if not (isfinite(number) and number > 0):
        raise ValueError("write a number of seconds above 0")
    return number


def wait_or_none(value: str) -> float:
    """Parse a number of seconds; 0 means no wait."""
    return _at_least_0(value, "write a number of seconds, 0 for none")


def days(value: str) -> float:
    return _at_least_0(value, "write a number of days, such as 21")


def size(value: str) -> int:
    """Parse a number of bytes; K, M, G and T are powers of 1024."""
    word = value.strip().lower().removesuffix("b").removesuffix("i")
    unit = word[-1:] if word[-1:] in _UNITS else ""
    number = _at_least_0(word.removesuffix(unit), "write bytes, such as 500M or 2G")
    return int(number * _UNITS[unit])


def percent(value: str) -> float:
    """Parse a number from 0 to 100, with or without a percent sign."""
    number = _at_least_0(value.strip().removesuffix("%"), "write a percentage, such as 5")
    if number > 100:
        raise ValueError("write a percentage from 0 to 100")
    return number


def _at_least_0(value: str, otherwise: str) -> float:
    found = number(value, otherwise)
    if not isfinite(found) or found < 0:
        raise ValueError(otherwise)
    return found
