"""The page of a source: its numbered lines, and the statements that quote them."""

from __future__ import annotations

import re
import uuid
from functools import partial
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request

from combine_core.access import ProjectContext
from combine_core.documents import Citation, DocumentVersion, list_citations, read_citations
from combine_core.documents.citations import MAX_CITING_DOCUMENTS
from combine_core.pages.source_lines import measure_coverage, show_lines
from combine_core.sources import (
    ReadingState,
    Source,
    UnsupportedFile,
    UploadedFile,
    add_file_revision,
    add_text_revision,
    compare_texts,
    find_source,
    list_revisions,
    lock_source,
    read_source,
    suffixes,
)
from combine_core.text import InvalidText, TextTooLarge
from combine_core.users import Permission
from combine_core.web.endpoints import View, or_not_found
from combine_core.web.forms import Form, sentence, text_of, uploads_of
from combine_core.web.memory_budget import hold_memory
from combine_core.web.paths import UUID_PATTERN

_TEMPLATE = "combine_core:pages/source.jinja2"
_CHANGES_TEMPLATE = "combine_core:pages/source_changes.jinja2"

# Limits the cost of one page. Browsers cannot show a million lines anyway.
LINES_ON_PAGE = 2_000
REVISIONS_ON_PAGE = 10
# Seconds after which the page reloads while a worker reads the source.
REFRESH_S = 2

_LINES = re.compile(r"([1-9][0-9]{0,8})(?:-([1-9][0-9]{0,8}))?")


def evidence_path(
    request: Request, slug: str, version: DocumentVersion, pointer: str, entry: dict[str, Any]
) -> str:
    """Return the path of the page that marks a quote in its source.

    :param pointer: the JSON Pointer of the statement in the content of the version
    :param entry: an entry of the evidence of the statement
    """
    path: str = request.route_path(
        "pages.source",
        slug=slug,
        source_id=entry["source_id"],
        _query={
            "revision": _revision_in(version, entry["source_id"]),
            "lines": f"{entry['line_from']}-{entry['line_to']}",
            "version": version.id,
            "statement": pointer,
        },
        _anchor="quote",
    )
    return path


def _revision_in(version: DocumentVersion, source_id: str) -> int:
    """Return the revision of the source from which the version was made."""
    revisions = (entry.revision for entry in version.inputs if str(entry.ref_id) == source_id)
    return next(revisions, None) or 1


def statement_path(request: Request, citation: Citation) -> str:
    """Return the path of a statement in its version of the document."""
    path: str = request.route_path(
        "pages.version",
        id=citation.version.document_id,
        number=citation.version.number,
        _anchor=citation.pointer,
    )
    return path


def show_source(
    context: ProjectContext, request: Request, form: Form | None = None
) -> dict[str, Any]:
    """Show the page of lines that contains the marked lines ``?lines=3-7`` or the line ``?from=2001``.

    ``?revision=2`` selects another revision than the newest one. Together with ``lines``,
    ``?version=ID&statement=/decisions/0`` marks the exact words that this statement quotes.
    """
    source_id = _source_id(request)
    source = _source(context, request)
    text = or_not_found(
        read_source(
            request.dbsession,
            source,
            _number(request.GET.get("revision", "")),
            partial(hold_memory, request),
        )
    )
    if source.state == ReadingState.READING and not request.GET:
        # Reloads the page until the text is available, without JavaScript.
        request.response.headers["Refresh"] = str(REFRESH_S)
    cited = _range(request.GET.get("lines", ""))
    start = cited.start if cited else _range(request.GET.get("from", "")).start
    first = (min(max(start, 1), max(text.line_count, 1)) - 1) // LINES_ON_PAGE * LINES_ON_PAGE
    count = min(LINES_ON_PAGE, text.line_count - first)
    following = first + LINES_ON_PAGE
    followed: list[Citation] = []
    citations = None
    # A token may have the scope sources:read without documents:read.
    if request.has_permission(Permission.DOCUMENTS_READ):
        followed = _followed(context, request, source_id, cited)
        citations = list_citations(request.dbsession, context.project.id, source_id, text.revision)
    found = citations.items if citations else []
    lines = show_lines(text.text, first + 1, count, followed=followed, citations=found)
    return {
        "project": context.project,
        "source": source,
        "text": text,
        "revisions": list_revisions(
            request.dbsession, source, cursor=request.GET.get("revisions"), limit=REVISIONS_ON_PAGE
        ),
        "revision_form": form or Form(),
        "may_change": bool(request.has_permission(Permission.SOURCES_WRITE)),
        "suffixes": suffixes(),
        "lines": lines,
        "cited": cited,
        "followed": followed[0] if followed else None,
        "words_found": any(marked for line in lines for _, marked in line.parts),
        "citations": citations,
        "most_documents": MAX_CITING_DOCUMENTS,
        "coverage": measure_coverage(text.text, found) if found else None,
        "previous": first - LINES_ON_PAGE + 1 if first else None,
        "following": following + 1 if following < text.line_count else None,
    }


def _followed(
    context: ProjectContext, request: Request, source_id: uuid.UUID, cited: range
) -> list[Citation]:
    """Return the quotes in the cited lines, of the statement whose link the user has followed."""
    version_id = request.GET.get("version", "")
    if not re.fullmatch(UUID_PATTERN, version_id):
        return []
    pointer = request.GET.get("statement", "")
    found = read_citations(
        request.dbsession, context.project.id, source_id, uuid.UUID(version_id), pointer
    )
    return [each for each in found if range(each.line_from, each.line_to + 1) == cited]


def add_revision(context: ProjectContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Add a corrected file or text to the source."""
    session, user_id = request.dbsession, context.identity.user_id
    upload = next(uploads_of(request), None)
    form = Form({"text": text_of(request, "text")})
    source = or_not_found(lock_source(session, context.project.id, _source_id(request)))
    try:
        if upload is not None:
            add_file_revision(session, source, UploadedFile(upload.name, upload.data), user_id)
        else:
            add_text_revision(session, source, form.value("text"), user_id)
    except InvalidText as error:
        field = "file" if upload else "text"
        request.response.status_int = 413 if isinstance(error, TextTooLarge) else 400
        return show_source(context, request, form.with_error(field, sentence(error)))
    except UnsupportedFile as error:
        request.response.status_int = 400
        return show_source(context, request, form.with_error("file", f"The file {error}"))
    return HTTPSeeOther(request.path)


def show_changes(context: ProjectContext, request: Request) -> dict[str, Any]:
    """Show the differences between the revisions ``?from=1`` and ``?to=2``."""
    source = _source(context, request)
    texts = []
    for name in ("from", "to"):
        number = or_not_found(_number(request.GET.get(name, "")))
        text = or_not_found(
            read_source(request.dbsession, source, number, partial(hold_memory, request))
        )
        texts.append(text)
    old, new = texts
    return {
        "project": context.project,
        "source": source,
        "old": old,
        "new": new,
        "comparison": compare_texts(old.text, new.text),
    }


def _source_id(request: Request) -> uuid.UUID:
    return uuid.UUID(request.matchdict["source_id"])


def _source(context: ProjectContext, request: Request) -> Source:
    return or_not_found(find_source(request.dbsession, context.project.id, _source_id(request)))


def _number(text: str) -> int | None:
    """Parse the number of a revision. Return ``None`` for anything else."""
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,8}", text) else None


def _range(text: str) -> range:
    """Parse line numbers such as ``3-7`` or ``3``. Return an empty range for anything else."""
    match = _LINES.fullmatch(text)
    return range(int(match[1]), int(match[2] or match[1]) + 1) if match else range(0)


def includeme(config: Configurator) -> None:
    """Add the page."""
    config.add_endpoint(
        "pages.source",
        "/projects/{slug}/sources/{source_id}",
        View("GET", show_source, Permission.SOURCES_READ, renderer=_TEMPLATE),
        View("POST", add_revision, Permission.SOURCES_WRITE, renderer=_TEMPLATE),
        factory=ProjectContext,
    )
    config.add_endpoint(
        "pages.source_changes",
        "/projects/{slug}/sources/{source_id}/changes",
        View("GET", show_changes, Permission.SOURCES_READ, renderer=_CHANGES_TEMPLATE),
        factory=ProjectContext,
    )
