"""A title, or the line above a list, completes what stands below it."""

import pytest

from combine_core.evidence.answer import judge_answer
from combine_core.evidence.quotes import SourceText
from combine_core.lines import find_line
from combine_core.llm.extract.source import TITLES
from tests.unit.llm.test_extract_answer import extract, wording


def brief_of(text):
    """The brief of one source. Every fact of it must be supported by what it quotes."""
    facts_step, brief_step = (find_line("brief").step(key) for key in ("facts", "brief"))
    facts = extract(facts_step.answer_schema, text)
    judge_answer(facts, {"S1": SourceText(text)})
    assert [fact for fact in facts["facts"] if fact["verdict"] != "supported"] == []
    return extract(brief_step.answer_schema, text, inputs={"facts": facts})


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        (
            "- Working group on pumps\n  - Meets on Fridays at 10:00\n",
            "Working group on pumps: Meets on Fridays at 10:00",
        ),
        (
            "- Summer fair\n  - Frist bis 15.09.\n",
            "Summer fair: Frist bis 15.09.",
        ),
        (
            "The seal must be one of the following\n- a rubber seal\n- a copper ring\n",
            "The seal must be one of the following: a rubber seal; a copper ring",
        ),
        (
            "## The pump stops\n\n**Symptoms:**\n- Low pressure\n- Wet floor\n",
            "The pump stops: Symptoms: Low pressure; Wet floor",
        ),
        (
            "## Pumps\n\nPoll on the blue pump:\n\n| Yes | No |\n|---|---|\n| 8 | 3 |\n",
            "Poll on the blue pump: Yes: 8; No: 3",
        ),
        (
            "## Next meeting\n\n12 March, 18:00, room 3\n",
            "Next meeting: 12 March, 18:00, room 3",
        ),
        (
            "1) Pumps\n\nThe old pump was repaired by the vendor.\n\n"
            "2) Next meeting\n\n12 March at 18:00 in room 3.\n",
            "Next meeting: 12 March at 18:00 in room 3.",
        ),
        (
            "The hall was full.\n\nNext meeting: 12 March, 18:00, room 3\n",
            "Next meeting: 12 March, 18:00, room 3",
        ),
    ],
)
def test_a_line_completes_what_stands_below_it(text, joined):
    assert joined in wording(brief_of(text)["key_points"])


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ('# Sitzung\n\n## 11. Film "Die Pumpe"\n\n* vertagt\n', "Film Die Pumpe: vertagt"),
        (
            "# Board\n\n## New roof\n\nMoved to the next meeting\n",
            "New roof: Moved to the next meeting",
        ),
        (
            "# Board\n\n## New roof\n\nThere were no objections.\n",
            "New roof: There were no objections.",
        ),
    ],
)
def test_a_bare_decision_stands_with_its_title(text, decision):
    assert wording(brief_of(text)["decisions"]) == [decision]


def test_steps_below_a_line_stand_alone_and_name_their_titles():
    text = (
        "## The pump stops\n\n**Resolution:**\n1. Open the valve\n2. Check the seal\n\n"
        "## The pump leaks\n\n**Resolution:**\n1. Replace the seal\n2. Close the valve\n"
    )
    steps = brief_of(text)["next_steps"]
    assert wording(steps) == [
        "Open the valve",
        "Check the seal",
        "Replace the seal",
        "Close the valve",
    ]
    assert steps[0]["heading"] == f"The pump stops{TITLES}Resolution"


def test_a_vote_stands_with_its_matter():
    text = "- Decision: Sell the old pump\n  - Passed unanimously\n"
    assert wording(brief_of(text)["decisions"]) == [
        "Decision: Sell the old pump: Passed unanimously"
    ]


def test_a_check_mark_is_no_word():
    text = "The hall is closed on every Monday of May.\n\n- ✅ The new pump needs little oil.\n"
    assert "The new pump needs little oil." in wording(brief_of(text)["key_points"])


def test_a_question_below_a_label_is_no_statement():
    text = "- Strategiepapier der Stadt (11.09.)\n  - wer will dahin? 22.09. um 13 Uhr\n"
    assert brief_of(text)["key_points"] == []


def test_code_below_a_line_is_no_statement():
    text = "- Restart of the pump\n  - `pump restart 3`\n"
    assert brief_of(text)["key_points"] == []


def test_each_paragraph_of_a_cell_counts():
    text = (
        "| Topic | Notes | Who |\n|---|---|---|\n| Pump | <p>- The pump leaks in every winter.</p>"
        "<p>- Agreement to buy the blue pump in May.</p> | Ann |\n"
    )
    brief = brief_of(text)
    assert wording(brief["decisions"]) == ["Agreement to buy the blue pump in May."]
    assert "The pump leaks in every winter." in wording(brief["key_points"])


def test_an_answer_below_open_questions_is_no_question():
    text = "## Open questions\n\n- Who pays for the pump?\n- We will use the money of the fair.\n"
    assert wording(brief_of(text)["open_questions"]) == ["Who pays for the pump?"]


def test_a_numbered_title_is_no_task():
    text = "1. Open Source Day\n\nThe day needs three helpers from the city.\n\n2. Open the valve\n"
    assert wording(brief_of(text)["next_steps"]) == ["Open the valve"]


@pytest.mark.parametrize(
    "text",
    [
        "- Processing: The pump sorts the water of the hall by its oil.\n",
        "- Nächster Schritt: Die Pumpe wird von der Stadt im Mai geprüft.\n",
    ],
)
def test_a_label_speaks_no_words(text):
    for items in brief_of(text).values():
        assert [item for item in items if item.get("speaker")] == []


def test_the_state_of_a_record_is_no_decision():
    text = "# ADR 4: Pumps\n\n## Status\n\nAccepted\n\n## Decision\n\nWe will use the blue pump.\n"
    assert wording(brief_of(text)["decisions"]) == ["We will use the blue pump."]


def test_the_end_of_an_incident_is_no_decision():
    text = (
        "# Incident\n\nThe hall was wet.\n\n"
        "## Resolution\n\nThe pump was replaced by the older one of hall 3.\n"
    )
    brief = brief_of(text)
    assert brief["decisions"] == []
    assert "The pump was replaced by the older one of hall 3." in wording(brief["key_points"])


def test_tasks_and_sentences_of_a_list_stay_apart():
    text = (
        "Notes:\n- Ann to call the vendor by Friday\n- Buy a seal\n\n"
        "Decisions:\n- Keep the pump\n- Sell the roof\n"
    )
    brief = brief_of(text)
    assert wording(brief["decisions"]) == ["Keep the pump", "Sell the roof"]
    assert "Ann to call the vendor by Friday" in wording(brief["next_steps"])


def test_an_entry_that_groups_tasks_is_no_task():
    text = (
        "## Action items\n\n- New website / (@ann)\n"
        "  - [@ben][]: Write the page on pumps\n  - Unclaimed: Test the links\n"
    )
    steps = brief_of(text)["next_steps"]
    assert [(step["text"], step.get("owner")) for step in steps] == [
        ("@ben: Write the page on pumps", "@ben"),
        ("Test the links", None),
    ]


def test_a_short_task_stands_with_its_label():
    text = (
        "Anwesend: Jil, Nikita\n\n## E-Mails\n\n* Die Gruppe hat die Pumpe bezahlt.\n"
        "* Anfrage zum Sommercamp\n  * Jil antwortet\n"
    )
    [step] = brief_of(text)["next_steps"]
    assert (step["text"], step["owner"]) == ("Anfrage zum Sommercamp: Jil antwortet", "Jil")


def test_a_topic_may_stand_before_the_owner_of_a_task():
    text = (
        "Present: Mark Gray, Ann Lee\n\n- Pumps - Mark Gray will draft the rules for the pumps.\n"
    )
    [step] = brief_of(text)["next_steps"]
    assert step["owner"] == "Mark Gray"


def test_a_finished_order_is_no_statement():
    text = "## Action items\n\n- [x] Update the plan of the hall for the new pump\n- [ ] Sell the pump\n"
    brief = brief_of(text)
    assert (wording(brief["key_points"]), wording(brief["next_steps"])) == ([], ["Sell the pump"])


def test_a_text_without_a_summary_begins_with_what_it_is_about():
    text = (
        "# Pumps\n\nWe utilise three pumps to keep the cellar dry.\n\n"
        "## Faults\n\nThe seal breaks in winter.\n"
    )
    assert wording(brief_of(text)["summary"]) == ["We utilise three pumps to keep the cellar dry."]
