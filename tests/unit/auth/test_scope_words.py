"""What the consent page says of each scope."""

import pytest

from combine_auth.tokens.scopes import SCOPES, describe_scope


@pytest.mark.parametrize("scope", SCOPES)
def test_every_scope_is_a_sentence_of_its_own(scope):
    words = describe_scope(scope)
    assert len(words.split()) > 2, words
    assert [other for other in SCOPES if describe_scope(other) == words] == [scope]
