"""Tests that numbers, sizes, switches, names, origins and base URLs are parsed strictly."""

from contextlib import suppress
from enum import StrEnum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from combine_core.settings.declaration import Unusable
from combine_core.settings.values import (
    base_url,
    is_loopback,
    one_of,
    one_word,
    origin,
    origins,
    size,
    switch,
    whole,
    words,
)


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("007", 7), ("500", 500)])
def test_whole_numbers_are_parsed(text, number):
    assert whole(1, 500)(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "x", "5.0", "5,0", "1_000", "+5", "0x10", "\u0665", "1e3", " 5", "5 ", "--5", "9" * 5000],
)
def test_other_texts_are_not_whole_numbers(text):
    with pytest.raises(Unusable, match="not a whole number"):
        whole(1, 500)(text)


@pytest.mark.parametrize("text", ["0", "501", "-5", "999999999999999"])
def test_whole_numbers_out_of_range_are_rejected(text):
    with pytest.raises(Unusable) as raised:
        whole(1, 500)(text)
    (finding,) = raised.value.findings
    assert finding.fault == "is out of range"
    assert finding.remedy == "write a whole number from 1 to 500"


@pytest.mark.parametrize(
    ("text", "number"),
    [("1024", 1024), ("1k", 1024), ("10m", 10 * 1024**2), ("10M", 10 * 1024**2), ("2K", 2048)],
)
def test_sizes_are_parsed(text, number):
    assert size(1024, 1024**3)(text) == number


@pytest.mark.parametrize("text", ["", "10mb", "10 m", "1.5m", "m", "-1k", "10g", "1e6"])
def test_other_texts_are_not_sizes(text):
    with pytest.raises(Unusable, match="not a size"):
        size(1024, 1024**3)(text)


@pytest.mark.parametrize("text", ["1023", "0", "1025m"])
def test_sizes_out_of_range_are_rejected(text):
    with pytest.raises(Unusable) as raised:
        size(1024, 1024**3)(text)
    assert "write 1k to 1024m" in raised.value.findings[0].remedy


@pytest.mark.parametrize("text", ["true", "True", "yes", "ON", "1"])
def test_switches_can_be_on(text):
    assert switch(text) is True


@pytest.mark.parametrize("text", ["false", "FALSE", "no", "off", "0"])
def test_switches_can_be_off(text):
    assert switch(text) is False


@pytest.mark.parametrize("text", ["", "t", "maybe", "2", "tru e", "enabled"])
def test_other_texts_are_not_switches(text):
    with pytest.raises(Unusable, match="neither true nor false"):
        switch(text)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def test_names_are_parsed():
    assert one_of(Colour)("red") is Colour.RED
    assert one_of(Colour, any_case=True)("BLUE") is Colour.BLUE
    with pytest.raises(Unusable, match="not one of red, blue"):
        one_of(Colour)("Red")


@pytest.mark.parametrize("text", ["a b", "a\tb", "a\u00a0b"])
def test_several_words_are_rejected(text):
    with pytest.raises(Unusable):
        one_word(text)


@pytest.mark.parametrize("text", ['["a", "b"]', "(a b)", "{a}"])
def test_brackets_around_a_list_are_rejected(text):
    with pytest.raises(Unusable, match="in brackets"):
        words(text)


def test_words_are_parsed():
    assert words(" a, b\n c ,,d") == ("a", "b", "c", "d")


@given(st.text())
@settings(deadline=None)
def test_no_other_error_is_raised(text):
    for parse in (whole(0, 9), size(1, 9), switch, one_of(Colour), one_word):
        with suppress(Unusable):
            parse(text)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("https://combine.example.com", "https://combine.example.com"),
        ("https://combine.example.com:8443", "https://combine.example.com:8443"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("HTTPS://Combine.Example.COM", "https://combine.example.com"),
        ("https://combine.example.com:443", "https://combine.example.com"),
        ("http://combine.example.com:80", "http://combine.example.com"),
        ("http://my_host", "http://my_host"),
    ],
)
def test_an_origin_is_normalized_like_in_browsers(text, plain):
    assert origin(text) == plain


@pytest.mark.parametrize(
    ("text", "what", "remedy"),
    [
        ("https://a.example/", "trailing slash", "write https://a.example"),
        ("https://A.example:443/", "trailing slash", "write https://a.example"),
        ("https://a.example/app", "a path", "write https://a.example"),
        ("https://a.example?x=1", "a query", "write https://a.example"),
        ("https://a.example/#x", "a fragment", "write https://a.example"),
        ("https://a.example/b?c#d", "a path and a query and a fragment", "write https://a.example"),
        ("a.example", "no scheme", "https://"),
        ("//a.example", "no scheme", "https://"),
        ("localhost:8000", "no scheme", "https://"),
        ("ftp://a.example", "not http or https", "https://"),
        ("javascript://a", "not http or https", "https://"),
        ("https://", "no host", "scheme://host"),
        ("https://:8000", "no host", "scheme://host"),
        ("https://a..b", "unusable host", "host name"),
        ("https://a!b", "unusable host", "host name"),
        ("https://münchen.example", "unusable host", "xn--mnchen-3ya.example"),
        ("https://1.2.3.4.5", "unusable host", "host name"),
        ("https://[::1", "unusable host", "scheme://host"),
        ("https://a.example:", "port", "scheme://host"),
        ("https://a.example:x", "port", "scheme://host"),
        ("https://a.example:70000", "port", "scheme://host"),
        ("https://u:p@a.example", "user name or password", "remove the part"),
        ("*", "wildcard", "scheme://host"),
        ("https://*.example.com", "wildcard", "scheme://host"),
        ("null", "null", "scheme://host"),
        ("https://a\\b", "backslash", "scheme://host"),
        ("https://a .b", "space", "scheme://host"),
    ],
)
def test_other_texts_are_not_origins(text, what, remedy):
    with pytest.raises(Unusable) as raised:
        origin(text)
    (finding,) = raised.value.findings
    assert what in finding.fault
    assert remedy in finding.remedy


def test_credentials_are_not_shown():
    with pytest.raises(Unusable) as raised:
        origin("https://canary:canary@a.example/")
    assert "canary" not in repr(raised.value.findings)


@pytest.mark.parametrize(
    "text", ["https://a.b,https://c.d", "https://a.b https://c.d", "https://a.b,\n https://c.d,"]
)
def test_a_list_of_origins_is_parsed(text):
    assert origins(text) == ("https://a.b", "https://c.d")


def test_each_invalid_entry_is_named_by_its_number():
    with pytest.raises(Unusable) as raised:
        origins("https://a.b, https://c.d/, https://e.f, *")
    assert [finding.fault for finding in raised.value.findings] == [
        "entry 2 has a trailing slash",
        "entry 4 contains a wildcard, which would allow other people's sites",
    ]


def test_an_empty_list_is_rejected():
    with pytest.raises(Unusable, match="no origin"):
        origins(", ,")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("http://localhost:11434/v1", "http://localhost:11434/v1"),
        ("https://llm.example.com/v1/", "https://llm.example.com/v1"),
        ("https://LLM.example.com", "https://llm.example.com"),
    ],
)
def test_a_base_url_is_parsed(text, plain):
    assert base_url(text) == plain


@pytest.mark.parametrize(
    "text",
    ["llm.example.com/v1", "https://a/v1?key=x", "https://a/#x", "https://k@a/v1", "file:///v1"],
)
def test_other_texts_are_not_base_urls(text):
    with pytest.raises(Unusable):
        base_url(text)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("app.localhost", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost.example.com", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("notlocalhost", False),
    ],
)
def test_loopback_is_recognized(host, expected):
    assert is_loopback(host) is expected


@given(st.text() | st.text().map(lambda t: f"https://{t}"))
@settings(deadline=None)
def test_accepted_urls_are_stable_and_others_rejected(text):
    for parse in (origin, base_url):
        with suppress(Unusable):
            plain = parse(text)
            assert parse(plain) == plain
