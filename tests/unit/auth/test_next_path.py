"""Tests that the page after sign-in is a path of this service."""

from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from combine_auth.sign_in.next_path import safe_next

OURS = "https://combine.example"

PIECES = st.sampled_from(
    [
        *("/", "//", "\\", "/\\", "\t", "\n", "\r", "\0", " ", "\x7f", ".", "..", "@", ":", "#"),
        *("?", "&", ";", "%", "%2f", "%2F", "%5c", "%5C", "%09", "%0d%0a", "%00", "%2e", "%25"),
        *("%252f", "%25252f", "http:", "https:", "javascript:", "data:", "evil.example", "auth"),
        *("\u2044", "\uff0f", "\u3002", "\ufeff", "\xa0", "\u2028", "\ud800", "next="),
    ]
)


def as_a_browser(address):
    """Return the origin that a browser would open (WHATWG URL: drops tab and newline, a backslash is /)."""
    for dropped in "\t\n\r":
        address = address.replace(dropped, "")
    address = address.strip("".join(map(chr, range(33))))
    address = address.replace("\\", "/")
    # More than two slashes count as two.
    if address.startswith("//"):
        address = "//" + address.lstrip("/")
    parts = urlsplit(urljoin(OURS, address))
    return f"{parts.scheme}://{parts.netloc}"


def decodings(address):
    """Return the path, and the results of decoding it once and twice."""
    for _ in range(8):
        yield address
        address = unquote(address)


@given(st.lists(PIECES | st.text(max_size=5), max_size=8).map("".join))
@example("//evil.example")
@example("/\\evil.example")
@example("/%2f/evil.example")
def test_any_path_stays_on_this_service(text):
    path = safe_next(text)
    assert path.startswith("/")
    assert path.isascii()
    assert path.isprintable()
    for form in decodings(path.partition("?")[0]):
        assert as_a_browser(form) == OURS
    assert path in {"/", text.partition("#")[0]}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/projects",
        "/projects/apollo-2/runs",
        "/projects/a%20b",
        "/projects/%C3%A4",
        "/documents/0192?format=md&x=%2F%2F",
        "/search?q=a/b?c",
        "/authors",
        "/@me",
    ],
)
def test_paths_of_the_service_are_kept(path):
    assert safe_next(path) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "projects",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "/\t/evil.example",
        "/%09/evil.example",
        "/%2f%2fevil.example",
        "/%2Fevil.example",
        "/%252fevil.example",
        "/%25252525252fevil.example",
        "/%5cevil.example",
        "/.//evil.example",
        "/a//evil.example",
        "http:evil.example",
        "https://evil.example",
        "http:///evil.example",
        "javascript:alert(1)",
        "@evil.example",
        " /projects",
        "/projects\n",
        "/a\r\nSet-Cookie: x=1",
        "/a%0d%0aSet-Cookie:%20x=1",
        "/a?b=\r\nc",
        "/a?b=\\c",
        "/a?b= c",
        "/pr\u00f6jects",
        "/\u2044evil.example",
        "/\uff0fevil.example",
        "/x" * 2500,
        "/auth/sign-in",
        "/auth/sign-in?next=/auth/sign-in",
        "/%61uth/local",
    ],
)
def test_other_addresses_become_the_home_page(text):
    assert safe_next(text) == "/"


def test_the_fragment_is_removed():
    assert safe_next("/projects#//evil.example") == "/projects"
