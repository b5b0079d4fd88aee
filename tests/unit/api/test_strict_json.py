"""Tests that JSON is parsed strictly."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from combine_core.api.strict_json import read_json
from combine_core.web.problems import ProblemError

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**90), 10**90)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values)
def test_valid_json_is_parsed(value):
    assert read_json(json.dumps(value).encode()) == value
    assert read_json(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary())
def test_any_text_is_parsed_or_rejected(body):
    status = 200
    try:
        read_json(body)
    except ProblemError as error:
        status = error.status
    assert status in {200, 400, 422}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"a": 1, "a": 1}', 422),
        (b'[{"b": {"a": 1, "a": 2}}]', 422),
        (b"NaN", 422),
        (b"[-Infinity]", 422),
        (b"1e999", 422),
        (b"-1e999", 422),
        (b"1" * 5000, 422),
        (b"[" + b"1," * 10_000 + b"1]", 422),
        (b"\xff", 400),
        (b'"\xed\xa0\x80"', 400),
        (b"\xef\xbb\xbf1", 400),
        (b"", 400),
        (b"01", 400),
        (b"[1,]", 400),
        (b"'a'", 400),
        (b'"\x00"', 400),
        (b"[" * 200_000, 400),
    ],
)
def test_invalid_json_is_rejected(body, status):
    with pytest.raises(ProblemError) as refused:
        read_json(body)
    assert refused.value.status == status
    assert len(str(refused.value.errors)) < 300


def test_the_position_of_the_error_is_named():
    with pytest.raises(ProblemError, match="line 2, column 3"):
        read_json(b"{\n  a: 1}")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (rb'"\ud800"', ""),
        (rb'{"a": [1, "x\udfff"]}', "a/1"),
        (rb'{"a": {"\ud83d": 1}}', "a/?"),
    ],
)
def test_an_incomplete_character_is_rejected(body, field):
    with pytest.raises(ProblemError) as raised:
        read_json(body)
    assert raised.value.status == 422
    assert raised.value.errors[0].field == field
    assert read_json(rb'"\ud83d\ude00"') == "\U0001f600"
