"""Handles ``Idempotency-Key``: a repeated POST of the API gets the stored response of the first one.

It follows draft-ietf-httpapi-idempotency-key-header. The response is stored in the transaction of its
request, so one is never committed without the other. Errors are not stored: a client may retry a failed
request with the same key.

A view whose response contains a secret is declared with ``View("POST", create, ..., answer_is_secret=True)``.
Its response is not stored, and a repeated request gets 409.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.viewderivers import VIEW
from sqlalchemy import ForeignKey, Index, delete, func, literal, select, tuple_, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from combine_core.database.metadata import Model
from combine_core.web.problems import FieldError, ProblemError, invalid_content, invalid_request

RETENTION = datetime.timedelta(hours=24)
RETRY_S = 1
_DELETE_BATCH = 100
_CHUNK_SIZE = 65_536
_BOUNDARY = re.compile(r'boundary="?([^";]+)')
_KEY = re.compile(r"[!-~]{1,255}")
_STORED_HEADERS = ("Content-Type", "ETag", "Location")


class IdempotencyKey(Model):
    """The stored response to a request with an idempotency key.

    :ivar project_id: the project of the request; the row is deleted with it
    :ivar body: ``None`` if the response contained a secret or was erased
    """

    __tablename__ = "idempotency_keys"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    request_sha256: Mapped[str]
    status: Mapped[int]
    headers: Mapped[dict[str, Any]]
    body: Mapped[bytes | None]
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)


def answer_once(view: Callable[..., Response], info: Any) -> Callable[..., Response]:
    """Answer a repeated POST of a signed-in user with the stored response (a view deriver).

    It runs after the permission check, which a repeated request must pass too.
    """
    if not info.options.get("openapi"):
        return view
    stores_body = not info.options.get("answer_is_secret")

    def answer(context: Any, request: Request) -> Response:
        key = request.environ.get("HTTP_IDEMPOTENCY_KEY")
        if key is None or request.method != "POST" or request.identity is None:
            return view(context, request)
        if not _KEY.fullmatch(key):
            message = "must have 1 to 255 visible ASCII characters"
            raise invalid_request(FieldError("Idempotency-Key", message))
        session, user_id, digest = request.dbsession, request.identity.user_id, _digest(request)
        _lock(session, user_id, key)
        _delete_expired(session)
        stored = session.get(IdempotencyKey, (user_id, key))
        if stored is not None:
            return _replay(stored, digest)
        response = view(context, request)
        if response.status_int < 400:
            session.add(
                IdempotencyKey(
                    user_id=user_id,
                    key=key,
                    project_id=getattr(getattr(context, "project", None), "id", None),
                    request_sha256=digest,
                    status=response.status_int,
                    headers={
                        name: response.headers[name]
                        for name in _STORED_HEADERS
                        if name in response.headers
                    },
                    body=response.body if stores_body else None,
                )
            )
        return response

    return answer


answer_once.options = ("answer_is_secret",)  # type: ignore[attr-defined]


def _digest(request: Request) -> str:
    """Return the digest of path, query and body, without the form boundary, which differs in each attempt."""
    match = _BOUNDARY.search(request.headers.get("Content-Type", ""))
    boundary = None if match is None else f"--{match[1]}".encode("latin-1")
    digest = hashlib.sha256(request.path_qs.encode())
    body = request.body_file_seekable
    body.seek(0)
    for chunk in iter(partial(body.readline, _CHUNK_SIZE), b""):
        is_boundary = boundary is not None and chunk.startswith(boundary)
        digest.update(b"--" if is_boundary else chunk)
    body.seek(0)
    return digest.hexdigest()


def _lock(session: Session, user_id: uuid.UUID, key: str) -> None:
    """Lock the key until the transaction ends. It fails at once, because waiting would block a thread."""
    number = func.hashtextextended(f"idempotency key {key} of {user_id}", 0)
    if not session.scalar(select(func.pg_try_advisory_xact_lock(number))):
        raise ProblemError(
            409,
            "A request with this Idempotency-Key is still in progress."
            f" Send the request again in {RETRY_S} second to get its response.",
            kind="idempotency-key-in-use",
            headers={"Retry-After": str(RETRY_S)},
        )


def _delete_expired(session: Session) -> None:
    key = tuple_(IdempotencyKey.user_id, IdempotencyKey.key)
    expired = (
        select(IdempotencyKey.user_id, IdempotencyKey.key)
        .where(IdempotencyKey.created_at < func.now() - RETENTION)
        .order_by(IdempotencyKey.created_at)
        .limit(_DELETE_BATCH)
        .with_for_update(skip_locked=True)
        .cte()  # a subquery may be read several times, and get further rows each time
    )
    session.execute(
        delete(IdempotencyKey)
        .where(key.in_(select(expired)))
        .execution_options(synchronize_session=False)
    )


def forget_answers(session: Session, text: str) -> int:
    """Erase the stored response bodies that contain this text. The keys stay, so nothing is done twice.

    :returns: the number of erased bodies
    """
    contains_text = func.position(literal(text.encode()).op("IN")(IdempotencyKey.body)) > 0
    erased = session.execute(
        update(IdempotencyKey)
        .where(contains_text)
        .values(body=None)
        .returning(IdempotencyKey.key)
        .execution_options(synchronize_session=False)
    )
    return len(erased.all())


def _replay(stored: IdempotencyKey, digest: str) -> Response:
    if stored.request_sha256 != digest:
        message = "was used for another request. Choose a new key for a new request."
        raise invalid_content(FieldError("Idempotency-Key", message))
    if stored.body is None:
        location = stored.headers.get("Location")
        raise ProblemError(
            409,
            "The request was already processed. Its response contained a secret, which is shown only"
            " once, or was erased."
            + (f" The new resource is at {location}." if location else "")
            + " If the secret is lost, create a new one.",
            kind="answer-was-secret",
            headers={"Location": location} if location else {},
        )
    response = Response(stored.body, status=stored.status)
    response.headers.update(stored.headers)
    response.headers["Idempotent-Replayed"] = "true"
    return response


def includeme(config: Configurator) -> None:
    """Add the view deriver, inside the validation of the request."""
    config.add_view_deriver(answer_once, under="openapi_view", over=VIEW)
