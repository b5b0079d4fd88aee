"""Reading the text of a setting; each function raises `ValueError` saying what to write."""

import hmac
from collections.abc import Callable
from math import isfinite
from pathlib import Path

MASK = "********"
SHORTEST_TOKEN = 16  # characters

_TRUE = {"true", "yes", "on", "1", "t", "y"}
_FALSE = {"false", "no", "off", "0", "f", "n"}


class Secret:
    """A secret text that prints as a mask, in a traceback, a table or a log line."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def matches(self, given: str) -> bool:
        """Whether ``given`` is the secret; takes as long whatever part of it is right."""
        return hmac.compare_digest(given.encode(errors="replace"), self._value.encode())

    def __repr__(self) -> str:
        return MASK


def flag(text: str) -> bool:
    """true or false."""
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError("write true or false")
    return word in _TRUE


def names(text: str) -> tuple[str, ...]:
    """Names, by spaces or commas; each once."""
    return tuple(dict.fromkeys(text.replace(",", " ").split()))


def seconds(text: str) -> float:
    """A number of seconds."""
    try:
        return float(text)
    except ValueError:
        raise ValueError("write a number of seconds, such as 2 or 0.5") from None


def wait(text: str) -> float:
    """A number of seconds above 0."""
    number = seconds(text)
    if not (isfinite(number) and number > 0):
        raise ValueError("write a number of seconds above 0")
    return number


def wait_or_none(text: str) -> float:
    """A number of seconds, 0 for none."""
    number = seconds(text)
    if not (isfinite(number) and number >= 0):
        raise ValueError("write a number of seconds, 0 for none")
    return number


def some(text: str) -> int:
    """A whole number above 0."""
    number = count(text)
    if number < 1:
        raise ValueError("write a whole number above 0")
    return number


def count(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise ValueError("write a whole number") from None


def one_of(*words: str) -> Callable[[str], str]:
    """The reader of a setting that is one of ``words``."""

    def read(text: str) -> str:
        word = text.strip().lower()
        if word not in words:
            raise ValueError(f"write one of {', '.join(words)}")
        return word

    return read


def file(text: str) -> Path:
    """An absolute path; ``~`` is the user's home."""
    try:
        path = Path(text.strip()).expanduser()
    except RuntimeError:
        raise ValueError("write an absolute path; this user has no home") from None
    if not path.is_absolute() or "\0" in text:
        raise ValueError("write an absolute path")
    return path


def token(text: str) -> Secret:
    """A secret that fits into a header."""
    value = text.strip()
    if len(value) < SHORTEST_TOKEN or not value.isascii() or not value.isprintable():
        raise ValueError(
            f"write at least {SHORTEST_TOKEN} random letters and digits, such as what"
            " python -c 'import secrets; print(secrets.token_urlsafe())' prints"
        )
    if " " in value:
        raise ValueError("write it without spaces")
    return Secret(value)
