"""The page on which a person edits one statement of a document. Each edit adds a version."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest, HTTPNotFound, HTTPSeeOther
from pyramid.request import Request

from combine_core.access import DocumentContext
from combine_core.documents import (
    DocumentVersion,
    InvalidContent,
    NotNewest,
    action_of,
    edit_document,
    fields_at,
    move_statement,
    put_statement,
    read_version,
    statement_at,
    step_of,
)
from combine_core.reviews import (
    Review,
    ReviewConflict,
    ReviewState,
    edit_and_approve,
    newest_review,
    obstacle_to_decide,
    read_review,
)
from combine_core.text import InvalidText
from combine_core.users import Permission
from combine_core.web.endpoints import View, or_not_found
from combine_core.web.forms import Form, sentence, text_of
from combine_core.web.memory_budget import hold_memory
from combine_core.web.problems import ProblemError

_TEMPLATE = "combine_core:pages/edit.jinja2"
_OFFSETS = {"up": -1, "down": 1, "remove": None}


def show_statement(
    context: DocumentContext, request: Request, form: Form | None = None
) -> dict[str, Any]:
    """Show the form for ``?statement=/decisions/0``, or for a new statement at ``/decisions/-``."""
    version = _read(context, request)
    pointer = request.GET.get("statement", "")
    try:
        statement = statement_at(version.content, pointer)
    except (LookupError, ValueError, TypeError) as error:
        raise HTTPNotFound from error
    fields = fields_at(step_of(request.dbsession, version).answer_schema, pointer)
    values = {f"field-{name}": statement.get(name) or "" for name in fields}
    return {
        "project": context.project,
        "document": version.document,
        "version": version,
        "pointer": pointer,
        "statement": statement,
        "is_new": pointer.endswith("/-"),
        "in_list": pointer.rpartition("/")[2].isdigit(),
        "fields": {name: one for name, one in fields.items() if _is_text(one)},
        "sources": [one for one in version.inputs if one.kind == "source" and not one.deleted],
        "names": {str(one.ref_id): one.name for one in version.inputs},
        "may_approve": _may_approve(context, _open_review(context, request)),
        "form": form or Form({**values, "keep": _indexes(statement), "base": str(version.number)}),
    }


def _open_review(context: DocumentContext, request: Request) -> Review | None:
    """Return the open review of the newest version if authors may decide on it."""
    review = newest_review(request.dbsession, context.document_id)
    if review is None or review.state != ReviewState.OPEN or not review.author_may_decide:
        return None
    return read_review(request.dbsession, review.id)


def _may_approve(context: DocumentContext, review: Review | None) -> bool:
    return (
        review is not None
        and obstacle_to_decide(review, context.identity.user_id, context.role) is None
    )


def _is_text(field: dict[str, Any]) -> bool:
    return "string" in field.get("type", ()) or "enum" in field


def _indexes(statement: dict[str, Any]) -> list[str]:
    return [str(index) for index in range(len(statement["evidence"]))]


def save(context: DocumentContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Add a version with the edited statement. The second button also approves it."""
    return _edit(context, request, _put_edited, approve=text_of(request, "approve") == "yes")


def move(context: DocumentContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Add a version with the statement at another position, or without the statement."""
    if text_of(request, "to") not in _OFFSETS:
        raise HTTPBadRequest
    offset = _OFFSETS[text_of(request, "to")]
    return _edit(context, request, lambda content, at, _: move_statement(content, at, offset))


def _put_edited(content: dict[str, Any], pointer: str, request: Request) -> dict[str, Any]:
    statement = statement_at(content, pointer)
    for key in request.POST:
        if key.startswith("field-"):
            name, text = key.removeprefix("field-"), text_of(request, key).strip()
            statement.pop(name, None)
            if text:
                statement[name] = text
    kept = request.POST.getall("keep")
    statement["evidence"] = [
        entry for index, entry in enumerate(statement["evidence"]) if str(index) in kept
    ]
    if text_of(request, "source") and text_of(request, "line_from").strip():
        first = text_of(request, "line_from").strip()
        last = text_of(request, "line_to").strip() or first
        if not all(re.fullmatch("[0-9]{1,9}", number) for number in (first, last)):
            raise InvalidContent([("", "Enter numbers as the first and the last line.")])
        lines = {"line_from": int(first), "line_to": int(last)}
        statement["evidence"].append({"source_id": text_of(request, "source"), **lines})
    return put_statement(content, pointer, statement)


def _edit(
    context: DocumentContext,
    request: Request,
    change: Callable[[dict[str, Any], str, Request], dict[str, Any]],
    *,
    approve: bool = False,
) -> dict[str, Any] | HTTPSeeOther:
    pointer, base = request.GET.get("statement", ""), text_of(request, "base")
    if not base.isdecimal():
        raise HTTPBadRequest
    values = {key: text_of(request, key) for key in request.POST if key != "keep"}
    form = Form({**values, "keep": request.POST.getall("keep")})
    try:
        version = _read(context, request)
        if version.number != int(base):
            raise NotNewest(int(base), version.number)
        content = change(version.content, pointer, request)
        note = text_of(request, "note").strip() or None
        before_texts = partial(hold_memory, request)
        if approve:
            return _approve(
                context, request, version, content, note=note, before_texts=before_texts
            )
        edited = edit_document(
            request.dbsession,
            context.document_id,
            content,
            base=int(base),
            author_id=context.identity.user_id,
            note=note,
            before_texts=before_texts,
        )
    except (NotNewest, ReviewConflict) as error:
        return _refuse(context, request, 409, form.with_error("statement", str(error)))
    except InvalidContent as error:
        message = " ".join(message for _, message in error.problems)
        return _refuse(context, request, 400, form.with_error("statement", message))
    except InvalidText as error:
        return _refuse(context, request, 400, form.with_error("note", sentence(error)))
    except (LookupError, ValueError, TypeError) as error:
        raise HTTPNotFound from error
    if edited is not None:
        context.notify_add_ons(action_of(edited))
    anchor = pointer if edited is not None and not pointer.endswith("/-") else None
    return HTTPSeeOther(
        request.route_path("pages.document", id=context.document_id, _anchor=anchor)
    )


def _approve(
    context: DocumentContext,
    request: Request,
    version: DocumentVersion,
    content: dict[str, Any],
    **options: Any,
) -> HTTPSeeOther:
    review = _open_review(context, request)
    if review is None:
        raise ReviewConflict(
            "This version has no open review in which authors may decide. Nothing was changed."
            " Save the statement as a new version, and ask for a review of that version."
        )
    approved = edit_and_approve(
        request.dbsession,
        review.id,
        context.identity.user_id,
        context.role,
        content,
        sha256=version.sha256,
        notify=context.notify_add_ons,
        **options,
    )
    return HTTPSeeOther(request.route_path("pages.review", id=approved.id))


def _refuse(context: DocumentContext, request: Request, status: int, form: Form) -> dict[str, Any]:
    request.response.status_int = status
    try:
        return show_statement(context, request, form)
    except HTTPNotFound as error:
        # Another user has removed the statement, so there is no form to show.
        raise ProblemError(status, next(iter(form.errors.values()))) from error


def _read(context: DocumentContext, request: Request) -> DocumentVersion:
    return or_not_found(read_version(request.dbsession, context.document_id))


def includeme(config: Configurator) -> None:
    """Add the page."""
    config.add_endpoint(
        "pages.edit",
        "/documents/{id}/edit",
        View("GET", show_statement, Permission.DOCUMENTS_WRITE, renderer=_TEMPLATE),
        View("POST", save, Permission.DOCUMENTS_WRITE, form="save", renderer=_TEMPLATE),
        View("POST", move, Permission.DOCUMENTS_WRITE, form="move", renderer=_TEMPLATE),
        factory=DocumentContext,
    )
