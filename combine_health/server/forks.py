"""What must begin afresh in the child of a fork: the parent's threads and locks are void there."""

import os
import weakref
from typing import Protocol


class Resettable(Protocol):
    """Something with threads or locks of its own."""

    def reset(self) -> None:
        """Begin afresh, without touching the locks of the parent."""


_THESE: "weakref.WeakSet[Resettable]" = weakref.WeakSet()


def reset_after_fork(one: Resettable) -> None:
    """Have ``one.reset()`` called in every child, for as long as ``one`` lives."""
    _THESE.add(one)


def _after_fork() -> None:
    for one in list(_THESE):
        one.reset()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)
