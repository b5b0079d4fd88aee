"""What a command has found, before it is printed."""

from collections.abc import Sequence
from dataclasses import dataclass

from combine_health.engine.redaction import Redactor


class InputError(Exception):
    """The command cannot do what was asked; the text says why and what to write."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The exit status (0 if ``ok``), the first line, and what follows it.

    ``redactor`` knows the application's secrets. Only what no prober reads may be ``unlimited``.
    """

    ok: bool
    headline: str
    more: Sequence[str] = ()
    redactor: Redactor | None = None
    unlimited: bool = False


def sentence(what: str, remedy: str | None) -> str:
    """Cause and remedy in one line."""
    return f"{what.rstrip('. ')}. {remedy}" if remedy else what
