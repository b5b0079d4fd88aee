"""The words and phrases, English and German, by which `cues` tells what a sentence is.

All in lower case. A phrase is matched as whole words, whatever stands between them in punctuation.
"""

from collections.abc import Iterable
from typing import Final


def word_set(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


class Phrases:
    """Phrases of two words and more."""

    def __init__(self, lines: str) -> None:
        phrases = [line.split() for line in lines.strip().splitlines()]
        self._padded = tuple(f" {' '.join(words)} " for words in phrases)
        # A text without any of these has none of the phrases; most have none.
        self._tell_tales = frozenset(max(words, key=len) for words in phrases)

    def are_in(self, words: Iterable[str], padded: str) -> bool:
        """Whether a text has one of them. `padded` is its words between single spaces."""
        return not self._tell_tales.isdisjoint(words) and any(
            phrase in padded for phrase in self._padded
        )


# --- Open questions -------------------------------------------------------------------------------
OPEN_WORDS: Final = word_set(
    """
    tbd tbc tba unclear undecided unresolved undetermined unanswered unklar ungeklärt ungeklärte
    unbekannt unentschieden fraglich strittig
    """
)
OPEN_PHRASES: Final = Phrases(
    """
    to be determined
    to be decided
    to be defined
    to be confirmed
    to be clarified
    to be announced
    must be decided
    must be clarified
    is unknown
    are unknown
    still unknown
    is still open
    are still open
    remains open
    remain open
    still open
    open question
    open questions
    open issue
    open issues
    open point
    open points
    not known
    not yet known
    not clear
    not yet clear
    not decided
    not yet decided
    not been decided
    not yet been decided
    not yet defined
    not yet determined
    not settled
    do not know
    don't know
    nobody knows
    decide whether
    decide if
    clarify whether
    clarify if
    find out whether
    find out if
    ist offen
    sind offen
    bleibt offen
    bleiben offen
    noch offen
    offene frage
    offene fragen
    offener punkt
    offene punkte
    zu klären
    zu entscheiden
    noch nicht bekannt
    noch nicht klar
    noch nicht entschieden
    noch nicht geklärt
    noch nicht festgelegt
    noch nicht beschlossen
    nicht geklärt
    nicht entschieden
    steht noch nicht fest
    klären ob
    entscheiden ob
    """
)
OPEN_LABELS: Final = word_set("open question questions unknown tbd offen frage fragen unklar")

# --- Decisions ------------------------------------------------------------------------------------
DECISION_WORDS: Final = word_set(
    """
    decided agreed approved adopted concluded chose chosen selected rejected accepted voted
    opted entschied entschieden beschloss beschlossen vereinbart genehmigt verabschiedet
    bewilligt geeinigt einigten festgelegt abgelehnt ausgewählt angenommen
    """
)
DECISION_NOUNS: Final = word_set(
    """
    decision decisions agreement entscheidung entscheidungen beschluss beschlüsse vereinbarung
    """
)
DECISION_PHRASES: Final = Phrases(
    """
    we decide
    we agree
    we choose
    we go with
    we will go with
    we are going with
    settled on
    signed off
    resolved to
    wir entscheiden
    wir nehmen
    """
)
NOT_DECIDED_PHRASES: Final = Phrases(
    """
    no decision
    not agreed
    not yet agreed
    not approved
    not yet approved
    to be agreed
    to be approved
    to be chosen
    to be selected
    must be approved
    needs to be approved
    keine entscheidung
    nicht vereinbart
    nicht genehmigt
    noch nicht genehmigt
    """
)
DECISION_LABELS: Final = word_set("decision decided decisions entscheidung beschluss entschieden")

# --- Actions --------------------------------------------------------------------------------------
TODO_WORDS: Final = word_set("todo to-do fixme")
TODO_PHRASES: Final = Phrases(
    """
    next step
    action item
    nächster schritt
    """
)
ACTION_LABELS: Final = word_set(
    "action actions todo to-do next task tasks aufgabe aufgaben maßnahme maßnahmen"
)
DUTY_WORDS: Final = word_set(
    """
    will shall must should needs wird werden werde muss müssen soll sollen sollte sollten
    """
)
DUTY_PHRASES: Final = Phrases(
    """
    has to
    have to
    need to
    is going to
    are going to
    assigned to
    responsible for
    verantwortlich für
    zuständig für
    """
)
OWNERS: Final = word_set("we i you they he she everyone somebody wir ich sie er team")
POLITE_WORDS: Final = word_set("please bitte")
DUE_WORDS: Final = word_set("by until before due bis spätestens")
# Words that may stand before an imperative.
OPENERS: Final = word_set("then first finally also please next dann zuerst bitte and und")
# A word of IMPERATIVES followed by one of these is a noun: "Test results are".
NOT_AFTER_IMPERATIVE: Final = word_set(
    """
    is are was were has have had of results result ist war waren hat wird
    """
)
IMPERATIVES: Final = word_set(
    """
    add adjust agree align analyse analyze announce apply approve arrange ask assign assess back
    book build buy call change check clarify clean close collect compare complete configure
    confirm contact copy create decide define delete deliver deploy describe design disable
    discuss document draft enable ensure escalate estimate evaluate export find finish fix
    follow gather get give identify implement improve increase inform install invite investigate
    keep launch let list look make measure meet merge migrate monitor move notify open order
    organise organize pay plan prepare present propose provide publish put raise read record
    reduce remind remove rename repair replace report request reset resolve restart restore
    review revoke roll rollback rotate run save schedule scale send set share sign start stop
    store submit switch talk tell test track train try turn update upgrade upload use validate
    verify wait watch write beauftrage beantrage beende behebe beschaffe bestelle dokumentiere
    entferne ergänze erstelle informiere installiere kläre kontaktiere korrigiere liefere melde
    plane prüfe schicke schreibe sende setze starte stelle stoppe teste überarbeite überprüfe
    verschicke warte
    """
)
# "Vertrag bis Freitag prüfen": a German note of what to do ends in one of these.
INFINITIVE_ENDINGS: Final = tuple(
    sorted(
        word_set(
            """
            prüfen klären schreiben schicken senden holen bereiten stellen führen planen
            melden testen liefern kaufen sprechen stimmen arbeiten setzen richten legen
            machen fragen buchen beauftragen informieren
            """
        )
    )
)

# --- What it is about ---------------------------------------------------------------------------
PURPOSE_WORDS: Final = word_set(
    """
    aim aims goal goals purpose objective objectives mission about ziel ziele zweck anlass gegenstand
    """
)
COPULAS: Final = word_set("is are was were ist sind war waren")
ARTICLES: Final = word_set(
    """
    a an the this that these our its der die das den dem des ein eine einen einem einer eines
    dieser diese dieses unser unsere
    """
)

# --- Numbers --------------------------------------------------------------------------------------
CURRENCY_SIGNS: Final = frozenset("€$£¥%‰")
CURRENCIES: Final = word_set(
    """
    eur euro euros usd dollar dollars chf gbp percent prozent percentage k€ m€ mio mrd million
    millions millionen billion billions milliarden thousand tausend bn
    """
)
MONTHS: Final = word_set(
    """
    january february march april may june july august september october november december jan
    feb mar apr jun jul aug sep sept oct nov dec januar februar märz mai juni juli oktober
    dezember mär okt dez
    """
)
UNITS: Final = word_set(
    """
    second seconds minute minutes hour hours day days week weeks month months quarter quarters
    year years sekunde sekunden minute minuten stunde stunden tag tage tagen woche wochen monat
    monate monaten quartal quartale jahr jahre jahren people persons person users user customers
    customer employees members nutzer kunden personen mitarbeiter requests pages items rows
    lines times seiten zeilen stück ms s sec min h hr hrs d kb mb gb tb kib mib gib b bytes byte
    kbit mbit gbit mm cm m km m² km/h w kw mw kwh mwh hz khz mhz ghz g kg mg t l ml °c c pt px k
    x
    """
)
NUMBER_WORDS: Final = word_set(
    """
    one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty
    hundred dozen half zwei drei vier fünf sechs sieben acht neun zehn elf zwölf zwanzig dreißig
    hundert
    """
)
