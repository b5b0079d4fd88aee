"""Tests the detection of duplicates, contradictions and dates in the register."""

import datetime
from dataclasses import dataclass

import pytest

from combine_core.language import language_named
from combine_core.register.proposals import contradictions, find_day, gist_of, may_be_same

TODAY = datetime.date(2026, 11, 28)


@dataclass
class Said:
    text: str
    owner: str | None = None
    due: str | None = None
    due_on: datetime.date | None = None


def same(one, other, code="en"):
    language = language_named(code)
    return may_be_same(gist_of(one, language), gist_of(other, language))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("The harbour opens on 3 May.", "The harbour opens on 9 June.", True),
        ("Who pays for the tugs?", "It is open who pays for the tugs.", True),
        ("Tom sends the plan.", "Tom reads the minutes.", False),
        ("We hire two pilots for the harbour.", "We hire four pilots for the harbour.", True),
        ("The budget is 40,000 euros.", "The door seal costs 40,000 euros.", False),
        ("3 May 2027", "3 May 2027", False),
    ],
)
def test_most_content_words_must_match(one, other, expected):
    assert same(Said(one), Said(other)) is expected
    assert same(Said(other), Said(one)) is expected


def test_content_words_of_other_languages_match():
    one, other = (Said(f"Der Hafen wird am {day} eröffnet.") for day in ("3. Mai", "9. Juni"))
    assert same(one, other, "de")


def test_the_name_of_the_owner_does_not_count():
    assert not same(Said("Tom sends the plan.", "Tom"), Said("Tom sends the minutes.", "Tom"))


def test_another_owner_needs_more_matching_words():
    one, other = "orders the new door seal", "orders the new door handle"
    assert same(Said(f"Anna {one}", "Anna"), Said(f"anna {other}", "anna"))
    assert not same(Said(f"Anna {one}", "Anna"), Said(f"Bob {other}", "Bob"))
    assert same(Said(f"Anna {one}", "Anna"), Said(f"Bob {one}", "Bob"))


@pytest.mark.parametrize(
    ("said", "known", "fields"),
    [
        (Said("It opens on 3 May."), Said("It opens on 9 June."), ["text"]),
        (Said("It opens on 3 May."), Said("It opens soon."), []),
        (Said("x", "Anna"), Said("x", "ANNA"), []),
        (Said("x", "Anna"), Said("x", "Bob"), ["owner"]),
        (Said("x", due="Friday"), Said("x", due="Monday"), ["due"]),
        (Said("x", due="Friday"), Said("x"), []),
        (
            Said("x", due="1 May", due_on=datetime.date(2027, 5, 1)),
            Said("x", due="2027-05-01", due_on=datetime.date(2027, 5, 1)),
            [],
        ),
    ],
)
def test_contradictions_are_detected(said, known, fields):
    assert contradictions(said, known) == fields


@pytest.mark.parametrize(
    ("texts", "day"),
    [
        (["by 3 May 2027"], "2027-05-03"),
        (["by Friday", "It opens on 2027-06-09."], "2027-06-09"),
        (["until 28 November"], "2026-11-28"),
        (["until 27 November"], "2027-11-27"),
        (["until 29 February"], "2028-02-29"),
        (["until 31 June 2027"], None),
        (["in May 2027"], None),
        ([None, "soon"], None),
    ],
)
def test_dates_are_resolved(texts, day):
    found = find_day(texts, language_named("en"), TODAY)
    assert (found and found.isoformat()) == day
