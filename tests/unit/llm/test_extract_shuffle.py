"""The choice from paragraphs without headings depends on the sentences, not on their order."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from combine_core.lines import find_line
from combine_core.llm import CompletionRequest, Material
from combine_core.llm.extract import ExtractProvider

KEY_FACTS = [
    "The board approved the purchase of the crane on 3 May 2026.",
    "The crane costs 1.2 million EUR.",
    "Who insures the crane during the winter?",
    "Mrs Olsen must sign the contract by Friday.",
]
NAMES = [
    "crane",
    "harbour",
    "pump",
    "valve",
    "tower",
    "cable",
    "lorry",
    "engine",
    "winch",
    "anchor",
]
VERBS = [
    "stands",
    "moves",
    "holds",
    "lifts",
    "turns",
    "rests",
    "leans",
    "sounds",
    "smells",
    "looks",
]
PLACES = ["there", "outside", "inside", "nearby", "upstairs", "ashore", "below", "behind"]

plain = st.builds(
    "The {} {} {}.".format, st.sampled_from(NAMES), st.sampled_from(VERBS), st.sampled_from(PLACES)
)
telling = st.builds(
    "{} {}.".format,
    st.sampled_from(["We agreed to buy", "Please check", "Nobody knows the price of", "It weighs"]),
    st.integers(1, 60).map("{} tonnes".format),
)
paragraph = st.lists(plain | telling, min_size=1, max_size=4).map(" ".join)
listed = st.lists(plain | telling, min_size=1, max_size=4).map(
    lambda items: "\n".join(f"- {item}" for item in items)
)
paragraphs = st.lists(paragraph | listed, min_size=4, max_size=60)


def facts_of(text, most=80):
    schema = find_line("brief").step("facts").answer_schema
    schema = json.loads(json.dumps(schema))
    schema["properties"]["facts"]["maxItems"] = most
    request = CompletionRequest(
        "extract", "", "", schema, 1, 60, (Material("S1", "id", "notes", text),)
    )
    return json.loads(ExtractProvider().complete(request).text)["facts"]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_the_same_facts_are_chosen_when_the_paragraphs_are_shuffled(data):
    order = data.draw(paragraphs)
    shuffled = data.draw(st.permutations(order))
    most = data.draw(st.integers(1, 30))

    chosen, again = (
        {fact["text"] for fact in facts_of("\n\n".join(text), most)} for text in (order, shuffled)
    )

    assert chosen == again


@settings(max_examples=15, deadline=None)
@given(st.permutations([*KEY_FACTS, *(f"The {n} {v} there." for n in NAMES for v in VERBS)]))
def test_key_facts_are_chosen_from_much_plain_text_in_any_order(order):
    facts = facts_of("\n\n".join(order), most=12)

    assert set(KEY_FACTS) <= {fact["text"] for fact in facts}


@settings(max_examples=15, deadline=None)
@given(paragraphs)
def test_no_fact_is_chosen_twice(order):
    wording = [fact["text"].casefold().rstrip(".") for fact in facts_of("\n\n".join(order))]

    assert len(set(wording)) == len(wording)
