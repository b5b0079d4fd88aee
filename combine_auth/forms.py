"""Forms of our pages: what they hold, and how else nobody may reach what they change."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPMethodNotAllowed


def text_of(request: Any, field: str) -> str:
    """A field of the form; "" where there is none, or a file in its place."""
    value = request.POST.get(field, "")
    return value if isinstance(value, str) else ""


def post_only(request: Any) -> Any:  # noqa: ARG001
    """The view for other methods than POST: a link must not reach what changes something."""
    return HTTPMethodNotAllowed(headers=[("Allow", "POST")])
