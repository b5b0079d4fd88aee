"""Defines the result of a command, and renders it as text."""

from collections.abc import Sequence
from dataclasses import dataclass

from combine_health.engine.redaction import Redactor

MOST_BYTES = 4096
LINE = 400  # characters


class InputError(Exception):
    """The input of a command is invalid; the message gives the reason and the correction."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The exit status (0 if ``ok``), the first line and the further lines of output.

    ``redactor`` masks the application's secrets. Output for a prober must not be ``unlimited``.
    """

    ok: bool
    headline: str
    more: Sequence[str] = ()
    redactor: Redactor | None = None
    unlimited: bool = False


def sentence(cause: str, remedy: str | None) -> str:
    """Join a cause and its remedy in one line."""
    return f"{cause.rstrip('. ')}. {remedy}" if remedy else cause


def render(result: CommandResult) -> str:
    """Return the output as text: redacted, without control characters, at most 4,096 bytes."""
    redactor = result.redactor or Redactor()
    lines = [redactor.text(result.headline, 2 * LINE)]
    # The redactor collapses white space, so the indentation is restored here.
    lines += [
        line[: len(line) - len(line.lstrip(" "))] + redactor.text(line, LINE)
        for line in result.more
    ]
    kept, size = [], len("(cut)\n")
    for line in lines:
        # An escaped character takes up to ten bytes.
        size += len(line.encode("ascii", "backslashreplace")) + 1
        if size > MOST_BYTES and not result.unlimited:
            kept.append("(cut)")
            break
        kept.append(line)
    return "\n".join(kept) + "\n"
