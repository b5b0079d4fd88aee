"""Tests that all requests have one class, with the attributes that add-ons add."""

from __future__ import annotations

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from webtest import TestApp


class OwnRequest(Request):
    own = "own"


def own_function(environ):
    return OwnRequest(environ)


@pytest.mark.parametrize("factory", [None, OwnRequest, own_function])
def test_requests_have_the_added_attributes(factory):
    seen, made = [], []

    def show(request):
        seen.append(request)
        # A reified property is computed once for each request and not stored in the class.
        assert request.number is request.number
        request.settable = f"{request.settable}, set"
        words = [getattr(request, "own", "-"), request.hello("Ada"), request.settable]
        if "inner" not in request.params:
            inner = Request.blank(f"{request.path}?inner=1")
            words.append(request.invoke_subrequest(inner).text)
        return Response(" ".join(words))

    with Configurator(request_factory=factory) as config:
        config.include("combine_core.web")
        config.add_request_method(lambda _: made.append(1) or len(made), "number", reify=True)
        config.add_request_method(lambda _: "default", "settable", property=True)
        config.add_request_method(lambda _, name: f"Hello {name}", "hello")
        config.add_route("show", "/")
        config.add_view(show, route_name="show")
        app = TestApp(config.make_wsgi_app())
    own = "own" if factory else "-"
    text = f"{own} Hello Ada default, set"
    for _ in range(2):
        assert app.get("/").text == f"{text} - Hello Ada default, set"
    outer = [type(request) for request in seen[::2]]
    assert len(made) == 4
    assert all(issubclass(one, OwnRequest if factory else Request) for one in outer)
    assert (outer[0] is outer[1]) == (factory is not own_function)
