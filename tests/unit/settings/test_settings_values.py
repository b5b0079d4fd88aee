"""Numbers, sizes, switches, names: nothing is guessed."""

from contextlib import suppress
from enum import StrEnum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from combine_core.settings.declaration import Unusable
from combine_core.settings.values import one_of, one_word, size, switch, whole, words


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("007", 7), ("500", 500)])
def test_whole_numbers(text, number):
    assert whole(1, 500)(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "x", "5.0", "5,0", "1_000", "+5", "0x10", "\u0665", "1e3", " 5", "5 ", "--5", "9" * 5000],
)
def test_no_whole_numbers(text):
    with pytest.raises(Unusable, match="not a whole number"):
        whole(1, 500)(text)


@pytest.mark.parametrize("text", ["0", "501", "-5", "999999999999999"])
def test_whole_numbers_out_of_range(text):
    with pytest.raises(Unusable) as raised:
        whole(1, 500)(text)
    (finding,) = raised.value.findings
    assert finding.what == "is out of range"
    assert finding.remedy == "write a whole number from 1 to 500"


@pytest.mark.parametrize(
    ("text", "number"),
    [("1024", 1024), ("1k", 1024), ("10m", 10 * 1024**2), ("10M", 10 * 1024**2), ("2K", 2048)],
)
def test_sizes(text, number):
    assert size(1024, 1024**3)(text) == number


@pytest.mark.parametrize("text", ["", "10mb", "10 m", "1.5m", "m", "-1k", "10g", "1e6"])
def test_no_sizes(text):
    with pytest.raises(Unusable, match="not a size"):
        size(1024, 1024**3)(text)


@pytest.mark.parametrize("text", ["1023", "0", "1025m"])
def test_sizes_out_of_range(text):
    with pytest.raises(Unusable) as raised:
        size(1024, 1024**3)(text)
    assert "write 1k to 1024m" in raised.value.findings[0].remedy


@pytest.mark.parametrize("text", ["true", "True", "yes", "ON", "1"])
def test_on(text):
    assert switch(text) is True


@pytest.mark.parametrize("text", ["false", "FALSE", "no", "off", "0"])
def test_off(text):
    assert switch(text) is False


@pytest.mark.parametrize("text", ["", "t", "maybe", "2", "tru e", "enabled"])
def test_neither(text):
    with pytest.raises(Unusable, match="neither true nor false"):
        switch(text)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def test_names():
    assert one_of(Colour)("red") is Colour.RED
    assert one_of(Colour, any_case=True)("BLUE") is Colour.BLUE
    with pytest.raises(Unusable, match="none of red, blue"):
        one_of(Colour)("Red")


@pytest.mark.parametrize("text", ["a b", "a\tb", "a\u00a0b"])
def test_more_than_one_word(text):
    with pytest.raises(Unusable):
        one_word(text)


@pytest.mark.parametrize("text", ['["a", "b"]', "(a b)", "{a}"])
def test_no_brackets_around_a_list(text):
    with pytest.raises(Unusable, match="in brackets"):
        words(text)


def test_words():
    assert words(" a, b\n c ,,d") == ("a", "b", "c", "d")


@given(st.text())
@settings(deadline=None)
def test_nothing_but_unusable_is_raised(text):
    for parse in (whole(0, 9), size(1, 9), switch, one_of(Colour), one_word):
        with suppress(Unusable):
            parse(text)
