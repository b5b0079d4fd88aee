"""Tests that captions are read whole and once, as careless programs write them."""

from __future__ import annotations

from tests.unit.readers.shown import read, shown


def test_times_without_leading_zeros_or_fractions() -> None:
    captions = (
        "WEBVTT\n\n4f1/12-0\n0:0:0.0 --> 0:0:3.5\n<v Jane Doe>Good morning.</v>\n\n"
        "4f1/13-0\n0:0:3.540 --> 0:0:7.23 align:start\n<v Ben>Hello.</v>\n\n00:00:08 --> 00:00:09\nYes.\n"
    )
    reading = read("vtt", captions)
    assert [(block.time, block.speaker) for block in reading.blocks or ()] == [
        ("0:0:0.0", "Jane Doe"),
        ("0:0:3.540", "Ben"),
    ]
    assert [words for _, words in shown(reading)] == ["Good morning.", "Hello. Yes."]


def test_cues_without_empty_lines_numbers_or_right_times() -> None:
    captions = (
        "1\n00:00:01,000 --> 00:00:02,000\nThe pump\n2\n"
        "00:00:02,000 --> 00:00:03,000\n\nleaks\n\nsince May.\n\n"
        "00:00:0x,000 --> 00:00:04,000\nBen\nrepairs it.\n00:00:05,000 --> 00:00:06,000\nSoon.\n\n"
        "4\n\n5\n00:00:06,000 --> 00:00:07,000\nOn day\n5\n"
    )
    said = "The pump leaks since May. Ben repairs it. Soon. 4 On day 5"
    assert shown(read("srt", captions.replace("\n", "\r\n"))) == [("cue", said)]


def test_captions_that_roll_up_are_read_once() -> None:
    lines = [f"line number {number}" for number in range(8)]
    captions = "WEBVTT\nKind: captions\n\n"
    for number, (before, line) in enumerate(zip(["", *lines], lines, strict=False)):
        captions += f"00:0{number}.000 --> 00:0{number}.900\n{before or ' '}\n{line[:4]}<c>{line[4:]}</c>\n\n"
        captions += f"00:0{number}.900 --> 00:0{number}.910\n{line}\n \n\n"
    assert shown(read("vtt", captions)) == [("cue", " ".join(lines))]


def test_repeated_words_of_a_speaker_are_kept() -> None:
    captions = "".join(
        f"00:0{number}.000 --> 00:0{number}.900\n{words}\n\n"
        for number, words in enumerate(["No.", "No.", "The pump", "leaks.", "Since May.", "Yes."])
    )
    assert shown(read("srt", captions)) == [("cue", "No. No. The pump leaks. Since May. Yes.")]


def test_each_line_of_a_cue_may_name_its_speaker_and_a_label_is_none() -> None:
    captions = (
        "WEBVTT\n\nNOTE\nAnna: no\n\n00:01.000 --> 00:02.000\nAnna: Hello.\nBen: Hi.\nWell.\n\n"
        "00:03.000 --> 00:04.000\nDecision: we take oak.\n\nSTYLE\n::cue {}\n"
    )
    reading = read("vtt", captions)
    assert shown(reading) == [("cue", "Hello."), ("cue", "Hi. Well. Decision: we take oak.")]
    assert [block.speaker for block in reading.blocks or ()] == ["Anna", "Ben"]
