"""The preview of a deletion, and the reasons that can prevent it."""

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
    """The preview of a deletion.

    :ivar takes: the numbers of objects that are deleted too, such as ``{"runs": 2}``, without zeros
    :ivar documents: the documents made from the source. They are kept, and show that the source was deleted
    :ivar obstacle: why the deletion is not possible now, and the remedy; ``None`` if it is possible
    :ivar notes: further sentences for the user
    """

    takes: Mapping[str, int]
    documents: Sequence[Reference] = field(default=())
    obstacle: str | None = None
    notes: Sequence[str] = field(default=())

    def check_possible(self) -> None:
        """Check that there is no obstacle.

        :raises Impossible: there is one
        """
        if self.obstacle is not None:
            raise Impossible(self.obstacle)


def in_words(plan: Plan) -> str:
    """Describe a preview, such as ``with 2 runs and 1 document`` or ``with nothing else``."""
    parts = [f"{number:,} {_noun(kind, number)}" for kind, number in plan.takes.items()]
    if not parts:
        return "with nothing else"
    *most, last = parts
    return "with " + (f"{', '.join(most)} and {last}" if most else last)


# The nouns of kinds whose name alone would be unclear.
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


class NotFound(LookupError):
    """The error for an object that does not exist or has just been deleted."""


class Impossible(ValueError):
    """The error for an object that cannot be deleted now. The message has the reason and the remedy."""


class SourceInUse(ValueError):
    """The error for a source that has documents and is not deleted by force."""

    def __init__(self, documents: Sequence[Reference]) -> None:
        number = len(documents)
        noun = "document was" if number == 1 else "documents were"
        super().__init__(
            f"{number} {noun} made from this source. They would be kept, and show that it was deleted."
            " To delete it anyway, send ?force=true."
        )
        self.documents = documents
