"""Tests that log lines contain no secret in any form."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from combine_core.settings.redaction import LogRedactor


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("postgresql://combine:canary@db/x", "postgresql://***@db/x"),
        (
            "to postgresql+psycopg2://u:ca/n@a#ry@db:5432/x.",
            "to postgresql+psycopg2://***@db:5432/x.",
        ),
        (
            "https://canary@host/path and http://a:canary@b",
            "https://***@host/path and http://***@b",
        ),
        ("connect: host=db password=canary user=x", "connect: host=db password=*** user=x"),
        ("password = 'can ary' host=db", "password = *** host=db"),
        ("Authorization: Bearer canary-canary", "Authorization: Bearer ***"),
        ("authorization: basic Y2FuYXJ5Og==", "authorization: basic ***"),
        ("token cmb_pat_canary123 refused", "token cmb_pat_*** refused"),
        ("GET https://combine.example.com/a?b=c 200", "GET https://combine.example.com/a?b=c 200"),
        (
            "GET https://hooks.example/?a=b&access_token=canary&c=d 200",
            "GET https://hooks.example/?a=b&access_token=***&c=d 200",
        ),
        ("mail to jane@example.com", "mail to jane@example.com"),
        ("the password is wrong", "the password is wrong"),
        ("write postgresql://USER:PASSWORD@HOST/DB", "write postgresql://USER:PASSWORD@HOST/DB"),
        ("", ""),
    ],
)
def test_text_like_a_secret_is_masked(text, clean):
    assert LogRedactor().text(text) == clean


def test_configured_values_are_masked_in_every_form():
    secret = 'pä/ss"w\\ord\n+end'
    redactor = LogRedactor([secret])
    for form in (secret, quote(secret, safe=""), repr(secret), json.dumps(secret)):
        assert "ss" not in redactor.text(f"before {form} after"), form


def test_a_short_secret_is_masked_only_as_a_word():
    redactor = LogRedactor(["combine"])
    assert (
        redactor.text("user combine, combine_core, combined") == "user ***, combine_core, combined"
    )
    assert LogRedactor(["abc"]).text("abc") == "abc"


def test_the_longer_of_two_secrets_is_masked_completely():
    redactor = LogRedactor(["sk-ant-1234567890", "sk-ant-1234567890-more"])
    assert redactor.text("key sk-ant-1234567890-more") == "key ***"


def test_secrets_may_be_added_later():
    redactor = LogRedactor()
    redactor.add(["first-secret-1"])
    redactor.add(["second-secret-2"])
    assert redactor.text("first-secret-1 second-secret-2") == "*** ***"


class Odd:
    def __str__(self):
        return "odd sk-ant-1234567890"


def test_values_become_json():
    redactor = LogRedactor(["sk-ant-1234567890"])
    value = {
        "text": "sk-ant-1234567890",
        "sk-ant-1234567890": [1, 2.5, True, None, ("sk-ant-1234567890",)],
        "odd": Odd(),
        "nan": float("nan"),
    }
    clean = redactor.value(value)
    assert clean == {
        "text": "***",
        "***": [1, 2.5, True, None, ["***"]],
        "odd": "odd ***",
        "nan": "nan",
    }
    assert json.loads(json.dumps(clean, allow_nan=False)) == clean


@given(before=st.text(max_size=20), after=st.text(max_size=20), secret=st.text(min_size=12))
@settings(deadline=None)
def test_a_long_secret_is_always_masked(before, after, secret):
    assert secret not in LogRedactor([secret]).text(f"{before}{secret}{after}").replace("***", "\0")


def test_a_long_line_is_masked_quickly():
    # The time is linear: a backtracking pattern would not finish during a test run.
    line = "a://" * 20_000 + "password=" * 5_000 + "bearer " * 5_000
    assert LogRedactor(["x" * 40]).text(line)
