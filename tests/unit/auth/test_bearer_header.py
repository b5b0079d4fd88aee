"""What counts as a bearer token in the header."""

import pytest
from pyramid.testing import DummyRequest

from combine_auth.tokens.bearer import BearerToken


@pytest.mark.parametrize(
    ("header", "presented"),
    [
        (None, None),
        ("", None),
        ("Basic YTpi", None),
        ("Bearerx", None),
        ("xBearer a", None),
        ("Bearer", ""),
        ("Bearer ", ""),
        ("Bearer a", "a"),
        ("bEaReR   a ", "a"),
        ("Bearer a b", "a b"),
        # Two headers: neither is the token.
        ("Bearer a, Bearer b", "a, Bearer b"),
        ("Bearer,Bearer b", ",Bearer b"),
        ("Basic YTpi, Bearer b", "Basic YTpi, Bearer b"),
        ("Basic YTpi,bearer", "Basic YTpi,bearer"),
    ],
)
def test_presented(header, presented):
    request = DummyRequest()
    request.environ = {} if header is None else {"HTTP_AUTHORIZATION": header}
    assert BearerToken().read_credential(request) == presented
