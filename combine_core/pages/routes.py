"""The addresses of the pages. A form is sent to the page that it stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from combine_core.access import (
    UUID_PATTERN,
    DocumentContext,
    ProjectContext,
    RunContext,
    SignedIn,
)
from combine_core.projects import SLUG_PATTERN

if TYPE_CHECKING:
    from pyramid.config import Configurator

# Nine digits always fit the column.
_NUMBER = "[1-9][0-9]{0,8}"


def includeme(config: Configurator) -> None:
    """Add the routes."""
    project = f"/projects/{{slug:{SLUG_PATTERN}}}"
    document = f"/documents/{{id:{UUID_PATTERN}}}"
    version = f"{document}/versions/{{number:{_NUMBER}}}"

    config.add_route("pages.home", "/", factory=SignedIn)
    config.add_route("pages.projects", "/projects", factory=SignedIn)
    config.add_route("pages.project", project, factory=ProjectContext)
    config.add_route("pages.members", f"{project}/members", factory=ProjectContext)
    config.add_route(
        "pages.source", f"{project}/sources/{{source_id:{UUID_PATTERN}}}", factory=ProjectContext
    )
    config.add_route("pages.run", f"/runs/{{id:{UUID_PATTERN}}}", factory=RunContext)
    config.add_route("pages.run_live", f"/runs/{{id:{UUID_PATTERN}}}/live", factory=RunContext)
    config.add_route("pages.document", document, factory=DocumentContext)
    config.add_route("pages.version", version, factory=DocumentContext)
    config.add_route("pages.download", f"{document}.{{format:md|json}}", factory=DocumentContext)
    config.add_route(
        "pages.version_download", f"{version}.{{format:md|json}}", factory=DocumentContext
    )
