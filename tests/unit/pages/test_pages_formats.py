"""Tests the formats of values on pages."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from combine_core.pages.formats import count, dollars, duration, file_size, line_range, moment


def test_a_moment_is_formatted():
    east = timezone(timedelta(hours=3))
    html = str(moment(datetime(2026, 3, 1, 1, 5, 9, 123, tzinfo=east)))
    assert html == ('<time datetime="2026-02-28T22:05:09+00:00">28 Feb 2026, 22:05&nbsp;UTC</time>')


@given(st.datetimes(timezones=st.just(UTC)))
def test_moment_is_markup_of_every_time(value):
    assert moment(value).striptags().endswith("\xa0UTC")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "under 1 s"),
        (0.4, "under 1 s"),
        (1, "1 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3_600, "1 h"),
        (3_601, "1 h"),
        (90_061, "1 day 1 h"),
    ],
)
def test_a_duration_is_formatted(seconds, text):
    assert duration(seconds).replace("\xa0", " ") == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (4_194_304, "4.2 MB"),
    ],
)
def test_a_file_size_is_formatted(size, text):
    assert file_size(size).replace("\xa0", " ") == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("0.000001", "$0.000001"),
        ("0.012345", "$0.012"),
        ("0.5", "$0.50"),
        ("1234.5", "$1,234.50"),
    ],
)
def test_dollars_are_formatted(amount, text):
    assert dollars(Decimal(amount)) == text


@given(st.decimals(min_value="0.000001", max_value="99999999", places=6))
def test_spent_money_is_never_shown_as_zero(amount):
    assert Decimal(dollars(amount).lstrip("$").replace(",", "")) > 0


def test_a_count_is_formatted():
    assert count(1, "line") == "1\xa0line"
    assert count(2000, "line") == "2,000\xa0lines"
    assert count(2, "statement is", "statements are") == "2\xa0statements are"


def test_a_line_range_is_formatted():
    assert line_range(3, 3) == "line 3"
    assert line_range(3, 4) == "lines 3\N{EN DASH}4"
