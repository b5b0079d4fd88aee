"""A change that cannot be made, in words for the person who asked for it, and the check of a name."""

from __future__ import annotations


class Refused(ValueError):
    """The change is not possible. The text says why and what to do."""


def clean_name(name: str, what: str, most: int) -> str:
    """The name without the space around it. Raises Refused, with a text that begins with ``what``."""
    name = name.strip()
    if not (name and name.isprintable() and len(name) <= most):
        raise Refused(f"{what} has 1 to {most} characters that can be shown.")
    return name
