"""Tasks have their owner and due date, in tables, mails and minutes, and are left out if done."""

import json

from combine_core.lines import find_line
from combine_core.llm import CompletionRequest, Material
from combine_core.llm.extract import ExtractProvider
from combine_core.llm.extract.source import TITLES
from combine_core.readers.process import read_file


def facts_of(text, blocks=()):
    schema = find_line("brief").step("facts").answer_schema
    material = Material("S1", "id", "n", text, tuple(blocks))
    request = CompletionRequest("extract", "", "", schema, 1, 60, (material,))
    return json.loads(ExtractProvider().complete(request).text)["facts"]


def tasks_of(text):
    facts = facts_of(text)
    assert all(fact["kind"] == "action" for fact in facts)
    return [(fact["text"], fact["owner"], fact.get("due")) for fact in facts]


def test_columns_name_the_owner_and_the_due_date_and_done_rows_are_left_out():
    table = """# Action items

| Action | Owner | Due | Status |
| --- | --- | --- | --- |
| Refuse migrations that lock tables | Jonas | 2026-10-31 | open |
| Add reviewers to the list | Maria | 2026-10-21 | Done |
| Update the status page from the alert | ops team | TBD | |
"""
    assert tasks_of(table) == [
        ("Refuse migrations that lock tables", "Jonas", "2026-10-31"),
        ("Update the status page from the alert", "ops team", None),
    ]


def test_columns_alone_tell_that_rows_are_tasks():
    english = (
        "# Pump\n\n| Who | What | By when |\n| - | - | - |\n| Tom | order the parts | Friday |\n"
    )
    german = (
        "# Sitzung des Vorstands\n\n| Was | Wer | Bis wann |\n| - | - | - |\n"
        "| Angebot für die Pumpe einholen | Cem | 3.12. |\n"
    )
    other = "# Pump\n\n| Item | Value |\n| - | - |\n| the lowest pressure | 12 bar |\n"

    assert tasks_of(english) == [("order the parts", "Tom", "Friday")]
    assert tasks_of(german) == [("Angebot für die Pumpe einholen", "Cem", "3.12.")]
    assert [fact["kind"] for fact in facts_of(other)] == ["statement"]


def test_the_title_of_the_whole_text_silences_nothing():
    text = "# {}\n\nThe board approved the budget.\n\n## Roof\n\nThe roof leaks since May.\n"

    for title in ("Agenda", "Links", "Notes"):
        assert len(facts_of(text.format(title))) == 2


MINUTES = """# Platform meeting

Present: Ada, Tom, Priya

## Budget

Should we cancel the second cluster? Nobody knew what it is used for.
Are the bills paid? Yes, since Monday.

- Tom to split the table by 30 November.
- Priya: check whether the replica can serve the report.
"""
PROTOKOLL = """# Sitzung des Vorstands

Anwesend: Anna, Bernd, Cem

Der Vorstand beschließt einstimmig, die Mahnungen zu verschicken. Bernd übernimmt das.
Die Halle kostet 350 Euro. Der Antrag, Eintritt zu verlangen, wird mit 2 Nein-Stimmen abgelehnt.
Offen ist, wer die Musik macht. Anna fragt bei der Stadt wegen der Genehmigung nach.
"""
MAIL = """From: Sofia Petrova <sofia@example.org>
To: Marek <marek@example.org>
Subject: Office

Marek will order the network line. Please send me your wishes for desks until Friday.

1. We have the keys.
2. Who takes care of the plants?
"""
CAPTIONS = """WEBVTT

00:00:01.000 --> 00:00:05.000
<v Raj>We're at 87 % of the tests passing.

00:00:05.500 --> 00:00:09.000
<v Mia>I can write the release notes. I'll share my screen.
"""


def kinds_of(name, text):
    reading = read_file(name, text.encode())
    return [
        (fact["kind"], fact["text"], fact.get("owner"), fact.get("due"))
        for fact in facts_of(reading.text, reading.blocks or ())
        if fact["kind"] != "statement"
    ]


def test_minutes_have_tasks_of_people_and_questions_without_an_answer():
    assert kinds_of("minutes.md", MINUTES) == [
        ("question", "Should we cancel the second cluster?", None, None),
        ("action", "Tom to split the table by 30 November.", "Tom", "30 November"),
        ("action", "check whether the replica can serve the report.", "Priya", None),
    ]


def test_german_minutes_have_votes_open_points_and_tasks():
    motion = "Der Antrag, Eintritt zu verlangen, wird mit 2 Nein-Stimmen abgelehnt."
    reminders = "Der Vorstand beschließt einstimmig, die Mahnungen zu verschicken."
    assert kinds_of("protokoll.md", PROTOKOLL) == [
        ("decision", reminders, None, None),
        ("action", f"{reminders} Bernd übernimmt das.", "Bernd", None),
        ("number", "Die Halle kostet 350 Euro.", None, None),
        ("decision", motion, None, None),
        ("question", "Offen ist, wer die Musik macht.", None, None),
        ("action", "Anna fragt bei der Stadt wegen der Genehmigung nach.", "Anna", None),
    ]


def test_tasks_that_are_done_and_rests_of_sentences_are_left_out():
    text = "# Actions\n\n- [x] Anna will write the plan.\n- [ ] Tom will order the pump.\n"
    rest = "We met Mitch? at Paris and are talking to other groups."

    assert [fact["text"] for fact in facts_of(text)] == ["Tom will order the pump."]
    assert facts_of(rest) == []


def test_a_mail_has_tasks_of_its_readers():
    assert kinds_of("office.eml", MAIL) == [
        ("action", "Marek will order the network line.", "Marek", None),
        ("action", "Please send me your wishes for desks until Friday.", None, "Friday"),
        ("question", "Who takes care of the plants?", None, None),
    ]


def test_captions_with_speakers_have_figures_and_promises():
    assert kinds_of("talk.vtt", CAPTIONS) == [
        ("number", "We're at 87 % of the tests passing.", None, None),
        ("action", "I can write the release notes.", "Mia", None),
    ]


TOPICS = """# Topics

We met twice.

## Roof

### Notes

The roof leaks since May.

## Door

### {}

The door is red.
"""


def test_a_title_of_several_parts_stands_behind_the_one_above_it():
    several = [fact["heading"] for fact in facts_of(TOPICS.format("Notes"))]
    one = [fact["heading"] for fact in facts_of(TOPICS.format("Colours"))]
    assert several == ["Topics", f"Roof{TITLES}Notes", f"Door{TITLES}Notes"]
    assert one == ["Topics", "Notes", "Colours"]


CHAT = """[10:02] anna: the customer in Oslo reported 3 more timeouts this morning
[10:11] priya: we agreed yesterday to freeze the API on Friday
[10:21] tom: I'll write the changelog by Thursday
"""
INTERVIEW = """Interviewer: How long do people wait?

Dr. Okafor: On average people wait 95 minutes. We have 10 minutes left.
"""
REPORT = """# Treffen vom Montag

**Kassenbericht:** Die Bank hat die Gebühren auf 7,50 € erhöht. Aktueller Kontostand: Ca. 14.300 €.

**Aufkleber:** Hanno bittet den Vorstand um ein Budget von 200 €.
"""
CONTRACT = """This year, the fee is 3,400 EUR a month.
The Provider deletes all data within 14 days after the end of this agreement.
It is not yet decided whether refunds are automatic.
"""
TABLE = """Datum;Kunde;Menge;Betrag;Bemerkung
2026-11-03;Café Blau;3;285,50;
2026-11-05;Hotel Adler;40;3.800,00;Rabatt 5 % gewährt
"""


def test_nicknames_behind_a_time_are_speakers():
    assert kinds_of("chat.txt", CHAT) == [
        ("decision", "we agreed yesterday to freeze the API on Friday", None, None),
        ("action", "I'll write the changelog by Thursday", "tom", "Thursday"),
    ]


def test_bold_titles_of_paragraphs_are_no_speakers_where_nobody_speaks_twice():
    facts = facts_of(REPORT)
    assert not any("speaker" in fact for fact in facts)
    assert "Aktueller Kontostand: Ca. 14.300 €." in [fact["text"] for fact in facts]


def test_long_durations_of_a_talk_are_figures():
    assert [fact[1] for fact in kinds_of("talk.txt", INTERVIEW)] == [
        "On average people wait 95 minutes."
    ]


def test_this_agreement_is_the_text_itself_and_it_may_stand_for_a_clause():
    assert [fact[:2] for fact in kinds_of("contract.txt", CONTRACT)] == [
        ("number", "This year, the fee is 3,400 EUR a month."),
        ("number", "The Provider deletes all data within 14 days after the end of this agreement."),
        ("question", "It is not yet decided whether refunds are automatic."),
    ]


def test_rows_with_an_empty_last_cell_and_with_a_remark_keep_all_their_cells():
    assert [fact[1] for fact in kinds_of("sales.csv", TABLE)] == [
        "Datum: 2026-11-03; Kunde: Café Blau; Menge: 3; Betrag: 285,50",
        "Datum: 2026-11-05; Kunde: Hotel Adler; Menge: 40; Betrag: 3.800,00; Bemerkung: Rabatt 5 % gewährt",
    ]
