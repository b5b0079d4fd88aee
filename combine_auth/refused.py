"""A change that cannot be made, in words for the person who asked for it, and the check of a name."""

from __future__ import annotations


class Refused(ValueError):
    """The change is not possible. The text says why and what to do."""


def clean_name(name: str, what: str, most: int) -> str:
    """The name without the space around it.

    :param what: the beginning of the refusal, such as "A client's name"
    :raises Refused: it is empty, has more than ``most`` characters, or some that cannot be shown
    """
    name = name.strip()
    if not (name and name.isprintable() and len(name) <= most):
        raise Refused(f"{what} has 1 to {most} characters that can be shown.")
    return name
