"""The page of a source: its numbered lines, which evidence points to, and the statements that quote them."""

from __future__ import annotations

import re
import uuid
from functools import partial
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request

from combine_core.access import ProjectContext
from combine_core.documents import Citation, DocumentVersion, list_citations, read_citations
from combine_core.documents.citations import MAX_CITING_DOCUMENTS
from combine_core.pages.source_lines import measure_coverage, show_lines
from combine_core.sources import read_source
from combine_core.users import Permission
from combine_core.web.endpoints import View
from combine_core.web.memory_budget import hold_memory
from combine_core.web.paths import UUID_PATTERN

# Bounds the cost of one page. Browsers cannot show a million lines anyway.
LINES_ON_PAGE = 2_000

_LINES = re.compile(r"([1-9][0-9]{0,8})(?:-([1-9][0-9]{0,8}))?")


def evidence_path(
    request: Request, slug: str, version: DocumentVersion, pointer: str, entry: dict[str, Any]
) -> str:
    """The path of the page that marks the words of this quote in its source.

    :param pointer: where the statement stands in the version
    :param entry: of the evidence of the statement
    """
    path: str = request.route_path(
        "pages.source",
        slug=slug,
        source_id=entry["source_id"],
        _query={
            "lines": f"{entry['line_from']}-{entry['line_to']}",
            "version": version.id,
            "statement": pointer,
        },
        _anchor="quote",
    )
    return path


def statement_path(request: Request, citation: Citation) -> str:
    """The path of the statement in its version of the document."""
    path: str = request.route_path(
        "pages.version",
        id=citation.version.document_id,
        number=citation.version.number,
        _anchor=citation.pointer,
    )
    return path


def show_source(context: ProjectContext, request: Request) -> dict[str, Any]:
    """The part of the source with the lines ``?lines=3-7``, marked, or with the line ``?from=2001``.

    ``?version=ID&statement=/decisions/0`` beside ``lines`` marks the very words that this statement quotes.
    """
    source_id = uuid.UUID(request.matchdict["source_id"])
    source = read_source(
        request.dbsession, context.project.id, source_id, partial(hold_memory, request)
    )
    if source is None:
        raise HTTPNotFound
    cited = _range(request.GET.get("lines", ""))
    start = cited.start if cited else _range(request.GET.get("from", "")).start
    first = (min(max(start, 1), source.line_count) - 1) // LINES_ON_PAGE * LINES_ON_PAGE
    count = min(LINES_ON_PAGE, source.line_count - first)
    following = first + LINES_ON_PAGE
    followed: list[Citation] = []
    citations = None
    # A token may let its bearer read sources and no documents.
    if request.has_permission(Permission.DOCUMENTS_READ):
        followed = _followed(context, request, source_id, cited)
        citations = list_citations(request.dbsession, context.project.id, source_id)
    found = citations.items if citations else []
    lines = show_lines(source.text, first + 1, count, followed=followed, citations=found)
    return {
        "project": context.project,
        "source": source,
        "may_change": bool(request.has_permission(Permission.SOURCES_WRITE)),
        "lines": lines,
        "cited": cited,
        "followed": followed[0] if followed else None,
        "words_found": any(marked for line in lines for _, marked in line.parts),
        "citations": citations,
        "most_documents": MAX_CITING_DOCUMENTS,
        "coverage": measure_coverage(source.text, found) if found else None,
        "previous": first - LINES_ON_PAGE + 1 if first else None,
        "following": following + 1 if following < source.line_count else None,
    }


def _followed(
    context: ProjectContext, request: Request, source_id: uuid.UUID, cited: range
) -> list[Citation]:
    """The quotes in the cited lines of the statement from which a link led here."""
    version_id = request.GET.get("version", "")
    if not re.fullmatch(UUID_PATTERN, version_id):
        return []
    pointer = request.GET.get("statement", "")
    found = read_citations(
        request.dbsession, context.project.id, source_id, uuid.UUID(version_id), pointer
    )
    return [each for each in found if range(each.line_from, each.line_to + 1) == cited]


def _range(text: str) -> range:
    """The line numbers of ``3-7`` or ``3``; empty for anything else."""
    match = _LINES.fullmatch(text)
    return range(int(match[1]), int(match[2] or match[1]) + 1) if match else range(0)


def includeme(config: Configurator) -> None:
    """Add the page."""
    config.add_endpoint(
        "pages.source",
        "/projects/{slug}/sources/{source_id}",
        View(
            "GET", show_source, Permission.SOURCES_READ, renderer="combine_core:pages/source.jinja2"
        ),
        factory=ProjectContext,
    )
