"""The page of the differences between two versions of a document."""

from __future__ import annotations

import re
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request

from combine_core.access import DocumentContext
from combine_core.documents import compare_contents, read_version
from combine_core.users import Permission
from combine_core.web.endpoints import View

_TEMPLATE = "combine_core:pages/comparison.jinja2"


def show_comparison(context: DocumentContext, request: Request) -> dict[str, Any]:
    """Show the differences between the versions ``?from=1`` and ``?to=2``."""
    versions = []
    for name in ("from", "to"):
        number = request.GET.get(name, "")
        version = None
        if re.fullmatch(r"[1-9][0-9]{0,8}", number):
            version = read_version(request.dbsession, context.document_id, int(number))
        if version is None:
            raise HTTPNotFound
        versions.append(version)
    old, new = versions
    return {
        "project": context.project,
        "document": new.document,
        "old": old,
        "new": new,
        "comparison": compare_contents(old.content, new.content),
    }


def includeme(config: Configurator) -> None:
    """Add the page."""
    config.add_endpoint(
        "pages.comparison",
        "/documents/{id}/comparison",
        View("GET", show_comparison, Permission.DOCUMENTS_READ, renderer=_TEMPLATE),
        factory=DocumentContext,
    )
