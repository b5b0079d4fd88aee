"""Sentences are found with their exact lines and quotes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from combine_core.llm.extract.sentences import MAX_SENTENCE, find_sentences


def texts(material: str) -> list[str]:
    return [sentence.text for sentence in find_sentences(material)]


def stands_there(material: str, sentence) -> bool:
    lines = material.split("\n")[sentence.line_from - 1 : sentence.line_to]
    return sentence.quote in "\n".join(lines)


def test_each_sentence_knows_its_line():
    material = "# Title\n\nFirst one. Second one!\n\n- an item here\n- Is this one?\n"

    found = [(s.line_from, s.line_to, s.quote, s.form) for s in find_sentences(material)]

    assert found == [
        (1, 1, "Title", "heading"),
        (3, 3, "First one.", "paragraph"),
        (3, 3, "Second one!", "paragraph"),
        (5, 5, "an item here", "item"),
        (6, 6, "Is this one?", "item"),
    ]


def test_wrapped_prose_is_joined_and_quoted_as_it_stands():
    material = (
        "The committee met in the large hall and talked about the budget of the\n"
        "Harbour Authority for a long time. Nobody objected to the plan that had been\n"
        "drawn up."
    )

    first, second = find_sentences(material)

    assert first.text == (
        "The committee met in the large hall and talked about the budget of the Harbour Authority "
        "for a long time."
    )
    assert (first.line_from, first.line_to) == (1, 2)
    assert first.quote.count("\n") == 1
    assert (second.line_from, second.line_to) == (2, 3)
    assert all(stands_there(material, sentence) for sentence in (first, second))


def test_a_line_without_words_keeps_the_numbers_of_the_lines_after_it():
    """U+2028 alone on a line: no empty line for Markdown, and white space for Python."""
    (first, second) = find_sentences("Anna pays 5 EUR.\n\u2028\nAnna pays 5 EUR.")

    assert (first.line_from, second.line_from, second.line_to) == (1, 3, 3)


def test_notes_of_one_thought_a_line_stay_apart():
    material = "Budget 20k EUR\nKickoff with Bosch on Monday\nAnna: the venue is booked"

    assert texts(material) == material.split("\n")


def test_speakers_of_a_transcript_stay_apart():
    material = (
        "Anna: I think that we need much more time for this particular piece of work\n"
        "Bob: That is what everybody here has been saying for the last three weeks now"
    )

    assert len(texts(material)) == 2


def test_abbreviations_dates_and_code_do_not_end_a_sentence():
    assert texts("Dr. Smith pays approx. 3.5 Mio. EUR, e.g. for hosting. Done.") == [
        "Dr. Smith pays approx. 3.5 Mio. EUR, e.g. for hosting.",
        "Done.",
    ]
    assert texts(
        "Am 3. Mai 2026 und bis zum 1. Oktober wird z. B. die Fa. Bosch nicht liefern."
    ) == ["Am 3. Mai 2026 und bis zum 1. Oktober wird z. B. die Fa. Bosch nicht liefern."]
    assert texts("See `a. B? c!` and ../x/README.md at https://a.example/b.c?d here. Good.") == [
        "See `a. B? c!` and ../x/README.md at https://a.example/b.c?d here.",
        "Good.",
    ]


def test_marks_of_lists_quotations_and_boxes_are_no_part_of_the_sentence():
    material = "> Quoted words stand\n> over two lines here.\n\n1. [ ] Send it\n2. [x] Done it\n   * nested"

    found = [(s.quote, s.text, s.task) for s in find_sentences(material)]

    assert found == [
        (
            "Quoted words stand\n> over two lines here.",
            "Quoted words stand over two lines here.",
            None,
        ),
        ("Send it", "Send it", "open"),
        ("Done it", "Done it", "done"),
        ("nested", "nested", None),
    ]


def test_rows_of_a_table_without_head_and_rule():
    material = "| Role | Who |\n|---|---|\n| On-call | TBD |\n| Lead | Anna |\n"

    assert [(s.line_from, s.quote) for s in find_sentences(material)] == [
        (3, "On-call | TBD"),
        (4, "Lead | Anna"),
    ]


def test_code_is_left_out_and_lines_still_count():
    material = "Before it.\n\n```bash\n# Not a sentence.\ncurl x\n```\n\nAfter it."

    assert [(s.line_from, s.text) for s in find_sentences(material)] == [
        (1, "Before it."),
        (8, "After it."),
    ]


@pytest.mark.parametrize("label", ["## Next steps\n\n", "**Next steps:**\n", "Next steps:\n\n"])
def test_a_list_knows_what_stands_above_it(label):
    *_, first, second, after = find_sentences(f"{label}- one thing\n- another thing\n\nAfter that.")

    assert "Next steps" in first.lead
    assert first.lead == second.lead
    assert after.lead == ""


def test_windows_line_ends():
    material = "One is here.\r\nTwo is\r\nthere.\r\n\r\n- three it is\r\n"

    found = list(find_sentences(material))

    assert [s.text for s in found] == ["One is here.", "Two is there.", "three it is"]
    assert [(s.line_from, s.line_to) for s in found] == [(1, 1), (2, 3), (5, 5)]
    assert all(stands_there(material, sentence) for sentence in found)


def test_a_giant_line_is_cut_between_words():
    material = "word " * 1000

    found = list(find_sentences(material))

    assert all(len(sentence.text) <= MAX_SENTENCE for sentence in found)
    assert " ".join(sentence.text for sentence in found).split() == material.split()


def test_what_cannot_be_stored_is_not_quoted():
    assert texts("Half a \ud800 pair. A \0 byte. All is well.") == ["All is well."]


@pytest.mark.parametrize("material", ["", "\n", " \n\t\n", "```\n", "# ", "- ", "> ", "\r"])
def test_nothing_to_find(material):
    assert texts(material) == []


FRAGMENTS = st.sampled_from(
    [
        "Anna pays 5 EUR.", "Wer zahlt?", "- ", "* [ ] ", "> ", "# ", "```\n", "| a | b |", "|-|-|",
        "\n", "\n\n", "\r\n", "\r", "\t", "    ", " ", "1. ", "`x. y`", "**bold:**", "z. B. ", "…",
        "\u2028", "\x0b", "\u202e", "\0", "\ud800", "今天天气很好。", "e\u0301", "🎉", "&amp;", "\\", "<p>",
    ]
)  # fmt: skip


@given(st.lists(FRAGMENTS | st.text(max_size=20), max_size=25).map("".join))
def test_every_quote_stands_literally_in_its_lines(material):
    positions = []
    for sentence in find_sentences(material):
        assert 1 <= sentence.line_from <= sentence.line_to <= material.count("\n") + 1
        assert stands_there(material, sentence)
        assert sentence.text
        assert "\n" not in sentence.text
        positions.append(sentence.line_from)
    assert positions == sorted(positions)
