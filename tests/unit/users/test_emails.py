"""Tests that an email address has one spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from combine_core.users import InvalidEmail, clean_email, is_reserved


@pytest.mark.parametrize(
    ("written", "clean"),
    [
        (" Ann@Example.COM. ", "Ann@example.com"),
        ("ann@xn--mnchen-3ya.de", "ann@münchen.de"),
        ("ann@MÜNCHEN.de", "ann@münchen.de"),
        ("e\u0301va@x.de", "éva@x.de"),
        ("local@localhost", "local@localhost"),
        ("a@b_c.de", "a@b_c.de"),
    ],
)
def test_an_address_has_one_spelling(written: str, clean: str) -> None:
    assert clean_email(written) == clean


@given(st.text(max_size=60))
def test_the_spelling_of_any_text_is_stable(text: str) -> None:
    try:
        clean = clean_email(f"a@{text}")
    except InvalidEmail:
        return
    assert clean_email(clean) == clean


@pytest.mark.parametrize("email", ["a@localhost", "a@x.test", "a@unverified.invalid", "a@b.LOCAL"])
def test_reserved_domains_are_recognized(email: str) -> None:
    assert is_reserved(email)
    assert not is_reserved("a@example.com")
