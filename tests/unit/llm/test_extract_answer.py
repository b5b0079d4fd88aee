"""The offline provider fills schemas with what the sources say, and nothing else."""

import json
from decimal import Decimal

import jsonschema_rs
import pytest

from combine_core.lines import find_line
from combine_core.llm import CompletionRequest, Material, ProviderError, Usage
from combine_core.llm.extract import ExtractProvider

NOTES = """\
# Meeting of 12 March

The meeting was about the move of the archive into the new building.

We agreed to rent a second lorry. The move costs 12,500 EUR in total.
Nobody knows where the old shelves go?

## Next steps

- [ ] Anna orders the boxes
- [x] Bob measured the doors
- The shelves

## Material

| Item | Count |
|------|-------|
| Boxes | 400 |
"""

EVIDENCE = {
    "type": "array",
    "minItems": 1,
    "maxItems": 3,
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["source", "line_from", "line_to", "quote"],
        "properties": {
            "source": {"type": "string"},
            "line_from": {"type": "integer", "minimum": 1},
            "line_to": {"type": "integer", "minimum": 1},
            "quote": {"type": "string", "minLength": 1},
        },
    },
}
ITEM = {
    "type": "object",
    "additionalProperties": False,
    "required": ["text", "evidence"],
    "properties": {"text": {"type": "string"}, "evidence": EVIDENCE},
}


def item_with(**properties):
    return {
        **ITEM,
        "required": [*ITEM["required"], *properties],
        "properties": {**ITEM["properties"], **properties},
    }


def schema_of(**lists):
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(lists),
        "properties": lists,
    }


def list_of(item=ITEM, **more):
    return {"type": "array", "items": item, **more}


def materials_of(*texts):
    return tuple(
        Material(label=f"S{n}", source_id=f"id-{n}", name=f"n{n}", text=text)
        for n, text in enumerate(texts, 1)
    )


def complete(schema, *texts, inputs=None):
    request = CompletionRequest(
        model="extract",
        system="",
        prompt="",
        schema=schema,
        max_tokens=1,
        timeout=60,
        materials=materials_of(*texts),
        inputs=inputs or {},
    )
    return ExtractProvider().complete(request)


def extract(schema, *texts, inputs=None):
    answer = json.loads(complete(schema, *texts, inputs=inputs).text)
    jsonschema_rs.validate(schema, answer)
    return answer


def wording(items):
    return [item["text"] for item in items]


def test_lists_get_what_their_names_ask_for():
    answer = extract(
        schema_of(
            decisions=list_of(),
            numbers=list_of(),
            open_questions=list_of(),
            next_steps=list_of(),
        ),
        NOTES,
    )

    assert wording(answer["decisions"]) == ["We agreed to rent a second lorry."]
    assert wording(answer["numbers"]) == [
        "The move costs 12,500 EUR in total.",
        "Item: Boxes; Count: 400",
    ]
    assert wording(answer["open_questions"]) == ["Nobody knows where the old shelves go?"]
    assert wording(answer["next_steps"]) == ["Anna orders the boxes", "The shelves"]


def test_german_names_and_sources():
    answer = extract(
        schema_of(
            entscheidungen=list_of(),
            zahlen=list_of(),
            offene_fragen=list_of(),
            naechste={**list_of(), "title": "Nächste Schritte"},
        ),
        "Der Rat hat den Umbau beschlossen. Die Kosten betragen 12.500 Euro.\n\n"
        "Wer haftet bei Schäden?\n\n- Vertrag bis Freitag prüfen",
    )

    assert wording(answer["entscheidungen"]) == ["Der Rat hat den Umbau beschlossen."]
    assert wording(answer["zahlen"]) == ["Die Kosten betragen 12.500 Euro."]
    assert wording(answer["offene_fragen"]) == ["Wer haftet bei Schäden?"]
    assert wording(answer["naechste"]) == ["Vertrag bis Freitag prüfen"]


def test_evidence_names_source_lines_and_quote():
    answer = extract(schema_of(decisions=list_of()), "Nothing here.", NOTES)

    assert answer["decisions"][0]["evidence"] == [
        {
            "source": "S2",
            "line_from": 5,
            "line_to": 5,
            "quote": "We agreed to rent a second lorry.",
        }
    ]


def test_a_sentence_that_stands_twice_is_one_item_with_both_places():
    answer = extract(
        schema_of(facts=list_of()), "The move costs 5 EUR.\n\nthe move costs 5 EUR.", "Other words."
    )

    (twice,) = [item for item in answer["facts"] if "5 EUR" in item["text"]]
    assert [evidence["line_from"] for evidence in twice["evidence"]] == [1, 3]


def test_other_lists_get_what_their_description_names():
    text = "The main risk is a flood. The boxes are brown. Floods came twice. A lorry is red."

    answer = extract(
        schema_of(
            risks=list_of(description="Risks, such as a flood or fire"),
            animals=list_of(description="Animals that were seen"),
        ),
        text,
    )

    assert set(wording(answer["risks"])) == {"The main risk is a flood.", "Floods came twice."}
    assert answer["animals"] == []


def test_the_best_come_first_and_at_most_as_many_as_allowed():
    text = "It returns 503. The fee is 300 EUR. The work took five days. The other fee is 200 EUR."

    answer = extract(schema_of(numbers=list_of(maxItems=2)), text)

    assert set(wording(answer["numbers"])) == {"The fee is 300 EUR.", "The other fee is 200 EUR."}
    assert extract(schema_of(numbers=list_of(maxItems=0)), text) == {"numbers": []}


def test_a_list_that_must_not_be_empty_is_filled_up():
    text = "The boxes are brown. The lorry is red."

    assert extract(schema_of(decisions=list_of()), text)["decisions"] == []
    assert len(extract(schema_of(decisions=list_of(minItems=2)), text)["decisions"]) == 2


def test_references_alternatives_and_parts_are_followed():
    schema = {
        "$defs": {
            "item": ITEM,
            "decisions": {"type": "array", "items": {"$ref": "#/$defs/item"}},
        },
        "type": "object",
        "required": ["decisions", "numbers", "open_questions"],
        "properties": {
            "decisions": {"$ref": "#/$defs/decisions"},
            "numbers": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/decisions"}]},
            "open_questions": {
                "allOf": [{"$ref": "#/$defs/decisions"}, {"description": "what is open"}]
            },
        },
    }

    answer = extract(schema, NOTES)

    assert [len(answer[name]) for name in schema["required"]] == [1, 2, 1]


def test_groups_single_items_and_lists_of_plain_text():
    schema = schema_of(
        minutes=schema_of(decisions=list_of(), numbers=list_of({"type": "string"})),
        sections=list_of(schema_of(open_questions=list_of())),
        main_decision=ITEM,
    )

    answer = extract(schema, NOTES)

    assert wording(answer["minutes"]["decisions"]) == ["We agreed to rent a second lorry."]
    assert answer["minutes"]["numbers"][0] == "The move costs 12,500 EUR in total."
    assert len(answer["sections"][0]["open_questions"]) == 1
    assert answer["main_decision"]["text"] == "We agreed to rent a second lorry."


def test_kinds_are_told_by_the_values_of_an_enum():
    kind = {"enum": ["info", "decision", "figure", "question", "task"]}

    answer = extract(schema_of(facts=list_of(item_with(kind=kind))), NOTES)

    kinds = {item["text"]: item["kind"] for item in answer["facts"]}
    assert kinds["We agreed to rent a second lorry."] == "decision"
    assert kinds["The move costs 12,500 EUR in total."] == "figure"
    assert kinds["Nobody knows where the old shelves go?"] == "question"
    assert kinds["Anna orders the boxes"] == "task"
    assert kinds["Bob measured the doors"] == "info"


def test_other_fields_get_what_a_rule_knows_or_a_neutral_value():
    item = item_with(
        amount={"type": "number", "minimum": 0},
        count={"type": "integer"},
        sure={"type": "boolean"},
        owner={"type": ["string", "null"]},
        state={"const": "new"},
        level={"enum": ["low", "high"]},
        label={"type": "string", "maxLength": 12},
        tags={"type": "array", "items": {"type": "string"}},
        weight={"type": "integer", "default": 7},
    )

    (found,) = extract(
        schema_of(numbers=list_of(item, maxItems=1)), "The high price is 12.5 EUR for the move."
    )["numbers"]

    assert {key: found[key] for key in found if key not in {"text", "evidence"}} == {
        "amount": 12.5,
        "count": 12,
        "sure": False,
        "owner": None,
        "state": "new",
        "level": "high",
        "label": "The high",
        "tags": [],
        "weight": 7,
    }


def test_an_item_that_cannot_fit_is_left_out():
    item = {
        **ITEM,
        "properties": {**ITEM["properties"], "text": {"type": "string", "maxLength": 20}},
    }

    answer = extract(
        schema_of(numbers=list_of(item)),
        "Tea is 5 EUR. Tea is a very long way to pay all of 5 EUR.",
    )

    assert wording(answer["numbers"]) == ["Tea is 5 EUR."]


def test_items_of_an_earlier_step_are_used_instead_of_the_sources():
    evidence = [{"source": "S9", "line_from": 4, "line_to": 4, "quote": "whatever"}]
    facts = {
        "facts": [
            {"text": "The old house stays.", "kind": "decision", "evidence": evidence},
            {"text": "It costs 5 EUR.", "kind": "number", "evidence": evidence},
        ]
    }

    answer = extract(
        schema_of(decisions=list_of(), numbers=list_of(), next_steps=list_of()),
        NOTES,
        inputs={"facts": facts},
    )

    assert answer["decisions"] == [{"text": "The old house stays.", "evidence": evidence}]
    assert wording(answer["numbers"]) == ["It costs 5 EUR."]
    assert answer["next_steps"] == []


def test_the_kind_that_an_earlier_step_gave_counts():
    evidence = [{"source": "S1", "line_from": 1, "line_to": 1, "quote": "x"}]
    facts = [
        {"text": "The blue one.", "kind": "decision", "evidence": evidence},
        {"text": "The colour of the door.", "kind": "open_question", "evidence": evidence},
        {"text": "The house is old.", "note": "a decision was near", "evidence": evidence},
    ]

    answer = extract(
        schema_of(decisions=list_of(), open_questions=list_of()), inputs={"facts": {"facts": facts}}
    )

    assert wording(answer["decisions"]) == ["The blue one."]
    assert wording(answer["open_questions"]) == ["The colour of the door."]


def test_entries_below_done_are_statements_and_those_below_next_are_steps():
    text = """# Weekly

- Done:
  - Released version 2 of the pump driver
  - Based on the plan of May
- Next:
  - Merge the branch of the valve
"""

    answer = extract(schema_of(key_points=list_of(), next_steps=list_of()), text)

    assert wording(answer["key_points"]) == ["Released version 2 of the pump driver"]
    assert wording(answer["next_steps"]) == ["Merge the branch of the valve"]


def test_commitments_below_a_part_of_a_decision_are_decisions():
    text = """# Pump

## Decision

### Parts

We will use a pump with two valves. A valve that leaks is replaced.
"""

    answer = extract(schema_of(decisions=list_of()), text)

    assert wording(answer["decisions"]) == ["We will use a pump with two valves."]


@pytest.mark.parametrize(
    "decision",
    [
        "Agreed to paint the northern hall in May",
        "Beschluss: Weil es teurer als geplant war, beschließen wir eine Rückzahlung von 10 Euro.",
    ],
)
def test_entries_of_minutes_that_open_with_a_decision_are_whole(decision):
    text = f"# Hall\n\n- {decision}\n"

    answer = extract(schema_of(decisions=list_of()), text)

    assert wording(answer["decisions"]) == [decision]


def test_a_statement_of_an_earlier_step_needs_no_block_around_it():
    evidence = [{"source": "S1", "line_from": 1, "line_to": 1, "quote": "x"}]
    row = {"text": "Endpoint: GET /health; Purpose: Liveness probe", "evidence": evidence}

    answer = extract(schema_of(key_points=list_of()), inputs={"facts": {"facts": [row]}})

    assert wording(answer["key_points"]) == [row["text"]]


def test_no_items_of_an_earlier_step_means_none():
    answer = extract(schema_of(decisions=list_of()), NOTES, inputs={"facts": {"facts": []}})

    assert answer == {"decisions": []}


def test_outputs_without_items_leave_the_sources_to_work_on():
    answer = extract(schema_of(decisions=list_of()), NOTES, inputs={"tone": {"tone": "formal"}})

    assert len(answer["decisions"]) == 1


def test_the_line_brief_from_source_to_document():
    facts_step, brief_step = (find_line("brief").step(key) for key in ("facts", "brief"))

    facts = extract(facts_step.answer_schema, NOTES)
    brief = extract(brief_step.answer_schema, NOTES, inputs={"facts": facts})

    assert wording(brief["decisions"]) == ["We agreed to rent a second lorry."]
    assert wording(brief["open_questions"]) == ["Nobody knows where the old shelves go?"]
    assert "Anna orders the boxes" in wording(brief["next_steps"])
    assert "The meeting was about the move of the archive into the new building." in wording(
        brief["summary"]
    )
    for items in brief.values():
        assert len(set(wording(items))) == len(items)
        for item in items:
            for evidence in item["evidence"]:
                lines = NOTES.split("\n")[evidence["line_from"] - 1 : evidence["line_to"]]
                assert evidence["quote"] in "\n".join(lines)


def test_no_model_no_cost():
    completion = complete(schema_of(decisions=list_of()), NOTES)

    assert completion.used_llm is False
    assert completion.cost == Decimal(0)
    assert completion.usage == Usage(0, 0, 0, 0)
    assert completion.http_status is None
    assert complete(schema_of(decisions=list_of()), NOTES) == completion


def test_every_source_gets_its_turn():
    long = " ".join(f"The wall number {n} of the tower is {n} m high." for n in range(10, 200))
    kind = {"enum": ["statement", "number"]}

    answer = extract(
        schema_of(facts=list_of(item_with(kind=kind), maxItems=10)), long, "One house is blue."
    )

    assert "One house is blue." in wording(answer["facts"])


def test_without_time_it_says_so():
    request = CompletionRequest(
        "extract", "", "", schema_of(facts=list_of()), 1, -1.0, materials_of(NOTES)
    )

    with pytest.raises(ProviderError) as caught:
        ExtractProvider().complete(request)

    assert caught.value.code == "timeout"
    assert not caught.value.lost


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"properties": {"a": {"$ref": "#/$defs/missing"}}},
        {"properties": {"a": {"$ref": "http://127.0.0.1:1/schema.json"}}},
        {"properties": {"a": {"type": "array", "items": {"type": "string", "pattern": "("}}}},
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema):
    with pytest.raises(ProviderError) as caught:
        complete(schema, NOTES)

    assert caught.value.code == "bad_request"
    assert "schema" in caught.value.message


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "array"},
        {"type": "array", "items": True},
        {"type": "string"},
        {"$ref": "#"},
        {"properties": {"child": {"$ref": "#"}}},
        {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}},
        {"anyOf": [{"type": "null"}]},
    ],
)
def test_unusual_schemas_end(schema):
    json.loads(complete(schema, NOTES).text)


BRIEF = schema_of(
    key_points=list_of(maxItems=6),
    decisions=list_of(),
    next_steps=list_of(),
    open_questions=list_of(),
)


def test_a_question_that_nobody_objects_to_is_a_decision():
    text = """# Pumps

* Any objections to closing the issue on the pump of hall 3?
  * No objections
"""
    answer = extract(BRIEF, text)
    assert wording(answer["decisions"]) == [
        "Any objections to closing the issue on the pump of hall 3? No objections"
    ]
    assert answer["open_questions"] == []
    [evidence] = answer["decisions"][0]["evidence"]
    assert (evidence["line_from"], evidence["line_to"]) == (3, 4)


def test_votes_stand_with_what_was_asked():
    text = """# Pumps

Show of hands: should we merge the change of the pump?
Yes: 23
No: 3
No opinion: 4

The pump was made in the north.
"""
    answer = extract(BRIEF, text)
    assert wording(answer["key_points"])[0] == (
        "Show of hands: should we merge the change of the pump? Yes: 23 No: 3 No opinion: 4"
    )
    assert answer["open_questions"] == []


def test_a_labelled_decision_may_take_two_sentences():
    text = (
        "Decision: The editors merge small changes. The list confirms each change."
        " The members need to look at the rest.\n\n"
        "The pump was made in the north.\n"
    )
    assert wording(extract(BRIEF, text)["decisions"]) == [
        "Decision: The editors merge small changes.",
        "The list confirms each change.",
    ]


def test_labels_in_bold_are_no_speakers():
    text = "".join(
        f"## Topic {n}\n\n* **Action Item:** The chairs ask group {n} for a plan.\n\n"
        for n in range(3)
    )
    assert wording(extract(BRIEF, text)["next_steps"]) == [
        f"Action Item: The chairs ask group {n} for a plan." for n in range(3)
    ]


def test_agreement_comes_first_in_a_talk():
    talk = [
        f"Anna: The pump in hall {n} sounds as it did in the spring of last year." for n in range(9)
    ]
    talk.insert(5, "Ben: Let's put the other seal into the draft.")
    answer = extract(BRIEF, "\n\n".join(talk))
    assert "Let's put the other seal into the draft." in wording(answer["key_points"])


def test_each_topic_gets_its_turn():
    text = "## Pumps\n\n"
    text += "".join(f"The northern pump {n} needs a long valve today.\n\n" for n in range(30))
    text += "## Doors\n\nThe door of the hall was painted in a dark green.\n"
    answer = extract(schema_of(key_points=list_of(maxItems=25)), text)
    assert "The door of the hall was painted in a dark green." in wording(answer["key_points"])


def test_titles_with_the_number_of_an_issue_and_lone_names_say_nothing():
    text = """# Meeting

* Self-serve model for the funding of pumps [#1747](https://example.org/1747)
  * The board pays for the pumps of the northern hall.
* pumps.example.org/northern-hall
"""
    answer = extract(schema_of(key_points=list_of()), text)
    assert wording(answer["key_points"]) == ["The board pays for the pumps of the northern hall."]


def decisions_in(text):
    return wording(extract(schema_of(decisions=list_of()), text)["decisions"])


def test_a_motion_stands_with_its_approval():
    assert decisions_in(
        "Karen moved that we use the thicker magnets. Kelly seconded it. It was approved by the Board."
    ) == [
        "Karen moved that we use the thicker magnets. Kelly seconded it. It was approved by the Board."
    ]
    assert decisions_in("Karen moved that we use the thicker magnets. Nobody seconded it.") == []
    assert decisions_in(
        "# Entlastung\n\nFelix beantragte, den Vorstand zu entlasten.\n\n---\n\n"
        "- Ja: 7 Stimmen\n- Nein: 0 Stimmen\n"
    ) == ["Felix beantragte, den Vorstand zu entlasten. Ja: 7 Stimmen Nein: 0 Stimmen"]


def test_reasons_below_the_title_of_one_decision_are_no_decisions():
    assert decisions_in(
        "## Decision\n\nUse the gatekeeper for policies of the cluster.\n\n"
        "Its language is a strength. The team knows it well.\n\nWe will run the gatekeeper in all clusters.\n"
    ) == [
        "Use the gatekeeper for policies of the cluster.",
        "We will run the gatekeeper in all clusters.",
    ]


def test_the_requirement_of_a_row_counts_and_not_its_longer_reasons():
    rows = "".join(
        f"| R{n} | The pump shall stop within {n} seconds. | "
        "A pump that must not stop at once may harm people, so the time has to be bounded. |\n"
        for n in (3, 4)
    )
    answer = extract(
        schema_of(numbers=list_of()), f"| ID | Text | Reasons |\n|---|---|---|\n{rows}"
    )
    assert wording(answer["numbers"]) == [
        "The pump shall stop within 3 seconds.",
        "The pump shall stop within 4 seconds.",
    ]


def test_an_approval_without_its_matter_is_left_out():
    assert decisions_in("Motion passed.\n\nThe hall is closed on Monday.") == []
    assert decisions_in(
        "- Motion to approve the plan of the hall: Ann Lee\n- Seconded: Ben\n- Approved nem con\n"
    ) == ["Motion to approve the plan of the hall: Ann Lee Seconded: Ben Approved nem con"]


def test_notes_below_a_task_and_code_are_no_items():
    steps = extract(
        schema_of(next_steps=list_of(), points=list_of()),
        "## Next steps\n\n- Write the review\n  - The post itself\n  - Ask Ann for input\n"
        "- `kubectl cordon node-3`\n",
    )
    assert wording(steps["next_steps"]) == ["Write the review", "Ask Ann for input"]
    assert "kubectl cordon node-3" not in wording(steps["points"])


def test_those_who_are_present_take_on_tasks():
    text = (
        "## Present\n\n- Ulises Gascon (@uli)\n- Ann Lee\n\n## Machines\n\n"
        "- Ulises will open an issue on the old machines\n- Chrome will drop the old protocol\n"
    )
    steps = extract(schema_of(next_steps=list_of(item_with(owner={"type": "string"}))), text)[
        "next_steps"
    ]
    assert [(item["owner"], item["text"]) for item in steps] == [
        ("Ulises", "Ulises will open an issue on the old machines")
    ]


def test_a_decision_on_this_stands_with_what_this_is():
    text = "Projects may remove parts of the charter. The council decided against this in May."
    assert decisions_in(text) == [text]


def test_sentences_of_a_list_are_shown_rather_than_fragments():
    points = extract(
        schema_of(key_points=list_of()),
        "- The hall is closed for repairs until the end of May.\n- posters for the hall\n- A weekly call\n",
    )["key_points"]
    assert wording(points) == ["The hall is closed for repairs until the end of May."]


def test_a_labelled_line_inside_a_paragraph_is_an_action():
    notes = "# Harbour\n\nWe decided to open the harbour.\nNext step: Ada sends the plan to the council.\n"
    answer = extract(schema_of(decisions=list_of(), next_steps=list_of()), notes)
    assert wording(answer["next_steps"]) == ["Next step: Ada sends the plan to the council."]


def points_in(text):
    return wording(extract(schema_of(key_points=list_of()), text)["key_points"])


def test_a_sentence_that_rests_on_the_one_before_is_joined_to_it():
    assert points_in(
        "The northern pump was out of oil on Monday. This stopped all belts of the hall."
    ) == ["The northern pump was out of oil on Monday. This stopped all belts of the hall."]
    assert points_in("New pump\n\nThis stopped all belts of the hall.") == []


def test_an_agenda_announces_what_stands_elsewhere():
    brief = extract(
        BRIEF,
        "## Agenda\n\n1. Opening\n    1. Help to take notes.\n1. Repairs\n\n## Notes\n\n"
        "- The northern pump leaks oil since the repair in the spring of last year.\n"
        "- The southern pump is fine, and nobody has to look at the valve for a year.\n",
    )
    assert brief["next_steps"] == []
    assert len(brief["key_points"]) == 2


def test_placeholders_of_a_template_are_no_tasks():
    text = "1. _Send a note to the board_\n1. Open the valve\n"
    assert wording(extract(BRIEF, text)["next_steps"]) == ["Open the valve"]


def test_questions_of_a_form_are_not_open():
    form = "# Form\n\n" + "".join(
        f"Which licence does the pump {name} have?\n\nThe licence of the city.\n\n"
        for name in ("A", "B", "C")
    )
    assert extract(BRIEF, form)["open_questions"] == []
    listed = "## Questions\n\n- Shall we test the northern pump again?\n  - Yes, in May.\n"
    assert extract(BRIEF, listed)["open_questions"] == []


def test_a_rule_of_conduct_is_no_statement():
    assert (
        points_in("## Code of Conduct\n\nAll members of the group treat other people with respect.")
        == []
    )


def test_details_below_the_title_of_one_decision_are_no_decisions():
    assert decisions_in(
        "## Decision\n\nUse the new pump in all halls.\n\n### Conditions\n\n- The oil is clean.\n"
    ) == ["Use the new pump in all halls."]


def test_only_clear_thoughts_are_statements():
    aloud = (
        "I think the pump is fine... maybe.\n\nHm, the valve could be better.\n\n"
        "The filter is old.\n\nNot sure what I would do?\n"
    )
    assert points_in(aloud) == []
    assert points_in("The filter is old and clean.\n") == ["The filter is old and clean."]


def test_a_decision_without_its_matter_is_left_out():
    assert decisions_in("# Board\n\nIt was decided to do this in May.") == []
    assert decisions_in("RFC status: approved") == []
    assert decisions_in("- Accepted for the summer fair") == []
    assert decisions_in("EC decided to buy the northern pump.") == [
        "EC decided to buy the northern pump."
    ]


def test_in_a_chat_an_answer_to_somebody_is_no_statement():
    chat = (
        "Anna: The northern pump of the hall was repaired by Tom in May.\n\n"
        "Ben: Anna: makes sense to do it that way and keep the pump.\n"
    )
    assert points_in(chat) == ["The northern pump of the hall was repaired by Tom in May."]


def test_a_short_vote_stands_with_the_proposal_before_it():
    assert decisions_in(
        "# Sitzung\n\n## Ablauf\n\nAnna schlägt die Entlastung vor."
        " **Der Vorschlag wird mit 16 Ja, 0 Nein angenommen.**\n"
    ) == ["Anna schlägt die Entlastung vor. Der Vorschlag wird mit 16 Ja, 0 Nein angenommen."]


def test_a_resolution_is_a_decision_and_no_speaker():
    assert decisions_in("RESOLVED: The next meeting of the group is in Ulm.\n") == [
        "RESOLVED: The next meeting of the group is in Ulm."
    ]


def test_only_the_first_sentence_of_a_listed_decision_counts():
    assert decisions_in(
        "## Decisions\n\n- The pump stays in the hall. The valve needs an exception.\n"
    ) == ["The pump stays in the hall."]


def test_scraps_of_a_list_are_no_items():
    brief = extract(
        BRIEF,
        "## Notes\n\n- Examples include pumps and valves.\n- Won't be able to open the valve\n"
        "- anna - could we wait for the new pump?\n\n## Actions\n\n- Karen will follow up\n",
    )
    assert brief["key_points"] == brief["open_questions"] == brief["next_steps"] == []
