"""Reads HTML forms: their values, uploads and field errors."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pyramid.csrf import check_csrf_token
from pyramid.events import ContextFound
from pyramid.httpexceptions import HTTPBadRequest
from pyramid.request import Request

from combine_core.text import InvalidText
from combine_core.web.paths import is_api

logger = logging.getLogger(__name__)

# WebOb and the standard library raise these for malformed forms. WebOb raises a DeprecationWarning for a
# character set other than UTF-8.
_FORM_ERRORS = (ValueError, DeprecationWarning, LookupError)
# Shorter texts are quickly typed again, so an error page does not repeat them.
_MIN_RETURNED_LENGTH = 60
_MAX_RETURNED_FORM_SIZE = 1 << 20


@dataclass(frozen=True)
class Form:
    """The values and errors of a form, with which it is shown again. A new form has neither."""

    values: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)

    def with_error(self, name: str, message: str) -> Form:
        """Return a copy with an error message for the field ``name``."""
        return replace(self, errors={**self.errors, name: message})

    def value(self, name: str, default: str = "") -> Any:
        return self.values.get(name, default)


@dataclass(frozen=True)
class Upload:
    """The name of an uploaded file, without folders, and its content."""

    name: str
    data: bytes


def text_of(request: Request, name: str) -> str:
    """Return the text of a field, or an empty string if the field is absent or a file."""
    value = request.POST.get(name, "")
    return value if isinstance(value, str) else ""


def uploads_of(request: Request) -> Iterator[Upload]:
    """Yield the files of the field ``file``, and read them one by one."""
    for value in request.POST.getall("file"):
        # A browser sends a file without a name if the user chose none.
        if not isinstance(value, str) and getattr(value, "filename", None):
            yield Upload(file_name(value.filename), value.file.read())


def file_name(path: str) -> str:
    """Return the last part of a path. Some browsers send the folders of the user's machine."""
    return re.split(r"[/\\]", path)[-1]


def typed_texts(request: Request) -> list[str]:
    """Return the longer texts of a submitted form, which an error page shows so that they are not lost.

    The list is empty for uploads, for forms of other sites, and for forms that are too large.
    """
    if (
        request.method != "POST"
        or request.content_type != "application/x-www-form-urlencoded"
        or not 0 < (request.content_length or 0) <= _MAX_RETURNED_FORM_SIZE
    ):
        return []
    try:
        texts = [t for t in request.POST.values() if len(t) > _MIN_RETURNED_LENGTH or "\n" in t]
        same_origin = request.headers.get("Sec-Fetch-Site") == "same-origin"
        return texts if same_origin or check_csrf_token(request, raises=False) else []
    except _FORM_ERRORS:
        return []


def ids_of(request: Request, name: str) -> list[uuid.UUID]:
    """Return the ids of the ticked checkboxes with this name.

    :raises HTTPBadRequest: a value is not an id, so the form does not come from our pages
    """
    try:
        return [uuid.UUID(value) for value in request.POST.getall(name)]
    except (ValueError, AttributeError, TypeError) as error:
        raise HTTPBadRequest(
            f"The field {name} has an unknown value. Go back, reload the page, and choose again."
        ) from error


def reject_malformed_form(event: ContextFound) -> None:
    """Reject a form that cannot be parsed with 400.

    This subscriber runs after authentication and before any view reads the form.
    """
    request = event.request
    if is_api(request):
        return
    try:
        fields = request.POST
    except _FORM_ERRORS as error:
        logger.info("Rejected a malformed form: %s", error)
        message = "The form cannot be read. Go back, reload the page, and send it again."
        raise HTTPBadRequest(message) from error
    if not all(isinstance(value, str) for value in fields.values()):
        request.add_finished_callback(_close_uploads)


def _close_uploads(request: Request) -> None:
    """Close the temporary files of large uploads. A retried request parses the form again."""
    fields, _ = request.environ.pop("webob._parsed_post_vars")
    for value in fields.values():
        # A file field without a file is empty bytes.
        if not isinstance(value, str | bytes):
            value.file.close()


def sentence(error: InvalidText) -> str:
    """Return the error as a sentence to show beside the field."""
    return f"The {error.field} {error.why}"
