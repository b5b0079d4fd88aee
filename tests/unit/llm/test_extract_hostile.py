"""Large and strange sources are worked through in bounded time and memory."""

import json
import random
import time

import pytest

from combine_core.lines import find_line
from combine_core.llm import CompletionRequest, Material
from combine_core.llm.extract import ExtractProvider, items

SIZE = 100_000


def facts_of(text):
    schema = find_line("brief").step("facts").answer_schema
    request = CompletionRequest(
        "extract", "", "", schema, 1, 600, (Material("S1", "id", "n", text),)
    )
    return json.loads(ExtractProvider().complete(request).text)["facts"]


def notes(lines, seed=1):
    """Lines of prose and of lists, of words that seldom repeat."""
    dice = random.Random(seed)
    words = [
        "".join(dice.choices("abcdefghijklmnoprstuvw", k=dice.randint(3, 9))) for _ in range(9000)
    ]
    words += ["the", "of", "is", "must", "decided", "300 EUR", "open question"] * 100
    written = []
    for number in range(lines):
        sentence = " ".join(dice.choices(words, k=8)).capitalize()
        mark = ("", "", "- ", "- ", "> ")[number % 5]
        written.append("" if number % 10 == 0 else f"{mark}{sentence}.")
    return "\n".join(written)


STRANGE = {
    "one giant line": "word " * (SIZE // 5),
    "one giant word": "x" * SIZE,
    "lines that go on": "word word\n" * (SIZE // 10),
    "the same line": "Hello world is here.\r\n" * (SIZE // 22),
    "full stops": "a. " * (SIZE // 3),
    "spaces": " " * SIZE,
    "figures": "1 " * (SIZE // 2),
    "commas": "1," * (SIZE // 2),
    "question marks": "?" * SIZE,
    "brackets": "[(" * (SIZE // 2),
    "ticks": "`a" * (SIZE // 2),
    "addresses": "http://" * (SIZE // 7),
    "dots": "./" * (SIZE // 2),
    "stars": "*" * SIZE,
    "colons": "a:" * (SIZE // 2),
    "pipes": "|" * SIZE,
    "table": "|a|b|\n|-|-|\n" + "|x y|z w|\n" * (SIZE // 10),
    "quotations": ">" * SIZE,
    "nested quotations": "".join(f"{'> ' * (n % 40)}- line {n} is here\n" for n in range(3000)),
    "nested lists": "".join(f"{'  ' * (n % 40)}- line {n} is here\n" for n in range(3000)),
    "fences": "```\n" * (SIZE // 4),
    "headings": "# Is this one?\n" * (SIZE // 15),
    "no spaces": "今天天气很好。我们决定购买。" * (SIZE // 14),
    "right to left": "\u202e\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd. " * (SIZE // 18),
    "accents": "a\u0301\u0302\u0303 b\u0301 word. " * (SIZE // 14),
    "separators": "One is here\u2028Two is here\u2029" * (SIZE // 24),
    "nul": "\0" * SIZE,
}


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_strange_sources_do_no_harm(text):
    began = time.process_time()

    facts = facts_of(text)

    # Milliseconds where the time grows with the size; minutes where it grows with its square.
    assert time.process_time() - began < 5
    lines = text.split("\n")
    for fact in facts:
        for evidence in fact["evidence"]:
            there = "\n".join(lines[evidence["line_from"] - 1 : evidence["line_to"]])
            assert evidence["quote"] in there


def test_time_grows_with_the_size():
    small, large = notes(1_500), notes(12_000, seed=2)
    facts_of(small)

    began = time.process_time()
    facts_of(small)
    between = time.process_time()
    facts_of(large)
    ended = time.process_time()

    # Eight times the text; its square would be sixty-four times the time.
    assert ended - between < 24 * (between - began)


@pytest.fixture
def few_items(monkeypatch):
    monkeypatch.setattr(items, "MAX_ITEMS", 500)


@pytest.mark.usefixtures("few_items")
def test_the_most_telling_sentences_of_a_large_source_are_kept():
    text = notes(4_000) + "\n\nWe agreed to pay 5,000 EUR by Friday.\n\n" + notes(4_000, seed=3)

    found = items.items_of_materials([Material("S1", "id", "n", text)], lambda: None)

    assert len(found) == 500
    assert "We agreed to pay 5,000 EUR by Friday." in [item.text for item in found]


@pytest.mark.usefixtures("few_items")
def test_figures_do_not_crowd_out_what_is_to_be_done():
    figures = "\n\n".join(f"The pump in hall {n} ran for {n} hours." for n in range(2, 3_000))
    text = f"{figures}\n\n## Action items\n\n- Order the seal\n"

    found = items.items_of_materials([Material("S1", "id", "n", text)], lambda: None)

    assert len(found) == 500
    assert found[-1].text == "Order the seal"


def test_the_same_sentence_is_one_item_with_each_of_its_places():
    text = "Anna: The door is green.\n\nBen: The door is green. The door is green.\n"

    [item] = items.items_of_materials([Material("S1", "id", "n", text)], lambda: None)

    assert [evidence["line_from"] for evidence in item.evidence] == [1, 3]
    assert item.fields["speaker"] == "Anna"


def test_the_first_of_two_cells_says_what_the_second_is_about():
    text = (
        "| Term | Meaning |\n| --- | --- |\n| Pipe | A queue that is used to receive messages. |\n"
    )

    [item] = items.items_of_materials([Material("S1", "id", "n", text)], lambda: None)

    assert item.text == "Term: Pipe; Meaning: A queue that is used to receive messages."


def test_the_same_decision_on_two_matters_is_two_decisions():
    text = "".join(
        f"## {matter}\n\nVote:\n\nThe motion was approved.\n\n" for matter in ("Roof", "Door")
    )

    found = items.items_of_materials([Material("S1", "id", "n", text)], lambda: None)

    assert [item.text for item in found] == ["The motion was approved."] * 2
    assert [item.fields["heading"] for item in found] == ["Roof", "Door"]
