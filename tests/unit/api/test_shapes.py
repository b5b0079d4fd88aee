"""Tests times and money as text."""

import datetime
import json
import uuid
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from combine_core.web.endpoints import json_bytes, json_value

ZONES = st.integers(-14 * 60, 14 * 60).map(
    lambda minutes: datetime.timezone(datetime.timedelta(minutes=minutes))
)


@given(st.datetimes(datetime.datetime(1900, 1, 1), timezones=ZONES))  # noqa: DTZ001
def test_times_are_utc_and_lose_nothing(moment):
    shown = json_value(moment)
    assert shown.endswith("Z")
    assert datetime.datetime.fromisoformat(shown) == moment


def test_nothing_else_is_turned_into_text():
    with pytest.raises(TypeError, match="bytes cannot be converted to JSON"):
        json_value(b"x")


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (Decimal(0), "0.000000"),
        (Decimal("0E-6"), "0.000000"),
        (Decimal("0.0000015"), "0.000002"),
        (Decimal("1E+3"), "1000.000000"),
        (Decimal("12345678.123456"), "12345678.123456"),
    ],
)
def test_money_is_text(amount, shown):
    assert json_value(amount) == shown


def test_json_bytes():
    moment = datetime.datetime(
        2026, 11, 23, 15, tzinfo=datetime.timezone(datetime.timedelta(hours=1))
    )
    key = uuid.UUID(int=7)
    value = {
        "at": moment,
        "cost": Decimal("0.5"),
        "id": key,
        "said": "\xe9",
        "part": orjson.Fragment(b'{"a": 1}'),
    }
    expected = {
        "at": "2026-11-23T14:00:00Z",
        "cost": "0.500000",
        "id": str(key),
        "said": "\xe9",
        "part": {"a": 1},
    }
    assert json.loads(json_bytes(value)) == expected
    # These types are unknown to orjson.
    for rare in (10**30, "\ud800"):
        assert json.loads(json_bytes({"id": key, "rare": rare})) == {"id": str(key), "rare": rare}
    with pytest.raises(TypeError):
        json_bytes({"a": b"x"})
