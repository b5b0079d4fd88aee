"""Tests that forms with files are parsed strictly."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from pyramid.request import Request
from webtest.app import TestApp

from combine_core.api.upload import is_upload, read_files, read_form
from combine_core.text import InvalidText
from combine_core.web.problems import ProblemError

contents = st.text(st.characters(exclude_categories=["Cs"]))


def form(body: bytes, media_type: str = "multipart/form-data; boundary=b") -> Request:
    return Request.blank("/", method="POST", body=body, content_type=media_type)


@given(contents, st.text(st.characters(exclude_categories=["Cs"])))
def test_forms_of_real_clients_are_parsed(text, name):
    client = TestApp(None)
    media_type, body = client.encode_multipart(
        [("name", name)], [("file", "notes.md", text.encode())]
    )
    request = form(body, media_type)
    assert is_upload(request)
    found, file = read_form(request)
    assert (found, file.name, file.data) == (name, "notes.md", text.encode())


@given(st.lists(st.binary(max_size=20) | st.sampled_from([b"--b", b"\r\n", b"--"])).map(b"".join))
def test_any_form_is_parsed_or_rejected(body):
    with contextlib.suppress(ProblemError, InvalidText):
        read_form(form(body))
    with contextlib.suppress(ProblemError, InvalidText):
        read_files(form(body))
