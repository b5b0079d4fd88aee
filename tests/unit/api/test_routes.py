"""Tests the variables of all paths."""

import pytest

from combine_core.access import PATH_VARIABLES
from combine_core.web.endpoints import VariablesPredicate

matches = VariablesPredicate(PATH_VARIABLES, None)
ID = "0199c2a2-10aa-7d21-b0f3-5c7b9d3e4f50"


@pytest.mark.parametrize(
    ("variables", "there"),
    [
        ({}, True),
        ({"slug": "harbour"}, True),
        ({"slug": "a-1-b"}, True),
        ({"slug": "harbour\n"}, False),
        ({"slug": "-a"}, False),
        ({"slug": "A"}, False),
        ({"slug": "ä"}, False),
        ({"slug": "\N{ARABIC-INDIC DIGIT FIVE}"}, False),
        ({"slug": "a\x00"}, False),
        ({"id": ID}, True),
        ({"id": ID.upper()}, False),
        ({"id": f"{{{ID}}}"}, False),
        ({"id": ID.replace("-", "")}, False),
        ({"id": ID, "number": "1"}, True),
        ({"id": ID, "number": "0"}, False),
        ({"id": ID, "number": "2147483648"}, False),
        ({"id": ID, "number": "\N{ARABIC-INDIC DIGIT FIVE}"}, False),
        ({"name": "brief"}, True),
        ({"name": "b" * 41}, False),
    ],
)
def test_path_variables_match_their_patterns(variables, there):
    assert matches({"match": variables}, None) is there
