"""The rules tell a sentence from a fragment, and one that rests on another."""

import pytest

from combine_core.language import language_named, lowered
from combine_core.llm.extract.clauses import is_order, rests_on_more, says_so
from combine_core.llm.extract.vocabulary import vocabulary_of

ENGLISH, GERMAN = (vocabulary_of(language_named(code)) for code in ("en", "de"))


@pytest.mark.parametrize(
    "text",
    [
        "The river rises.",
        "We want rapid changes of the hall",
        "Ann joined the group in May",
        "Nobody agreed on the date.",
        "If we choose a pump that uses oil, then we're stuck with oil.",
        "The plan that the board approved is on the wall.",
        "Strategy and talks around plans that stay long in the drawer have room for more.",
        "halls may be different in terms of how easy it is to heat them",
        "The move costs 12,500 EUR",
    ],
)
def test_sentences(text: str) -> None:
    assert says_so(text, ENGLISH)


@pytest.mark.parametrize(
    "text",
    [
        "Status of the tour through all halls.",
        "Discussion of the draft and plans for the next steps",
        "Looking at dates in the later half of May, before the fair",
        "use the hall for meetings which the board can prepare",
        "after the repair, will paint the hall",
        "Open to other colours as they arrive.",
        "Review of the valve - @anna, @ben",
        "Got the pump repaired",
        "Load parts from the store of the hall that holds them, and stop if two parts are alike.",
        "Matt Page Is Chair",
    ],
)
def test_fragments(text: str) -> None:
    assert not says_so(text, ENGLISH)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("Check the database container first, then the format of DATABASE_URL.", True),
        ("Check the database container first", False),  # a line of a list
        ("Check the logs.", False),
        ("Let's look at the example of the pump.", False),
        ("The pump runs for an hour each day.", False),
    ],
)
def test_whole_orders(text: str, order: bool) -> None:
    assert is_order(text, ENGLISH) is order


def test_speakers_may_leave_out_the_subject() -> None:
    assert says_so("fixed the northern pump", ENGLISH, speaker=True)
    assert not says_so("fixed the northern pump", ENGLISH)
    assert not says_so("covered in the plan", ENGLISH, speaker=True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Der Vorstand hat den Plan beschlossen.", True),
        ("Anna hält den Vortrag auf der Tagung am See.", True),
        ("Mitglieder des Vorstands beteiligen sich an allen Treffen.", True),
        ("Der stellv. Vorsitzende kauft einen Tresor.", True),
        ("Protokoll vom 3. Mai", False),
        ("Neue Lampen für den großen Saal", False),
        ("Aufruf zur Beteiligung an der Tagung in Ulm", False),
        ("Änderung der Satzung eingehalten werden.", False),
        ("Router abholen und prüfen", False),
    ],
)
def test_german_sentences(text: str, sentence: bool) -> None:
    assert says_so(text, GERMAN) is sentence


@pytest.mark.parametrize(
    ("text", "rests"),
    [
        ("If we enabled this, we would need more oil.", True),
        ("While far from ideal, this is still better than before.", True),
        ("Option (3) seems to be the only one.", True),
        ("How does that work with two pumps?", True),
        ("The pump has a filter for the oil, and it is cleaned in May.", False),
        ("It is unclear whether the pump holds.", False),
        ("The purpose of this report is to show the leaks.", False),
        ("The plan that the board approved is on the wall.", False),
    ],
)
def test_sentences_that_rest_on_another(text: str, rests: bool) -> None:
    assert rests_on_more(lowered(text), ENGLISH) is rests


def test_german_sentences_that_rest_on_another() -> None:
    assert rests_on_more("damals sollten diese pumpen länger laufen.", GERMAN)
    assert not rests_on_more("es wurde ein neuer filter bestellt.", GERMAN)
