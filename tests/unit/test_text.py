"""Tests which texts are accepted, and the errors for others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from combine_core.projects.service import SLUG_PATTERN, slugify
from combine_core.sources import UnsupportedFile, read_upload
from combine_core.text import InvalidText, clean_name, clean_text, is_storable


@pytest.mark.parametrize("sign", ["\u202a", "\u202e", "\u2066", "\u2069"])
def test_a_name_turns_no_text_around(sign: str) -> None:
    assert clean_name(f" {sign} fdp{sign}.exe ") == "fdp.exe"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "  ",
        "\u200b",
        "\u200b \U000e0041",
        "\u0301",
        "\u2800",
        "a\nb",
        "a\0b",
        "\ud800",
        "x" * 201,
        "\x07",
    ],
)
def test_invalid_names_are_rejected(name: str) -> None:
    with pytest.raises(InvalidText):
        clean_name(name)


@pytest.mark.parametrize(
    ("name", "kept"),
    [(" a ", "a"), ("e\u0301", "é"), ("Über 5 €", "Über 5 €"), ("日本", "日本")],
)
def test_valid_names_are_accepted(name: str, kept: str) -> None:
    assert clean_name(name) == kept


@given(st.text())
def test_a_clean_name_can_be_stored(name: str) -> None:
    try:
        kept = clean_name(name)
    except InvalidText:
        return
    assert "\0" not in kept
    assert kept.encode()
    assert clean_name(kept) == kept


def test_line_endings_are_normalized() -> None:
    assert clean_text("\ufeffa\r\nb\rc\n", "text", max_bytes=100) == "a\nb\nc\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("a\0", "NUL"),
        ("\udc00", "surrogate"),
        ("é" * 51, "102 bytes"),
    ],
)
def test_invalid_texts_are_rejected(text: str, why: str) -> None:
    with pytest.raises(InvalidText, match=why):
        clean_text(text, "text", max_bytes=100)


@pytest.mark.parametrize(
    ("filename", "data", "why"),
    [
        ("a.md", bytes(range(256)) * 9, "in no encoding"),
        ("a.txt", b"\xff\xfea", "in no encoding"),
        ("a.pdf", b"text", "no PDF"),
    ],
)
def test_unreadable_files_are_rejected_with_the_reason(
    filename: str, data: bytes, why: str
) -> None:
    with pytest.raises(InvalidText, match=why):
        read_upload(filename, data)


@pytest.mark.parametrize("filename", ["a.exe", "md", "", ".md.exe", "a.md\0.exe"])
def test_other_files_are_rejected(filename: str) -> None:
    with pytest.raises(UnsupportedFile):
        read_upload(filename, b"text")


@pytest.mark.parametrize(
    ("value", "storable"),
    [
        ({"a": ["a\\u0000b", "\\"]}, True),
        ({"a": "\0"}, False),
        ({"a": "\\\0"}, False),
        ({"\0": 1}, False),
        (["\ud800"], False),
    ],
)
def test_json_without_nul_and_surrogates_is_storable(value: object, storable: bool) -> None:
    assert is_storable(value) is storable


@given(st.text())
def test_a_slug_fits_its_pattern(name: str) -> None:
    import re

    assert re.fullmatch(SLUG_PATTERN, slugify(name))
