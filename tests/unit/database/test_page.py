"""Cursors are opaque, and rubbish is told from them."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from combine_core.database.page import InvalidCursor, decode_cursor, encode_cursor


@given(st.uuids())
def test_round_trip(key: uuid.UUID) -> None:
    assert decode_cursor(encode_cursor(key)) == key


@given(st.text(max_size=40))
def test_rubbish_is_an_invalid_cursor_and_nothing_else(cursor: str) -> None:
    try:
        decode_cursor(cursor)
    except InvalidCursor:
        return


@pytest.mark.parametrize("cursor", ["", "a", "%00", "=" * 22, "é"])
def test_known_rubbish(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(cursor)
