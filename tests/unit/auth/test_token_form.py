"""Tests the format of a token: prefix, random part, checksum."""

import re
import zlib

from hypothesis import given
from hypothesis import strategies as st

from combine_auth.tokens.format import PERSONAL

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def test_new_tokens_have_the_form_and_differ():
    tokens = {PERSONAL.new() for _ in range(200)}
    assert len(tokens) == 200
    for token in tokens:
        assert re.fullmatch("cmb_pat_[0-9A-Za-z]{36}", token)
        assert PERSONAL.is_valid(token)


def test_checksum_is_the_crc_in_base_62():
    token = PERSONAL.new()
    number = 0
    for digit in token[-6:]:
        number = number * 62 + ALPHABET.index(digit)
    assert number == zlib.crc32(token[:-6].encode())


def test_an_existing_token_is_valid():
    # The format must not change: existing tokens must keep working.
    assert PERSONAL.is_valid("cmb_pat_000000000000000000000000000000" + "1kXYIl")


@given(st.integers(8, 43), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_detected(position, character):
    token = PERSONAL.new()
    changed = token[:position] + character + token[position + 1 :]
    assert PERSONAL.is_valid(changed) is (changed == token)


@given(st.text() | st.from_regex("cmb_pat_[0-9A-Za-z]{36}", fullmatch=True))
def test_random_text_is_not_a_token(text):
    assert not PERSONAL.is_valid(text)


def test_surrounding_text_is_rejected():
    token = PERSONAL.new()
    for text in (f"{token}\n", f" {token}", f"{token} ", token.replace("cmb", "CMB")):
        assert not PERSONAL.is_valid(text)
