"""Tests that quotes, white space and placeholders are found before a value is parsed."""

import base64
import secrets

import pytest

from combine_core.settings.declaration import Kind
from combine_core.settings.values import examine


def problem_texts(raw: str, kind: Kind = Kind.WORD, *, many: bool = False) -> list[str]:
    return [finding.fault for finding in examine(raw, kind, many=many).findings]


@pytest.mark.parametrize(
    "raw",
    [
        '"value"',
        "'value'",
        "`value`",
        "\u201cvalue\u201d",
        "\u2018value\u2019",
        "\u00abvalue\u00bb",
        "\"value'",
        '""value""',
    ],
)
@pytest.mark.parametrize("kind", Kind)
def test_quotes_around_a_value_are_reported(raw, kind):
    examined = examine(raw, kind)
    assert [finding.fault for finding in examined.findings] == ["is still in quotes"]
    assert examined.text == "value"


@pytest.mark.parametrize("raw", ['"value', "value'", "\u201cvalue"])
def test_a_single_quote_is_reported(raw):
    assert problem_texts(raw) == ["has a quote at one end"]
    assert examine(raw, Kind.WORD).text == "value"
    assert problem_texts(raw, Kind.PROSE) == []


@pytest.mark.parametrize(
    "raw", [" value", "value ", "value\n", "\tvalue", "value\r\n", "\u00a0value"]
)
def test_stray_whitespace_is_reported(raw):
    examined = examine(raw, Kind.WORD)
    assert [finding.fault for finding in examined.findings] == ["has whitespace around its value"]
    assert examined.text == "value"


@pytest.mark.parametrize("raw", [" ", "\n", "\t \r\n"])
def test_a_blank_value_is_reported(raw):
    examined = examine(raw, Kind.WORD)
    assert [finding.fault for finding in examined.findings] == ["consists of whitespace"]
    assert examined.text == ""


@pytest.mark.parametrize("raw", ['""', "''", '"', '" "'])
def test_empty_quotes_are_reported(raw):
    examined = examine(raw, Kind.WORD)
    assert examined.findings
    assert examined.text == ""


def test_whitespace_and_quotes_are_both_reported():
    assert problem_texts(' "value"\n') == ["has whitespace around its value", "is still in quotes"]


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ("a\u200bb", "U+200B"),
        ("\ufeffvalue", "U+FEFF"),
        ("a\u00a0b", "U+00A0"),
        ("a\nb", "a line break"),
        ("a\tb", "a tab"),
        ("a\x00b", "U+0000"),
        ("a\x1bb", "U+001B"),
        ("a\udc80b", "not UTF-8"),
    ],
)
def test_invisible_characters_are_reported(raw, named):
    assert any(named in what for what in problem_texts(raw)), problem_texts(raw)


def test_a_list_may_have_several_lines():
    assert problem_texts("a,\n\tb", many=True) == []


def test_prose_may_contain_placeholder_words():
    assert problem_texts('Jane "JD" Doe \U0001f469\u200d\U0001f692', Kind.PROSE) == []
    assert problem_texts("TODO", Kind.PROSE) == []


PLACEHOLDERS = [
    "changeme",
    "CHANGEME",
    "change-me",
    "change_me",
    "ChangeThis",
    "replace-me",
    "your-key-here",
    "your_secret_key",
    "YOUR-CLIENT-ID",
    "<secret>",
    "[key]",
    "{key}",
    "xxx",
    "XXXXXX",
    "example",
    "example-key",
    "placeholder",
    "todo",
    "FIXME",
    "tbd",
    "None",
    "null",
    "undefined",
    "nil",
    "NaN",
    "...",
    "…",
    "---",
    "???",
    "***",
    "dummy",
    "set-me",
    "changeit",
]


@pytest.mark.parametrize("raw", [*PLACEHOLDERS, "<your key>", "TODO: ask Bob"])
@pytest.mark.parametrize("kind", [Kind.WORD, Kind.KEY])
def test_placeholders_are_reported(raw, kind):
    examined = examine(raw, kind)
    assert examined.placeholder
    assert [finding.fault for finding in examined.findings] == ["still holds a placeholder"]


INSIDE_KEYS = [
    "secret",
    "password",
    "secret-key",
    "sk-ant-xxxxxxxxxxxx",
    "sk-...",
    "changeme-changeme-changeme-changeme",
    "sk-your-key-here",
    "my-placeholder-key",
]


@pytest.mark.parametrize("raw", INSIDE_KEYS)
def test_placeholders_inside_keys_are_reported(raw):
    assert problem_texts(raw, Kind.KEY) == ["still holds a placeholder"]


REFERENCES = [
    "${SECRET_KEY}",
    "$SECRET_KEY",
    "$(key)",
    "%(SECRET_KEY)s",
    "%SECRET_KEY%",
    "{{key}}",
    "${A:-b}",
]


@pytest.mark.parametrize("raw", REFERENCES)
def test_unreplaced_references_are_reported(raw):
    assert problem_texts(raw, Kind.KEY) == ["is a reference to a variable that was not replaced"]


@pytest.mark.parametrize("raw", ["pa$x", "$ecret-but-mine", "a${B}c", "100%", "x{2}"])
def test_dollar_signs_in_values_are_accepted(raw):
    assert problem_texts(raw) == []


def test_random_keys_are_never_reported():
    for _ in range(2000):
        in_base64 = base64.b64encode(secrets.token_bytes(32)).decode()
        for key in (secrets.token_hex(32), secrets.token_urlsafe(32), in_base64):
            assert problem_texts(key, Kind.KEY) == [], key


ORDINARY = [
    "extract",
    "anthropic/claude-sonnet-4-5",
    "combine.example.com",
    "production",
    "https://example.com",
    "-1",
    "12",
]


@pytest.mark.parametrize("raw", ORDINARY)
def test_ordinary_values_are_not_reported(raw):
    assert problem_texts(raw) == []
