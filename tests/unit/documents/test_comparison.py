"""Tests the comparison of two versions of a document, statement by statement."""

import itertools

import pytest

from combine_core.documents.comparison import (
    Change,
    compare_contents,
    comparison_markdown,
)


def said(text, quote="q", verdict="supported", **more):
    proof = {"source_id": "a", "line_from": 1, "line_to": 1, "quote": quote}
    return {"text": text, "evidence": [proof], "verdict": verdict, "reasons": [], **more}


OPEN = said("The harbour opens on 1 May 2027.")
PILOTS = said("The council hires two pilots.")
BUDGET = said("The budget is 40,000 euros.")


def compared(old, new):
    found = compare_contents(old, new)
    return [
        (
            [change.value for change in one.changes],
            one.old and one.old.pointer,
            one.new and one.new.pointer,
        )
        for one in found.differences
    ]


def test_equal_contents_have_no_difference():
    content = {"facts": [OPEN, PILOTS], "decisions": [OPEN]}
    found = compare_contents(content, content)
    assert (found.differences, found.unchanged) == ([], 3)
    assert set(found.counts.values()) == {0}


def test_added_and_removed_statements_are_shown():
    assert compared({"facts": [OPEN, PILOTS]}, {"facts": [OPEN, BUDGET]}) == [
        (["added"], None, "/facts/1"),
        (["removed"], "/facts/1", None),
    ]


def test_a_removed_statement_keeps_its_position():
    assert compared({"facts": [OPEN, PILOTS, BUDGET]}, {"facts": [OPEN, BUDGET]}) == [
        (["removed"], "/facts/1", None)
    ]
    changed = said("The budget is 50,000 euros.")
    assert compared({"facts": [OPEN, BUDGET]}, {"facts": [changed]}) == [
        (["removed"], "/facts/0", None),
        (["changed"], "/facts/1", "/facts/0"),
    ]


def test_changed_words_are_marked():
    new = said("The harbour opens on 3 May 2027.")
    [difference] = compare_contents({"facts": [OPEN]}, {"facts": [new]}).differences
    assert difference.changes == (Change.CHANGED,)
    assert difference.words == [
        ("same", "The harbour opens on"),
        ("removed", " 1"),
        ("added", " 3"),
        ("same", " May 2027."),
    ]


def test_another_owner_is_a_change():
    [difference] = compare_contents(
        {"steps": [said("Ask the council.", owner="Ada")]},
        {"steps": [said("Ask the council.", owner="Tom")]},
    ).differences
    assert difference.changes == (Change.CHANGED,)
    assert ("removed", " Ada") in difference.words
    assert ("added", " Tom") in difference.words


def test_moves_within_and_between_sections_are_shown():
    assert compared({"facts": [OPEN, PILOTS, BUDGET]}, {"facts": [BUDGET, OPEN, PILOTS]}) == [
        (["moved"], "/facts/2", "/facts/0")
    ]
    old, new = {"facts": [OPEN, PILOTS], "decisions": []}, {"facts": [OPEN], "decisions": [PILOTS]}
    assert compared(old, new) == [(["moved"], "/facts/1", "/decisions/0")]
    # The same statement may appear in two sections.
    both = {"facts": [OPEN], "decisions": [OPEN]}
    assert compared(both, {"facts": [], "decisions": [OPEN]}) == [(["removed"], "/facts/0", None)]


def test_changed_evidence_and_verdicts_are_shown():
    for new, change in (
        (said(OPEN["text"], quote="another"), "evidence_changed"),
        (said(OPEN["text"], verdict="unsupported"), "verdict_changed"),
    ):
        assert compared({"facts": [OPEN]}, {"facts": [new]}) == [([change], "/facts/0", "/facts/0")]


def test_a_row_without_text_is_compared_by_its_fields():
    def row(value):
        return {"label": "Budget", "value": value, "evidence": [], "verdict": "supported"}

    [difference] = compare_contents({"rows": [row("40")]}, {"rows": [row("50")]}).differences
    assert difference.changes == (Change.CHANGED,)
    assert ("added", " 50") in difference.words


@pytest.mark.parametrize("count", range(5))
def test_every_statement_is_in_the_comparison(count):
    pool = [OPEN, PILOTS, BUDGET, said("The harbour opens late."), said("Tugs cost 9 euros.")]
    for old in itertools.permutations(pool, count):
        new = pool[: 4 - count % 2]
        found = compare_contents({"facts": list(old)}, {"facts": new})
        both = found.unchanged + sum(1 for one in found.differences if one.old and one.new)
        assert both + found.counts["added"] == len(new)
        assert both + found.counts["removed"] == len(old)


def test_many_similar_statements_are_compared():
    old = [said(f"The part {n} of the harbour costs {n * 7} euros.") for n in range(500)]
    new = [said(f"The part {n} of the harbour costs {n * 7 + 1} euros.") for n in range(500)]
    found = compare_contents({"facts": old}, {"facts": new})
    assert found.counts["changed"] == 500
    assert found.counts["added"] == found.counts["moved"] == 0


def test_a_comparison_is_written_as_markdown():
    old = {"facts": [OPEN, PILOTS], "next_steps": []}
    new = {
        "facts": [said("The harbour opens on 3 May 2027.", verdict="unsupported")],
        "next_steps": [PILOTS, said("# Call | <b>Tom</b>")],
    }
    text = comparison_markdown(
        compare_contents(old, new), title="Brief: notes", old_number=1, new_number=2
    )
    assert text == (
        "# Brief: notes: version 1 to 2\n\n"
        "- **Changed, another verdict** in Facts:\n"
        "  The harbour opens on ~~1~~ **3** May 2027.\n"
        "  (verdict: supported, now unsupported)\n"
        "- **Moved** in Next steps:\n"
        "  The council hires two pilots.\n"
        "  (before: Facts)\n"
        "- **Added** in Next steps:\n"
        "  \\# Call | \\<b>Tom\\</b>\n"
    )
    same = comparison_markdown(
        compare_contents(old, old), title="Brief", old_number=1, new_number=2
    )
    assert same.endswith("The statements are the same.\n")
