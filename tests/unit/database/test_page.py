"""Tests that cursors are opaque and invalid ones are rejected."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from combine_core.database.page import InvalidCursor, decode_cursor, encode_cursor

names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=500)


@given(st.uuids(), names)
def test_a_cursor_survives_a_round_trip(key: uuid.UUID, name: str) -> None:
    cursor = encode_cursor(key, name)
    assert decode_cursor(cursor) == (key, name)
    assert re.fullmatch("[A-Za-z0-9_-]{22}([A-Za-z0-9_-]{4})*", cursor)
    assert len(cursor) <= 3000


@given(st.text(max_size=40))
def test_any_text_is_a_cursor_or_rejected(cursor: str) -> None:
    try:
        decode_cursor(cursor)
    except InvalidCursor:
        return


@pytest.mark.parametrize("cursor", ["", "a", "%00", "=" * 22, "é"])
def test_known_invalid_cursors_are_rejected(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(cursor)


@given(st.from_regex("[A-Za-z0-9_-]{22}([A-Za-z0-9_-]{4})*", fullmatch=True))
def test_a_well_formed_cursor_is_accepted(cursor: str) -> None:
    decode_cursor(cursor)
