"""Tasks in tables have their owner and due date, and are left out if they are done."""

import json

from combine_core.lines import find_line
from combine_core.llm import CompletionRequest, Material
from combine_core.llm.extract import ExtractProvider


def facts_of(text):
    schema = find_line("brief").step("facts").answer_schema
    material = Material("S1", "id", "n", text)
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
