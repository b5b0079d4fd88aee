"""Tests which headers contain a bearer token."""

import pytest
from pyramid.testing import DummyRequest

from combine_auth.security import BearerToken


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
        # Two headers: neither counts as the token.
        ("Bearer a, Bearer b", "a, Bearer b"),
        ("Bearer,Bearer b", ",Bearer b"),
        ("Basic YTpi, Bearer b", "Basic YTpi, Bearer b"),
        ("Basic YTpi,bearer", "Basic YTpi,bearer"),
    ],
)
def test_the_token_is_read_from_the_header(header, presented):
    request = DummyRequest()
    request.environ = {} if header is None else {"HTTP_AUTHORIZATION": header}
    assert BearerToken().read_credential(request) == presented
