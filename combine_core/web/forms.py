"""Reads HTML forms: the values, and what is wrong with each field."""

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

# What WebOb and the standard library raise for broken input. WebOb raises a DeprecationWarning for a
# character set other than UTF-8.
_UNREADABLE = (ValueError, DeprecationWarning, LookupError)
# A person who has typed more than this should not have to do it again.
_WORTH_KEEPING = 60
_MOST_SHOWN_AGAIN = 1 << 20


@dataclass(frozen=True)
class Form:
    """The values and errors of a form, for showing it again. An empty one was not sent yet."""

    values: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)

    def with_error(self, name: str, why: str) -> Form:
        """The same form with the error ``why`` beside the field ``name``."""
        return replace(self, errors={**self.errors, name: why})

    def value(self, name: str, default: str = "") -> Any:
        return self.values.get(name, default)


@dataclass(frozen=True)
class Upload:
    """An uploaded file: its name without folders, and its bytes."""

    name: str
    data: bytes


def text_of(request: Request, name: str) -> str:
    """The text of a field; empty if the form has no such field or a file in its place."""
    value = request.POST.get(name, "")
    return value if isinstance(value, str) else ""


def uploads_of(request: Request, name: str) -> Iterator[Upload]:
    """The files of a field, read one by one. A browser sends a file without a name if none was chosen."""
    for value in request.POST.getall(name):
        if not isinstance(value, str) and getattr(value, "filename", None):
            yield Upload(file_name(value.filename), value.file.read())


def file_name(sent: str) -> str:
    """The name of an uploaded file. Some browsers send the folders of the user's machine, too."""
    return re.split(r"[/\\]", sent)[-1]


def typed_texts(request: Request) -> list[str]:
    """The longer texts of a form that one of our pages sent, for giving them back with a refusal.

    Files and forms of other sites are left out, and so is what is too large to be shown again.
    """
    if (
        request.method != "POST"
        or request.content_type != "application/x-www-form-urlencoded"
        or not 0 < (request.content_length or 0) <= _MOST_SHOWN_AGAIN
    ):
        return []
    try:
        texts = [t for t in request.POST.values() if len(t) > _WORTH_KEEPING or "\n" in t]
        ours = request.headers.get("Sec-Fetch-Site") == "same-origin"
        return texts if ours or check_csrf_token(request, raises=False) else []
    except _UNREADABLE:
        return []


def ids_of(request: Request, name: str) -> list[uuid.UUID]:
    """The ids that were ticked.

    :raises HTTPBadRequest: a value is not an id; our own pages send no such value
    """
    try:
        return [uuid.UUID(value) for value in request.POST.getall(name)]
    except (ValueError, AttributeError, TypeError) as error:
        raise HTTPBadRequest(
            f"The field {name} has an unknown value. Go back, reload the page, and choose again."
        ) from error


def refuse_unreadable(event: ContextFound) -> None:
    """Subscriber: answer 400 to a form that cannot be read.

    It runs when the user is known, and before anything reads the form.
    """
    request = event.request
    if is_api(request):
        return
    try:
        fields = request.POST
    except _UNREADABLE as error:
        logger.info("Unreadable form: %s", error)
        message = "The form cannot be read. Go back, reload the page, send it again."
        raise HTTPBadRequest(message) from error
    if not all(isinstance(value, str) for value in fields.values()):
        request.add_finished_callback(_close_uploads)


def _close_uploads(request: Request) -> None:
    """Close the temporary files of large uploads. A retried request reads the form anew."""
    fields, _ = request.environ.pop("webob._parsed_post_vars")
    for value in fields.values():
        # A file field without a file is empty bytes.
        if not isinstance(value, str | bytes):
            value.file.close()


def sentence(error: InvalidText) -> str:
    """What is wrong, as a sentence to show beside the field."""
    return f"The {error.field} {error.why}"
