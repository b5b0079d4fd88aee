"""Tests the comparison of two texts."""

from hypothesis import given
from hypothesis import strategies as st

from combine_core.sources import compare_texts

lines = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=12).map("\n".join)


@given(lines, lines)
def test_each_line_is_at_its_position(old, new):
    before, after = (text.removesuffix("\n").split("\n") for text in (old, new))
    found = compare_texts(old, new)
    shown = [line for passage in found.passages for line in passage]
    for line in shown:
        assert line.old is None or before[line.old - 1] == line.text
        assert line.new is None or after[line.new - 1] == line.text
    removed = {line.old for line in shown if line.new is None}
    added = {line.new for line in shown if line.old is None}
    assert (len(removed), len(added)) == (found.removed, found.added)
    # All other lines are the same in both texts.
    assert [text for number, text in enumerate(before, 1) if number not in removed] == [
        text for number, text in enumerate(after, 1) if number not in added
    ]
    assert all(any(None in (line.old, line.new) for line in passage) for passage in found.passages)


def test_a_passage_has_two_lines_of_context():
    old = "\n".join(map(str, range(20)))
    found = compare_texts(old, old.replace("\n9\n", "\nnine\n"))
    [passage] = found.passages
    assert [(line.old, line.new) for line in passage] == [
        (8, 8),
        (9, 9),
        (10, None),
        (None, 10),
        (11, 11),
        (12, 12),
    ]


def test_a_final_line_break_is_not_a_line():
    assert compare_texts("a\nb\n", "a\nb").passages == []
    assert compare_texts("a\n", "a\nb\n").added == 1
