"""Tests the descriptions of scopes on the consent page."""

import pytest

from combine_auth.tokens.scopes import SCOPES, describe_scope


@pytest.mark.parametrize("scope", SCOPES)
def test_every_scope_has_its_own_sentence(scope):
    words = describe_scope(scope)
    assert len(words.split()) > 2, words
    assert [other for other in SCOPES if describe_scope(other) == words] == [scope]
