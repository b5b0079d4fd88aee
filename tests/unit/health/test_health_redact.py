"""Tests that no secret remains in text or data."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from combine_health.engine.redaction import DATA_TEXT_LIMIT, ITEMS_LIMIT, TEXT_LIMIT, Redactor

SECRET = "c4n4ry/p@ss word+1"
FORMS = ["c4n4ry/p@ss word+1", "c4n4ry%2Fp%40ss%20word%2B1", "c4n4ry%2Fp%40ss+word%2B1"]


def knowing(*secrets):
    redactor = Redactor()
    for secret in secrets:
        assert redactor.add(secret)
    return redactor


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("postgresql://combine:hunter22@db:5432/x refused", "postgresql://***@db:5432/x refused"),
        ("(amqp://u:a@b@c@host/)", "(amqp://***@host/)"),
        ("https://token@host and ftp://me:pw@h2", "https://***@host and ftp://***@h2"),
        ("host=db password=hunter22 user=x", "host=db password=*** user=x"),
        ("password='hun ter22' user=x", "password=*** user=x"),
        ('{"api_key": "sk-123", "n": 1}', '{"api_key": ***, "n": 1}'),
        ("DB_PASSWORD: hunter22", "DB_PASSWORD: ***"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
        ("password authentication failed for user x", "password authentication failed for user x"),
        (
            "see https://example.com/a and mail me@x.org",
            "see https://example.com/a and mail me@x.org",
        ),
        ("write postgresql://USER:PASSWORD@HOST/DB", "write postgresql://USER:PASSWORD@HOST/DB"),
        ("a\n\tb\x00c\x1b[31m", "a b?c?[31m"),
    ],
)
def test_recognizable_secrets_are_masked(text, clean):
    assert Redactor().text(text) == clean


@pytest.mark.parametrize("form", FORMS)
def test_a_registered_value_is_masked_in_each_form(form):
    assert knowing(SECRET).text(f"it was <{form}>") == "it was <***>"


def test_the_password_in_a_registered_url_is_masked():
    said = knowing("postgresql://combine:p%40ssw0rd@db/combine").text("tried p@ssw0rd, p%40ssw0rd")
    assert said == "tried ***, ***"


def test_the_repr_of_a_registered_value_is_masked():
    key = "-----BEGIN-----\nab'cd\n-----END-----"
    assert knowing(key).text(f"bad key {key!r} or {key}") == 'bad key "***" or ***'


@pytest.mark.parametrize("secret", ["", "abc"])
def test_a_value_too_short_is_rejected(secret):
    redactor = Redactor()
    assert not redactor.add(secret)
    assert redactor.text("abc abcd") == "abc abcd"


def test_the_longest_of_two_nested_secrets_is_masked_first():
    assert knowing("secret", "secret-and-more").text("x secret-and-more") == "x ***"


@given(
    st.text(min_size=4, alphabet=st.characters(codec="ascii", categories=["L", "N", "P"])),
    st.text(),
    st.text(),
    st.integers(0, 20_000),
)
def test_a_registered_value_is_always_masked(secret, before, after, padding):
    if secret in "***":
        return
    redactor = knowing(secret)
    said = redactor.text(before + "." * padding + secret + after)
    # The characters that the masking inserts (asterisks, the ellipsis) are not secret.
    assert secret not in said or secret in "?" * len(said)
    assert len(said) <= TEXT_LIMIT


def test_a_truncated_secret_is_masked():
    secret = "s" * 50 + "e" * 50
    text = "x " * 4080 + secret  # the scan ends inside the secret
    assert "sss" not in knowing(secret).text(text, limit=10_000)


def test_megabytes_are_shortened_quickly():
    for text in ("://" * 10**6, "password" * 10**6, "a" * 10**7, "@" * 10**7, "=\"'" * 10**6):
        assert len(Redactor().text(text)) <= TEXT_LIMIT


def test_data_becomes_json():
    class Odd:
        pass

    clean = Redactor().data(
        {
            "n": 1,
            "big": 10**5000,
            "f": 0.5,
            "nan": float("nan"),
            "inf": float("-inf"),
            "none": None,
            "yes": True,
            "list": [1, ("a", {"deep": {"deeper": {"deepest": 1}}})],
            "odd": Odd(),
            7: b"bytes",
            "text": "z" * 1000,
            "password": "hunter22",
            "url": "redis://:hunter22@cache/0",
            "input_tokens": 17,
        }
    )
    assert json.loads(json.dumps(clean, allow_nan=False)) == clean
    assert clean["big"] == "<int>"
    assert (clean["nan"], clean["inf"]) == ("nan", "-inf")
    assert clean["odd"] == "<Odd>"
    assert clean["7"] == "<bytes>"
    assert clean["list"][1][1]["deep"] == "<dict>"
    assert len(clean["text"]) == DATA_TEXT_LIMIT
    assert clean["password"] == "***"
    assert clean["url"] == "redis://***@cache/0"
    assert clean["input_tokens"] == 17


def test_the_total_size_of_data_is_limited():
    wide = {f"a{n}": {f"b{m}": list(range(50)) for m in range(50)} for n in range(50)}
    said = json.dumps(Redactor().data(wide))
    assert said.count(",") <= ITEMS_LIMIT
    assert Redactor().data({"n": list(range(ITEMS_LIMIT * 2))}) != {}


def test_secrets_in_keys_and_values_are_masked():
    said = json.dumps(knowing(SECRET).data({SECRET: [SECRET, {"x": SECRET}]}))
    assert "c4n4ry" not in said
