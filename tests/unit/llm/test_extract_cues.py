"""The rules tell decisions, numbers, open questions and actions, in English and German."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from combine_core.llm.extract.cues import SURE, Cue, cues_of, first_number, is_gist

QUESTIONS = [
    "Who pays for the hosting?",
    "On-call | TBD",
    "The owner is still unknown.",
    "It is unclear whether the pump holds.",
    "Open: which vendor delivers",
    "**Open question:** the colour of the door",
    "The date is to be determined.",
    "The decision on hosting is still open.",
    "Wer zahlt das?",
    "Es ist noch nicht entschieden, wer zahlt.",
    "Offen: Farbe der Tür",
    "Der Termin ist noch offen.",
    "Zu klären ist die Haftung.",
]
NO_QUESTIONS = [
    "Open the valve.",
    "The store is open to the public.",
    "See http://x.example/a?b=c for details.",
    "An open source licence applies.",
]
DECISIONS = [
    "We agreed to use PostgreSQL.",
    "The board approved the plan.",
    "Decision: we keep the old rack.",
    "The second bid was rejected.",
    "We go with the blue one.",
    "Der Vorstand hat den Plan beschlossen.",
    "Beschluss: Wir nehmen das Angebot an.",
    "Es wurde vereinbart, dass Bosch liefert.",
]
NO_DECISIONS = [
    "Nothing has been decided yet, the matter is not decided.",
    "Who approved this?",
    "Es ist noch nicht entschieden.",
    "No decision was taken.",
    "The plan must be approved.",
    "The house is old.",
]
ACTIONS = [
    "Verify that the database is running",
    "TODO write the tests",
    "Anna will send the draft by Friday.",
    "We must renew the certificate.",
    "Please call the supplier.",
    "Action: order the parts",
    "**Send** the report to Anna.",
    "Prüfe den Vertrag.",
    "Vertrag bis Freitag prüfen",
    "Herr Maier muss das Angebot einholen.",
    "Bitte Rechnung schicken",
]
NO_ACTIONS = [
    "Test results are fine.",
    "The valve was opened.",
    "`GET /health` returns the state",
    "GET | reads",
    "Report: all green",
    "Slow responses",
]
NUMBERS = [
    ("The budget is 3.5 million EUR.", 3),
    ("It costs $5k now.", 3),
    ("A fee of 2,5 % applies.", 3),
    ("Due on 2026-05-12.", 3),
    ("Frist: 12.05.2026", 3),
    ("Am 3. Mai wird geliefert.", 3),
    ("On May 3rd, 2026 it starts.", 3),
    ("Start at 14:30 sharp.", 3),
    ("Delivery in Q3 or KW 27.", 3),
    ("Es gibt vier Monate Garantie.", 2),
    ("It took five days.", 2),
    ("The limit is 5GB of memory.", 2),
    ("It serves 20-30 users.", 2),
    ("The call returns 503.", 1),
    ("We use PostgreSQL 16.", 0.75),
]
NO_NUMBERS = [
    "See S1 and v1.2.3 there.",
    "Open http://localhost:8000/2 now.",
    "Run `sleep 30` first.",
    "An N+1 query is slow.",
    "The address is 9f3a.",
    "One of them is right.",
]


@pytest.mark.parametrize("text", QUESTIONS)
def test_open_questions(text):
    assert Cue.QUESTION in cues_of(text)


@pytest.mark.parametrize("text", NO_QUESTIONS)
def test_no_open_questions(text):
    assert Cue.QUESTION not in cues_of(text)


@pytest.mark.parametrize("text", DECISIONS)
def test_decisions(text):
    assert Cue.DECISION in cues_of(text)


@pytest.mark.parametrize("text", NO_DECISIONS)
def test_no_decisions(text):
    assert Cue.DECISION not in cues_of(text)


@pytest.mark.parametrize("text", ACTIONS)
def test_actions(text):
    assert Cue.ACTION in cues_of(text)


@pytest.mark.parametrize("text", NO_ACTIONS)
def test_no_actions(text):
    assert Cue.ACTION not in cues_of(text)


@pytest.mark.parametrize(("text", "strength"), NUMBERS)
def test_numbers(text, strength):
    assert cues_of(text)[Cue.NUMBER] == strength


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_no_numbers(text):
    assert Cue.NUMBER not in cues_of(text)


def test_a_word_in_passing_is_only_a_hint():
    assert cues_of("The decisions of the past are here.")[Cue.DECISION] < SURE
    assert cues_of("the pressure must stay below the line")[Cue.ACTION] < SURE
    assert cues_of("Der Strom muss von hier kommen.")[Cue.ACTION] < SURE


@pytest.mark.parametrize(
    ("text", "gist"),
    [
        ("Combine is a service that writes documents.", True),
        ("The aim of the project is safety.", True),
        ("Ziel ist ein sicherer Betrieb.", True),
        ("Der Kran ist das wichtigste Gerät.", True),
        ("It rained all day.", False),
        ("The lorry is red.", False),
    ],
)
def test_what_something_is_or_is_for(text, gist):
    assert is_gist(text) is gist


def test_a_named_owner_counts_more_than_a_bare_duty():
    owned = cues_of("Then Anna must sign the paper.")
    bare = cues_of("the pressure must stay below the line")

    assert owned[Cue.ACTION] > bare[Cue.ACTION]


@pytest.mark.parametrize(
    ("text", "number"),
    [("1.5 GB", 1.5), ("about 40 people", 40), ("-3 °C", -3), ("none", None), ("2,5 %", 2.5)],
)
def test_first_number(text, number):
    assert first_number(text) == number


@given(st.text(max_size=300))
def test_any_text_is_judged(text):
    assert all(0 < strength <= 3 for strength in cues_of(text).values())
