"""Who is asking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from combine_core.api.shapes import Json, show_me

if TYPE_CHECKING:
    from pyramid.request import Request

    from combine_core.access import SignedIn


def get_me(context: SignedIn, request: Request) -> Json:  # noqa: ARG001
    """GET /me."""
    return show_me(context.identity)
