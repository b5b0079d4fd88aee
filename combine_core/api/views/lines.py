"""Lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyramid.httpexceptions import HTTPNotFound

from combine_core.api.shapes import Json, show_line, show_page
from combine_core.lines import UnknownLine, find_line, list_lines

if TYPE_CHECKING:
    from pyramid.request import Request

    from combine_core.access import SignedIn


def list_(context: SignedIn, request: Request) -> Json:  # noqa: ARG001
    """GET /lines."""
    return show_page(list_lines(**request.openapi_validated.parameters.query), show_line)


def get(context: SignedIn, request: Request) -> Json:  # noqa: ARG001
    """GET /lines/{name}."""
    try:
        return show_line(find_line(request.matchdict["name"]))
    except UnknownLine as error:
        raise HTTPNotFound from error
