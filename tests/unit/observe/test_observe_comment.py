"""Tests that no name can end the comment before a statement."""

import re

from hypothesis import given
from hypothesis import strategies as st
from pyramid.request import Request

from combine_core.observe.context import Work, current_work, working_at, working_on
from combine_core.observe.statements import comment_of

FORM = re.compile(r"/\* route=[A-Za-z0-9._-]{1,80} request_id=[A-Za-z0-9._-]{1,80} \*/ ")

hostile = st.text() | st.sampled_from(
    ["*/ DROP TABLE users; --", "/*", "%(name)s", "%", "a\nb", "\0", "é", ":x", "'", "x" * 500]
)


@given(hostile.filter(bool), hostile.filter(bool))
def test_no_name_ends_the_comment(route, known_as):
    assert FORM.fullmatch(comment_of(Work(None, route, known_as)))


def test_an_ordinary_comment():
    request = Request.blank("/", headers={"X-Request-ID": "abcd-1234"})
    request.matched_route = type("Route", (), {"name": "api.v1.runs"})()
    with working_on(request) as work:
        assert comment_of(work) == "/* route=api.v1.runs request_id=abcd-1234 */ "


def test_a_route_matched_later_is_named_afterwards():
    request = Request.blank("/", headers={"X-Request-ID": "abcd-1234"})
    with working_on(request) as work:
        assert comment_of(work) == "/* route=- request_id=abcd-1234 */ "
        request.matched_route = type("Route", (), {"name": "me"})()
        assert comment_of(work) == "/* route=me request_id=abcd-1234 */ "


def test_the_comment_outside_of_requests_names_the_process():
    with working_at("worker.step", "0190-step") as work:
        assert current_work() is work
        assert comment_of(work) == "/* route=worker.step request_id=0190-step */ "
    assert current_work() is None
