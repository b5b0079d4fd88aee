"""The exception for a change that a rule forbids, and the validation of names."""

from __future__ import annotations


class Refused(ValueError):
    """A rule forbids the change. The text gives the user the reason and the remedy."""


def clean_name(name: str, label: str, max_length: int) -> str:
    """Strip and validate a name. Raises Refused, with a text that begins with ``label``."""
    name = name.strip()
    if not (name and name.isprintable() and len(name) <= max_length):
        raise Refused(f"{label} must have 1 to {max_length} printable characters.")
    return name
