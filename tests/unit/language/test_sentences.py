"""Tests where sentences end in wrapped prose, notes and transcripts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from combine_core.language import language_of, plain_text, sentence_spans


def texts(text: str) -> list[str]:
    return [
        plain_text(text[start:end])
        for start, end in sentence_spans(text, 0, len(text), language_of(text))
    ]


def test_wrapped_prose_is_joined() -> None:
    text = (
        "The committee met in the large hall and talked about the budget of the\n"
        "Harbour Authority for a long time. Nobody objected to the plan that had been\n"
        "drawn up."
    )
    assert texts(text) == [
        "The committee met in the large hall and talked about the budget of the Harbour Authority "
        "for a long time.",
        "Nobody objected to the plan that had been drawn up.",
    ]


def test_a_wrapped_line_may_start_with_code_or_a_slash() -> None:
    text = (
        "The label is `openshift-monitoring/k8s` for pods such as `prometheus-k8s-0`\n"
        "/ `prometheus-k8s-1` and the job label is the name of the service, unless\n"
        "`jobLabel` is set."
    )
    assert len(texts(text)) == 1


def test_a_long_address_does_not_end_the_other_lines() -> None:
    text = (
        "We [talked](https://example.org/a/very/long/address/that/makes/this/line/longer/than/the/others)\n"
        "about the plan to find a way to solve the problem of lifetimes for impl\n"
        "Trait in the next week."
    )
    assert len(texts(text)) == 1


def test_notes_on_separate_lines_stay_separate() -> None:
    text = "Budget 20k EUR\nKickoff with Bosch on Monday\nAnna: the venue is booked"
    assert texts(text) == text.split("\n")


@pytest.mark.parametrize(
    "sentence",
    [
        "Dr. Smith pays approx. 3.5 Mio. EUR, e.g. for hosting.",
        "Am 3. Mai 2026 und bis zum 1. Oktober wird z. B. die Fa. Bosch nicht liefern.",
        "Der stellv. Vorsitzende kauft einen Tresor.",
        "Wir treffen uns am 3. Donnerstag im Monat.",
        "Der 1. Vorsitzende kauft einen Tresor, und die Wahl war am 3. Mai.",
        "Die Chips haben in der 2. und 3. Zeile andere Buchstaben.",
        "Die Server stehen bei 1. Hetzner in Falkenstein, 2. Anna im Keller.",
        "See `a. B? c!` and ../x/README.md at https://a.example/b.c?d here.",
        "Zu den Wahlen bzgl. der Satzung wurde nichts gesagt.",
    ],
)
def test_abbreviations_dates_and_code_do_not_end_a_sentence(sentence: str) -> None:
    assert texts(f"{sentence} Das ist gut.")[0] == plain_text(sentence)


def test_a_backslash_ends_a_line() -> None:
    written = "Wir stimmen über den Antrag ab\\\nDafür sind drei\\\nDer Antrag ist angenommen."
    assert texts(written) == [
        "Wir stimmen über den Antrag ab",
        "Dafür sind drei",
        "Der Antrag ist angenommen.",
    ]
    assert plain_text(written).count("\\") == 0


def test_windows_line_endings_are_accepted() -> None:
    assert texts("One is here.\r\nTwo is\r\nthere.\r\n") == ["One is here.", "Two is there."]


@pytest.mark.parametrize("blank", ["\u00a0", "\x0c", "\u3000", "\r"])
def test_a_line_of_other_white_space_is_accepted(blank: str) -> None:
    line = "A line that is full of words goes on and on until its end"
    assert texts(f"{line}\n{blank}\nThe pump is red.\n")[-1].endswith("The pump is red.")


def test_a_giant_line_is_one_sentence() -> None:
    assert len(texts("word " * 1000)) == 1


def test_the_month_of_may_ends_a_sentence() -> None:
    assert texts("The permit ends in May. Neighbours complained.") == [
        "The permit ends in May.",
        "Neighbours complained.",
    ]
    assert texts("We met on 3 May. 2026 is long.")[0] == "We met on 3 May."


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("**Send** the _report_", "Send the report"),
        ("see [the plan](https://example.org/a) now", "see the plan now"),
        ("we ~~agreed~~ met <!-- not --> today", "we met today"),
        ("> quoted\n> words", "quoted words"),
        ("- [x] done", "done"),
        ("snake_case stays", "snake_case stays"),
        ("a | b", "a ; b"),
        ("run `a_b | c * d` on `*.log`", "run a_b | c * d on *.log"),
        ("above 14.4 * 0.01, or a || b", "above 14.4 * 0.01, or a || b"),
        (
            r"Kassenprüfer\*innen zahlen \[15%\] in 2025\.",
            "Kassenprüfer*innen zahlen [15%] in 2025.",
        ),
        ("Haus&nbsp;e.V. &amp; Co<br />in <b>Ulm</b>", "Haus e.V. & Co in Ulm"),
        ("ask the [build team][] or the [vendor][1]", "ask the build team or the vendor"),
        ("the list<T> of x[0][1]", "the list<T> of x[0][1]"),
        ("die **Schatzmeister*in** geht", "die Schatzmeister*in geht"),
    ],
)
def test_plain_text_is_split(marked: str, plain: str) -> None:
    assert plain_text(marked) == plain


FRAGMENTS = st.sampled_from(
    [
        "Anna pays 5 EUR.",
        "Wer zahlt?",
        "> ",
        "\n",
        "\n\n",
        "\r\n",
        "\t",
        "1. ",
        "`x. y`",
        "z. B. ",
        "…",
        "\u2028",
        "\u00a0\n",
        "\x0c\n",
        "a line that is full of words goes on and on until its end\n",
        "今天天气很好。",
        "é",
    ]
)


@given(st.lists(FRAGMENTS | st.text(max_size=20), max_size=25).map("".join))
def test_sentences_are_in_order_and_trimmed(text: str) -> None:
    behind = 0
    for start, end in sentence_spans(text, 0, len(text), language_of(text)):
        assert behind <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
        behind = end


@pytest.mark.parametrize(
    "text",
    [
        "It is open approx. five days.",
        "Das kostet ca. 5 Mio. Euro.",
        "Run `a.sh. Then` it.",
        "See https://example.org/a.html?b=c!D for it.",
        "Take ./This and ../That.",
        "Das gilt z. B. Montag, z.B. Dienstag.",
        "Es gilt Art. 5 und No. 7.",
        "Am 3.Mai ist es so weit.",
        "It belongs to Intl.NumberFormat and os.path there.",
    ],
)
def test_a_full_stop_in_an_abbreviation_ends_no_sentence(text: str) -> None:
    assert len(texts(text)) == 1


def test_a_sentence_that_starts_in_a_wrapped_line_continues() -> None:
    text = (
        "The label can locate the monitor that configures the server to scrape the target of the\n"
        "service in the namespace. For\n`ServiceMonitor`, the label is its name."
    )
    assert texts(text)[1] == "For ServiceMonitor, the label is its name."


def test_a_number_at_the_start_of_a_line_is_kept() -> None:
    assert plain_text("- 3.13rc1 is out") == "3.13rc1 is out"
    assert plain_text("-5 degrees") == "-5 degrees"
    assert plain_text("3. It is out") == "It is out"
