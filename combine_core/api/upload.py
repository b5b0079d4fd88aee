"""Reads file uploads (``multipart/form-data``, RFC 7578)."""

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

# The maximum number of files in one request.
MAX_FILES = 100

_MULTIPART = "multipart/form-data"
# The bytes that are decoded at once, and the maximum size of a part's headers.
_CHUNK_SIZE = 65_536
# RFC 2046, section 5.1.1 allows fewer characters, but some clients use others.
_BOUNDARY = re.compile(r"[ -~]{0,69}[!-~]")


@dataclass
class _Part:
    name: str
    filename: str | None
    data: bytearray = field(default_factory=bytearray)


def is_upload(request: Request) -> bool:
    """Return whether the body is a form with files."""
    return str(request.content_type).lower() == _MULTIPART


def read_form(request: Request) -> tuple[str, UploadedFile]:
    """Read a form with a single file. Return the name of the source and the file.

    The name is the value of the field ``name``, or else the name of the file without folders.

    :raises ProblemError: 400 for a malformed body; 422 for no file, several files or unknown fields
    :raises InvalidText: the name is not UTF-8
    """
    file: _Part | None = None
    name: str | None = None
    for part in _read_parts(request, max_parts=10):
        if part.name == "file" and file is None:
            file = part
        elif part.name == "file":
            raise invalid_content(FieldError("file", "appears more than once. Send one file."))
        elif part.name == "name" and name is None and part.filename is None:
            name = _decode(part)
        elif part.name == "name":
            raise invalid_content(FieldError("name", "must be a single text field."))
        else:
            raise _unknown_field(part, "file, name")
    if file is None:
        raise _missing_file()
    upload = _uploaded(file)
    return upload.name if name is None else name, upload


def read_files(request: Request) -> list[UploadedFile]:
    """Read a form with up to ``MAX_FILES`` files.

    :raises ProblemError: 400 for a malformed body or too many files; 422 for no file or unknown fields
    """
    parts = _read_parts(request, max_parts=MAX_FILES)
    for part in parts:
        if part.name != "file":
            raise _unknown_field(part, "file")
    if not parts:
        raise _missing_file()
    return [_uploaded(part) for part in parts]


def _uploaded(part: _Part) -> UploadedFile:
    if not part.filename:
        raise invalid_content(FieldError("file", "has no file name. Send the field as a file."))
    return UploadedFile(file_name(part.filename), bytes(part.data))


def _missing_file() -> ProblemError:
    return invalid_content(FieldError("file", "is missing. Send a file."))


def _unknown_field(part: _Part, allowed: str) -> ProblemError:
    return invalid_content(FieldError(part.name[:100], f"is unknown; allowed: {allowed}"))


def _decode(part: _Part) -> str:
    try:
        return part.data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidText(part.name, "is not UTF-8. Send it as UTF-8.") from error


def _read_parts(request: Request, *, max_parts: int) -> list[_Part]:
    # Imported here and below, because many processes never receive a file.
    from werkzeug.exceptions import RequestEntityTooLarge
    from werkzeug.http import parse_options_header
    from werkzeug.sansio.multipart import Data, Field, File

    _, options = parse_options_header(request.headers.get("Content-Type"))
    boundary = options.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise _malformed("its Content-Type has no valid boundary")
    parts: list[_Part] = []
    try:
        for event in _events(request, boundary.encode("ascii"), max_parts):
            match event:
                case File(name=name, filename=filename):
                    parts.append(_Part(name or "", filename))
                case Field(name=name):
                    parts.append(_Part(name or "", None))
                case Data(data=data):
                    parts[-1].data += data
    except RequestEntityTooLarge as error:
        raise _malformed(f"it has more than {max_parts} parts") from error
    except ValueError as error:
        raise _malformed("it ends too early, or a part has invalid headers") from error
    return parts


def _events(request: Request, boundary: bytes, max_parts: int) -> Iterator[Event]:
    from werkzeug.sansio.multipart import Epilogue, MultipartDecoder, NeedData, State

    decoder = MultipartDecoder(boundary, max_parts=max_parts)
    body = request.body_file_seekable
    body.seek(0)  # a previous attempt may have read it
    chunk: bytes | None = b""
    while chunk is not None:
        chunk = body.read(_CHUNK_SIZE) or None
        decoder.receive_data(chunk)
        while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
            yield event
        # The decoder takes many seconds for megabytes of headers.
        if decoder.state is State.PART and len(decoder.buffer) > _CHUNK_SIZE:
            raise _malformed("the headers of a part are too long")


def _malformed(reason: str) -> ProblemError:
    detail = f"The body is not valid {_MULTIPART}: {reason}."
    return ProblemError(400, detail, kind="invalid-request")
