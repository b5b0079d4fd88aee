"""Tests which requests come from this machine."""

import pytest
from pyramid.testing import DummyRequest

from combine_auth.sign_in.views import not_local_reason

HERE = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8000"}


def why_not(**environ):
    request = DummyRequest()
    request.environ = {**HERE, **environ}
    return not_local_reason(request)


def test_local_requests_are_recognized():
    assert why_not() is None


@pytest.mark.parametrize("key", sorted(HERE))
def test_a_missing_address_is_not_local(key):
    request = DummyRequest()
    request.environ = {name: value for name, value in HERE.items() if name != key}
    assert not_local_reason(request) is not None


def test_an_empty_host_is_not_local():
    assert why_not(HTTP_HOST="") == "This request was not for localhost."


@pytest.mark.parametrize(
    "name",
    [
        *("FORWARDED", "VIA", "X_REAL_IP", "X_CLIENT_IP", "TRUE_CLIENT_IP", "CF_CONNECTING_IP"),
        *("X_FORWARDED_FOR", "X_FORWARDED_HOST", "X_FORWARDED_PROTO", "X_FORWARDED_PREFIX"),
    ],
)
def test_requests_through_a_proxy_are_not_local(name):
    assert why_not(**{f"HTTP_{name}": ""}) == "This request came through a proxy."
