"""The API: the sources of a project, and the upload of a file (``multipart/form-data``, RFC 7578)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from pyramid.httpexceptions import HTTPNoContent, HTTPNotFound
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import (
    Data,
    Epilogue,
    Event,
    Field,
    File,
    MultipartDecoder,
    NeedData,
    State,
)

from combine_core.access import ProjectContext
from combine_core.api.serializers import Json, show_plan, show_source
from combine_core.deletion import delete_source, plan_source
from combine_core.sources import (
    FileText,
    add_source,
    find_source,
    list_sources,
    read_original,
    read_source,
    read_upload,
    rename_source,
)
from combine_core.text import InvalidText
from combine_core.users import Deed, Permission, tell
from combine_core.web.endpoints import View
from combine_core.web.forms import file_name
from combine_core.web.memory_budget import hold_memory
from combine_core.web.paging import show_page
from combine_core.web.problems import FieldError, ProblemError, invalid_content

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.request import Request
    from pyramid.response import Response

    from combine_core.sources import Source

_MULTIPART = "multipart/form-data"
_MOST_PARTS = 10
# Bytes that are decoded at once; the headers of a part may have as many.
_PIECE = 65_536
# RFC 2046, section 5.1.1 has fewer characters; some clients use others.
_BOUNDARY = re.compile(r"[ -~]{0,69}[!-~]")


def list_sources_of(context: ProjectContext, request: Request) -> Json:
    page = list_sources(
        request.dbsession, context.project.id, **request.openapi_validated.parameters.query
    )
    return show_page(request, page, show_source)


def create(context: ProjectContext, request: Request) -> Json:
    """Add a text that is sent as JSON, or a file."""
    source = _add_upload(context, request) if is_upload(request) else _add_text(context, request)
    request.response.status_int = 201
    request.response.location = request.route_path(
        "api.source", slug=context.project.slug, id=source.id
    )
    return show_source(source)


def _add_text(context: ProjectContext, request: Request) -> Source:
    body = request.openapi_validated.body
    # Taken out, because the request may live until the next garbage collection.
    name, text = body["name"], body.pop("text")
    return add_source(request.dbsession, context.project.id, name, text, context.identity.user_id)


def _add_upload(context: ProjectContext, request: Request) -> Source:
    name, file = read_form(request)
    try:
        return add_source(
            request.dbsession, context.project.id, name, file.text, context.identity.user_id, file
        )
    except InvalidText as error:
        # The client has sent a file, so a message about the text is about the file.
        field = "file" if error.field == "text" else error.field
        raise type(error)(field, error.why) from error


def get_source(context: ProjectContext, request: Request) -> Json:
    source = read_source(
        request.dbsession,
        context.project.id,
        uuid.UUID(request.matchdict["id"]),
        partial(hold_memory, request),
    )
    if source is None:
        raise HTTPNotFound
    return {**show_source(source), "text": source.text}


def rename(context: ProjectContext, request: Request) -> Json:
    source_id = uuid.UUID(request.matchdict["id"])
    source = find_source(request.dbsession, context.project.id, source_id)
    if source is None:
        raise HTTPNotFound
    rename_source(request.dbsession, source, request.openapi_validated.body["name"])
    tell(request, _deed("change", source_id, changed=["name"]))
    return get_source(context, request)


def get_deletion(context: ProjectContext, request: Request) -> Json:
    source_id = uuid.UUID(request.matchdict["id"])
    return show_plan(plan_source(request.dbsession, context.project.id, source_id))


def delete(context: ProjectContext, request: Request) -> HTTPNoContent:
    source_id = uuid.UUID(request.matchdict["id"])
    force = request.openapi_validated.parameters.query["force"]
    plan = delete_source(request.dbsession, context.project.id, source_id, force=force)
    tell(request, _deed("delete", source_id, **plan.takes))
    return HTTPNoContent()


def _deed(what: str, source_id: uuid.UUID, **details: object) -> Deed:
    return Deed(f"source-{what}", f"source:{source_id}", details)


def get_original(context: ProjectContext, request: Request) -> Response:
    """The file as it was sent. A browser saves it and never shows it."""
    found = read_original(
        request.dbsession,
        context.project.id,
        uuid.UUID(request.matchdict["id"]),
        partial(hold_memory, request),
    )
    if found is None:
        raise HTTPNotFound
    source, data = found
    response = request.response
    response.content_type = "application/octet-stream"
    response.content_disposition = f"attachment; filename*=UTF-8''{quote(source.name, safe='')}"
    response.body = data
    return response


@dataclass
class _Part:
    name: str
    filename: str | None
    data: bytearray = field(default_factory=bytearray)


def is_upload(request: Request) -> bool:
    """Whether the body is a form with files."""
    return str(request.content_type).lower() == _MULTIPART


def read_form(request: Request) -> tuple[str, FileText]:
    """The name and the text of the one file that the form brings.

    The name is that of the field ``name``, else the file's, without its folders.

    :raises ProblemError: 400 for a malformed body; 422 for one without a file, with several, or with
        fields that are not known
    :raises UnsupportedFile: another kind of file
    :raises InvalidText: the file cannot be read
    """
    file: _Part | None = None
    name: str | None = None
    for part in _read_parts(request):
        if part.name == "file" and file is None:
            file = part
        elif part.name == "file":
            raise invalid_content(FieldError("file", "stands more than once. Send one file."))
        elif part.name == "name" and name is None and part.filename is None:
            name = _decode(part)
        elif part.name == "name":
            raise invalid_content(FieldError("name", "must be one field of text."))
        else:
            message = "is not known; known are: file, name"
            raise invalid_content(FieldError(part.name[:100], message))
    if file is None:
        raise invalid_content(FieldError("file", "is missing. Send a file."))
    if not file.filename:
        raise invalid_content(FieldError("file", "has no file name. Send it as a file."))
    filename = file_name(file.filename)
    return filename if name is None else name, read_upload(filename, file.data)


def _decode(part: _Part) -> str:
    try:
        return part.data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidText(part.name, "is not UTF-8. Send it as UTF-8.") from error


def _read_parts(request: Request) -> list[_Part]:
    _, options = parse_options_header(request.headers.get("Content-Type"))
    boundary = options.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise _malformed("its Content-Type names no usable boundary")
    parts: list[_Part] = []
    try:
        for event in _events(request, boundary.encode("ascii")):
            match event:
                case File(name=name, filename=filename):
                    parts.append(_Part(name or "", filename))
                case Field(name=name):
                    parts.append(_Part(name or "", None))
                case Data(data=data):
                    parts[-1].data += data
    except RequestEntityTooLarge as error:
        raise _malformed(f"it has more than {_MOST_PARTS} parts") from error
    except ValueError as error:
        raise _malformed("it ends too early, or a part has no valid headers") from error
    return parts


def _events(request: Request, boundary: bytes) -> Iterator[Event]:
    decoder = MultipartDecoder(boundary, max_parts=_MOST_PARTS)
    body = request.body_file_seekable
    body.seek(0)  # an attempt before this one may have read it
    piece: bytes | None = b""
    while piece is not None:
        piece = body.read(_PIECE) or None
        decoder.receive_data(piece)
        while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
            yield event
        # To read megabytes of headers takes the library many seconds.
        if decoder.state is State.PART and len(decoder.buffer) > _PIECE:
            raise _malformed("the headers of a part are too long")


def _malformed(why: str) -> ProblemError:
    return ProblemError(400, f"The body is no {_MULTIPART}: {why}.", kind="invalid-request")


def includeme(config: Configurator) -> None:
    """Add the endpoints."""
    config.add_endpoint(
        "api.sources",
        "/projects/{slug}/sources",
        View("GET", list_sources_of, Permission.SOURCES_READ),
        View("POST", create, Permission.SOURCES_WRITE),
        factory=ProjectContext,
        openapi=True,
    )
    config.add_endpoint(
        "api.source",
        "/projects/{slug}/sources/{id}",
        View("GET", get_source, Permission.SOURCES_READ),
        View("PATCH", rename, Permission.SOURCES_WRITE, if_match=get_source),
        View("DELETE", delete, Permission.SOURCES_WRITE, if_match=get_source),
        factory=ProjectContext,
        openapi=True,
    )
    config.add_endpoint(
        "api.source_deletion",
        "/projects/{slug}/sources/{id}/deletion",
        View("GET", get_deletion, Permission.SOURCES_READ),
        factory=ProjectContext,
        openapi=True,
    )
    config.add_endpoint(
        "api.source_original",
        "/projects/{slug}/sources/{id}/original",
        View("GET", get_original, Permission.SOURCES_READ),
        factory=ProjectContext,
        openapi=True,
    )
