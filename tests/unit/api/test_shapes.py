"""Times and money as text."""

import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from combine_core.api.shapes import show_money, show_time

ZONES = st.integers(-14 * 60, 14 * 60).map(
    lambda minutes: datetime.timezone(datetime.timedelta(minutes=minutes))
)


@given(st.datetimes(datetime.datetime(1900, 1, 1), timezones=ZONES))  # noqa: DTZ001
def test_times_are_utc_and_lose_nothing(moment):
    shown = show_time(moment)
    assert shown is not None
    assert shown.endswith("Z")
    assert datetime.datetime.fromisoformat(shown) == moment


def test_no_time():
    assert show_time(None) is None


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
def test_money(amount, shown):
    assert show_money(amount) == shown
