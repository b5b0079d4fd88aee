"""What a property of a schema asks for, read from its name, title and description."""

import re
from dataclasses import dataclass
from typing import Any, Final

from combine_core.llm.extract.cues import Cue, words_of
from combine_core.llm.extract.vocabulary import word_set

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")

# The words by which a property, an enum value or a heading names what it holds.
_NAMES: Final[dict[Cue | None, frozenset[str]]] = {
    Cue.QUESTION: word_set(
        """
        question questions unknown unknowns unclear unresolved undecided tbd open
        ambiguities frage fragen offen offene offener unklar unklarheiten ungeklärt
        klärungsbedarf
        """
    ),
    Cue.DECISION: word_set(
        """
        decision decisions decided agreed agreement agreements approved chosen resolutions
        outcome outcomes entscheidung entscheidungen beschluss beschlüsse entschieden
        beschlossen vereinbart vereinbarung vereinbarungen
        """
    ),
    Cue.ACTION: word_set(
        """
        action actions todo todos task tasks step steps next followup assignment assignments
        duties aufgabe aufgaben maßnahme maßnahmen schritt schritte nächste
        """
    ),
    Cue.NUMBER: word_set(
        """
        number numbers figure figures amount amounts date dates deadline deadlines limit
        limits cost costs price prices budget metric metrics kpi kpis quantity quantities
        milestones schedule timeline measure measures zahl zahlen kennzahl kennzahlen betrag
        beträge datum daten frist fristen termin termine kosten preise mengen
        """
    ),
    None: word_set(
        """
        summary overview abstract gist key main important point points fact facts finding
        findings statement statements highlight highlights essence insight insights
        information info item items notes content result results general other purpose
        matter background context zusammenfassung überblick kern kernpunkte wichtig wichtige
        wichtigsten punkte fakt fakten aussage aussagen erkenntnis erkenntnisse inhalt
        inhalte ergebnis ergebnisse hintergrund zweck
        """
    ),
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a list should hold.

    `cue`: sentences of that kind. `general`: whatever matters most. Neither: what `words` name.
    """

    cue: Cue | None
    general: bool
    words: tuple[str, ...]


def wish_of_words(text: str) -> Wish | None:
    """What a heading or an enum value such as "open_question" names; None if nothing known."""
    return _known(words_of(text.replace("_", " ")), ())


def wish_of_property(name: str, schema: dict[str, Any]) -> Wish:
    """What the property called `name` asks for.

    Its name and title say it; only if they hold no known word does the description, and only with
    two of them: one alone says little.
    """
    names = words_of(_CAMEL.sub(" ", name).replace("_", " ").replace("-", " "))
    names += words_of(str(schema.get("title", "")))
    description = words_of(str(schema.get("description", "")))
    words = tuple(dict.fromkeys([*names, *description]))
    return (
        _known(names, words)
        or _known(description, words, at_least=2)
        or Wish(None, general=not words, words=words)
    )


def _known(words: list[str], query: tuple[str, ...], at_least: int = 1) -> Wish | None:
    counts = {cue: sum(word in names for word in words) for cue, names in _NAMES.items()}
    general = counts.pop(None)
    cue, count = max(counts.items(), key=lambda entry: entry[1])
    if count >= at_least:
        return Wish(cue, general=False, words=query)
    return Wish(None, general=True, words=query) if general >= at_least else None
