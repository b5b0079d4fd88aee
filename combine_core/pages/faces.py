"""Which of the two faces a request meets: the JSON API has error answers of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.request import Request

API_PREFIX = "/api/"


def is_page_path(environ: Mapping[str, Any]) -> bool:
    """Whether people look at this address.

    Reads the raw path: one that is not UTF-8 must get an error page, not another error.
    """
    path: str = environ.get("PATH_INFO", "")
    return not path.startswith(API_PREFIX)


class ForPage:
    """View predicate ``for_page=True``: the path is not below ``/api/``."""

    def __init__(self, value: bool, config: Configurator) -> None:  # noqa: ARG002
        self.value = value

    def text(self) -> str:
        """For ``pviews``."""
        return f"for_page = {self.value}"

    phash = text

    def __call__(self, context: Any, request: Request) -> bool:  # noqa: ARG002
        """Whether the view may answer."""
        return is_page_path(request.environ) is self.value
