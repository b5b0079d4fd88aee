"""Read forms: what was typed, and what is wrong with it, field by field."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pyramid.httpexceptions import HTTPBadRequest

from combine_core.text import InvalidText
from combine_core.web.problems import is_api

if TYPE_CHECKING:
    from pyramid.events import ContextFound
    from pyramid.request import Request

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Form:
    """A form as it stands on the page. An empty one was not sent yet."""

    values: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)

    def with_error(self, name: str, why: str) -> Form:
        """The same, with ``why`` beside the field ``name``."""
        return replace(self, errors={**self.errors, name: why})

    def value(self, name: str, default: str = "") -> Any:
        """What was typed into the field, for showing it again."""
        return self.values.get(name, default)


@dataclass(frozen=True)
class Upload:
    """A file that was chosen: the name without folders, and its bytes."""

    name: str
    data: bytes


def text_of(request: Request, name: str) -> str:
    """The text of a field; empty where the form has none, or a file in its place."""
    value = request.POST.get(name, "")
    return value if isinstance(value, str) else ""


def uploads_of(request: Request, name: str) -> list[Upload]:
    """The files that were chosen in a field. A browser sends a nameless one for none."""
    return [
        # Some browsers send the folders of the user's machine too.
        Upload(value.filename.replace("\\", "/").rpartition("/")[2], value.file.read())
        for value in request.POST.getall(name)
        if not isinstance(value, str) and getattr(value, "filename", None)
    ]


def ids_of(request: Request, name: str) -> list[uuid.UUID]:
    """The keys that were ticked. Our own pages send nothing else.

    :raises HTTPBadRequest: something else was sent
    """
    try:
        return [uuid.UUID(value) for value in request.POST.getall(name)]
    except (ValueError, AttributeError, TypeError) as error:
        message = f"The field {name} holds what is no key. Go back, reload the page, choose again."
        raise HTTPBadRequest(message) from error


def refuse_unreadable(event: ContextFound) -> None:
    """Subscriber: a form that cannot be read is the sender's fault, and the answer says so.

    It runs once the asker is known and before anything looks into the form.
    """
    request = event.request
    if is_api(request):
        return
    try:
        fields = request.POST
    # What WebOb and the standard library raise at broken input: a DeprecationWarning for another
    # character set than UTF-8 among them.
    except (ValueError, DeprecationWarning, LookupError) as error:
        logger.info("Unreadable form: %s", error)
        message = "The form cannot be read. Go back, reload the page, send it again."
        raise HTTPBadRequest(message) from error
    if not all(isinstance(value, str) for value in fields.values()):
        request.add_finished_callback(_close_uploads)


def _close_uploads(request: Request) -> None:
    """Large files lie in temporary files; a further attempt of the request reads the form anew."""
    fields, _ = request.environ.pop("webob._parsed_post_vars")
    for value in fields.values():
        if not isinstance(value, str):
            value.file.close()


def sentence(error: InvalidText) -> str:
    """What is wrong, for the place beside the field."""
    return f"The {error.field} {error.why}"
