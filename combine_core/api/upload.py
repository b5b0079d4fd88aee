"""Read the upload of files (``multipart/form-data``, RFC 7578)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from combine_core.sources import UploadedFile
from combine_core.text import InvalidText
from combine_core.web.forms import file_name
from combine_core.web.problems import FieldError, ProblemError, invalid_content

if TYPE_CHECKING:
    from pyramid.request import Request
    from werkzeug.sansio.multipart import Event

# In one request.
MOST_FILES = 100

_MULTIPART = "multipart/form-data"
# Bytes that are decoded at once; the headers of a part may have as many.
_PIECE = 65_536
# RFC 2046, section 5.1.1 has fewer characters; some clients use others.
_BOUNDARY = re.compile(r"[ -~]{0,69}[!-~]")


@dataclass
class _Part:
    name: str
    filename: str | None
    data: bytearray = field(default_factory=bytearray)


def is_upload(request: Request) -> bool:
    """Whether the body is a form with files."""
    return str(request.content_type).lower() == _MULTIPART


def read_form(request: Request) -> tuple[str, UploadedFile]:
    """The name of the source and the one file that the form brings.

    The name is that of the field ``name``, else the file's, without its folders.

    :raises ProblemError: 400 for a malformed body; 422 for one without a file, with several, or with
        fields that are not known
    :raises InvalidText: the name is not UTF-8
    """
    file: _Part | None = None
    name: str | None = None
    for part in _read_parts(request, most=10):
        if part.name == "file" and file is None:
            file = part
        elif part.name == "file":
            raise invalid_content(FieldError("file", "stands more than once. Send one file."))
        elif part.name == "name" and name is None and part.filename is None:
            name = _decode(part)
        elif part.name == "name":
            raise invalid_content(FieldError("name", "must be one field of text."))
        else:
            raise _unknown(part, "file, name")
    if file is None:
        raise _missing()
    upload = _uploaded(file)
    return upload.name if name is None else name, upload


def read_files(request: Request) -> list[UploadedFile]:
    """The files that a form brings, at most ``MOST_FILES``.

    :raises ProblemError: 400 for a malformed body or too many files; 422 for a form without a file
        or with other fields
    """
    parts = _read_parts(request, most=MOST_FILES)
    for part in parts:
        if part.name != "file":
            raise _unknown(part, "file")
    if not parts:
        raise _missing()
    return [_uploaded(part) for part in parts]


def _uploaded(part: _Part) -> UploadedFile:
    if not part.filename:
        raise invalid_content(FieldError("file", "has no file name. Send it as a file."))
    return UploadedFile(file_name(part.filename), bytes(part.data))


def _missing() -> ProblemError:
    return invalid_content(FieldError("file", "is missing. Send a file."))


def _unknown(part: _Part, known: str) -> ProblemError:
    return invalid_content(FieldError(part.name[:100], f"is not known; known are: {known}"))


def _decode(part: _Part) -> str:
    try:
        return part.data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidText(part.name, "is not UTF-8. Send it as UTF-8.") from error


def _read_parts(request: Request, *, most: int) -> list[_Part]:
    # Here and below, because many processes never get a file.
    from werkzeug.exceptions import RequestEntityTooLarge
    from werkzeug.http import parse_options_header
    from werkzeug.sansio.multipart import Data, Field, File

    _, options = parse_options_header(request.headers.get("Content-Type"))
    boundary = options.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise _malformed("its Content-Type names no usable boundary")
    parts: list[_Part] = []
    try:
        for event in _events(request, boundary.encode("ascii"), most):
            match event:
                case File(name=name, filename=filename):
                    parts.append(_Part(name or "", filename))
                case Field(name=name):
                    parts.append(_Part(name or "", None))
                case Data(data=data):
                    parts[-1].data += data
    except RequestEntityTooLarge as error:
        raise _malformed(f"it has more than {most} parts") from error
    except ValueError as error:
        raise _malformed("it ends too early, or a part has no valid headers") from error
    return parts


def _events(request: Request, boundary: bytes, most: int) -> Iterator[Event]:
    from werkzeug.sansio.multipart import Epilogue, MultipartDecoder, NeedData, State

    decoder = MultipartDecoder(boundary, max_parts=most)
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
