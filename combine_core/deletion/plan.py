"""What a deletion would do, and why it may not be possible."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Reference:
    """A document that was made from a source."""

    id: uuid.UUID
    title: str
    versions: int


@dataclass(frozen=True)
class Plan:
    """What a deletion takes along.

    :ivar takes: how many things of each kind, such as ``{"runs": 2}``; those that are none are left out
    :ivar documents: that were made from the source. They stay, and say that it was deleted
    :ivar obstacle: why it is not possible now, and what to do; ``None``: it is
    :ivar notes: what else whoever does it should know, in sentences
    """

    takes: Mapping[str, int]
    documents: Sequence[Reference] = field(default=())
    obstacle: str | None = None
    notes: Sequence[str] = field(default=())

    def check_possible(self) -> None:
        """Raise :class:`Impossible` if there is an obstacle."""
        if self.obstacle is not None:
            raise Impossible(self.obstacle)


def in_words(plan: Plan) -> str:
    """What goes along, such as ``with 2 runs and 1 document``; ``with nothing else``."""
    parts = [f"{number:,} {_noun(kind, number)}" for kind, number in plan.takes.items()]
    if not parts:
        return "with nothing else"
    *most, last = parts
    return "with " + (f"{', '.join(most)} and {last}" if most else last)


# Of kinds whose own word would be too short.
_NOUNS = {
    "texts": ("text in the journal of calls", "texts in the journal of calls"),
    "revisions": ("further revision", "further revisions"),
    "versions": ("document version", "document versions"),
    "items": ("item of the register", "items of the register"),
    "answers": ("answer kept for repeated requests", "answers kept for repeated requests"),
    "imported": ("person in imported projects, blanked", "people in imported projects, blanked"),
    "events": ("event of the audit, blanked", "events of the audit, blanked"),
}


def _noun(kind: str, number: int) -> str:
    one, several = _NOUNS.get(kind, (kind.removesuffix("s"), kind))
    return one if number == 1 else several


class NotThere(LookupError):
    """There is no such thing, or it was deleted a moment ago."""


class Impossible(ValueError):
    """It cannot be deleted now. The text says why and what to do."""


class SourceInUse(ValueError):
    """Documents were made from the source, and nobody has said that it may go in spite of them."""

    def __init__(self, documents: Sequence[Reference]) -> None:
        number = len(documents)
        noun = "document was" if number == 1 else "documents were"
        super().__init__(
            f"{number} {noun} made from this source. They would stay, and say that it was deleted."
            " To delete it all the same, send ?force=true."
        )
        self.documents = documents
