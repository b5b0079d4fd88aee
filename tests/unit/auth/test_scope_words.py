"""What the consent page says of each scope."""

import pytest

from combine_auth.tokens.scopes import SCOPES, in_words


@pytest.mark.parametrize("scope", SCOPES)
def test_every_scope_is_a_sentence_of_its_own(scope):
    words = in_words(scope)
    assert len(words.split()) > 2, words
    assert [other for other in SCOPES if in_words(other) == words] == [scope]
