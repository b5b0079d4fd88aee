"""Tests the nonce and verifier of a sign-in, which are derived from its state."""

import re

import pytest

from combine_auth.sign_in.attempts import AttemptKeys

KEY = "0f3b9a7c5d1e8246a9b0c7d3e5f18264"
OLD = "1f3b9a7c5d1e8246a9b0c7d3e5f18264"


def test_nonce_and_verifier_are_of_pkce_length_and_differ():
    keys = AttemptKeys(KEY)
    secrets = keys.secrets_of("s", keys.current_id)
    for text in (secrets.nonce, secrets.verifier):
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", text)
    assert secrets.nonce != secrets.verifier
    assert secrets.verifier not in repr(secrets)


def test_the_same_state_gives_the_same_secrets():
    keys = AttemptKeys(KEY)
    assert keys.secrets_of("s", keys.current_id) == AttemptKeys(KEY).secrets_of(
        "s", keys.current_id
    )
    assert keys.secrets_of("s", keys.current_id) != keys.secrets_of("t", keys.current_id)


def test_an_old_key_is_found_by_its_id():
    before, after = AttemptKeys(OLD), AttemptKeys(KEY, [OLD])
    assert before.current_id != after.current_id
    assert after.secrets_of("s", before.current_id) == before.secrets_of("s", before.current_id)


def test_an_unknown_key_is_an_error():
    with pytest.raises(KeyError):
        AttemptKeys(KEY).secrets_of("s", AttemptKeys(OLD).current_id)


def test_the_id_does_not_reveal_the_key():
    assert AttemptKeys(KEY).current_id not in KEY
    assert re.fullmatch("[0-9a-f]{16}", AttemptKeys(KEY).current_id)
