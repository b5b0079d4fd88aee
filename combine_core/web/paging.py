"""Formats a page of a list for the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

from pyramid.request import Request

from combine_core.database import Page

Thing = TypeVar("Thing")


def show_page(
    request: Request, page: Page[Thing], show: Callable[[Thing], dict[str, Any]]
) -> dict[str, Any]:
    """Return the items and the cursor of the next page, and set the ``Link`` header (RFC 8288)."""
    if page.next is not None:
        query = urlencode({**request.GET, "cursor": page.next})
        request.response.headers["Link"] = f'<{request.path}?{query}>; rel="next"'
    return {"items": [show(item) for item in page.items], "next": page.next}
