"""``Idempotency-Key``: a POST of the API that is sent again is answered again, and done only once.

The rules are those of draft-ietf-httpapi-idempotency-key-header. The answer is stored in the transaction of
its request, so there is no moment in which one is there without the other. Errors are not stored: whoever
gets one may send the request again, with the same key.

A view whose answer has a secret says so: ``View("POST", create, ..., answer_is_secret=True)``.
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

KEPT = datetime.timedelta(hours=24)
RETRY_S = 1
_ROWS_AT_ONCE = 100
_PIECE = 65_536
_BOUNDARY = re.compile(r'boundary="?([^";]+)')
_KEY = re.compile(r"[!-~]{1,255}")
_KEPT_HEADERS = ("Content-Type", "ETag", "Location")


class IdempotencyKey(Model):
    """What a request with this key was answered.

    :ivar project_id: the project that the answer tells about, so that it goes with it
    :ivar body: ``None`` if it had a secret, or was erased
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
    """View deriver: answers a repeated POST of a signed-in user with what the first one was answered.

    It stands inside the checks of permission, so that a repetition has to pass them, too.
    """
    if not info.options.get("openapi"):
        return view
    keeps_body = not info.options.get("answer_is_secret")

    def answer(context: Any, request: Request) -> Response:
        key = request.environ.get("HTTP_IDEMPOTENCY_KEY")
        if key is None or request.method != "POST" or request.identity is None:
            return view(context, request)
        if not _KEY.fullmatch(key):
            message = "must have 1 to 255 visible characters of ASCII"
            raise invalid_request(FieldError("Idempotency-Key", message))
        session, user_id, digest = request.dbsession, request.identity.user_id, _digest(request)
        _lock(session, user_id, key)
        _delete_expired(session)
        kept = session.get(IdempotencyKey, (user_id, key))
        if kept is not None:
            return _repeat(kept, digest)
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
                        for name in _KEPT_HEADERS
                        if name in response.headers
                    },
                    body=response.body if keeps_body else None,
                )
            )
        return response

    return answer


answer_once.options = ("answer_is_secret",)  # type: ignore[attr-defined]


def _digest(request: Request) -> str:
    """Of what is asked for. A form counts without its boundary, which clients choose anew each time."""
    found = _BOUNDARY.search(request.headers.get("Content-Type", ""))
    boundary = None if found is None else f"--{found[1]}".encode("latin-1")
    digest = hashlib.sha256(request.path_qs.encode())
    body = request.body_file_seekable
    body.seek(0)
    for piece in iter(partial(body.readline, _PIECE), b""):
        is_boundary = boundary is not None and piece.startswith(boundary)
        digest.update(b"--" if is_boundary else piece)
    body.seek(0)
    return digest.hexdigest()


def _lock(session: Session, user_id: uuid.UUID, key: str) -> None:
    """Keep the key for this transaction. Waiting for another one would occupy a thread and a connection."""
    number = func.hashtextextended(f"idempotency key {key} of {user_id}", 0)
    if not session.scalar(select(func.pg_try_advisory_xact_lock(number))):
        raise ProblemError(
            409,
            "A request with this Idempotency-Key is still in work."
            f" Send this one again in {RETRY_S} second to get its answer.",
            kind="idempotency-key-in-use",
            headers={"Retry-After": str(RETRY_S)},
        )


def _delete_expired(session: Session) -> None:
    key = tuple_(IdempotencyKey.user_id, IdempotencyKey.key)
    expired = (
        select(IdempotencyKey.user_id, IdempotencyKey.key)
        .where(IdempotencyKey.created_at < func.now() - KEPT)
        .order_by(IdempotencyKey.created_at)
        .limit(_ROWS_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    session.execute(
        delete(IdempotencyKey).where(key.in_(expired)).execution_options(synchronize_session=False)
    )


def forget_answers(session: Session, text: str) -> int:
    """Delete the kept answers in which this text stands. Their requests are not done again.

    :returns: how many
    """
    has_it = func.position(literal(text.encode()).op("IN")(IdempotencyKey.body)) > 0
    emptied = session.execute(
        update(IdempotencyKey)
        .where(has_it)
        .values(body=None)
        .returning(IdempotencyKey.key)
        .execution_options(synchronize_session=False)
    )
    return len(emptied.all())


def _repeat(kept: IdempotencyKey, digest: str) -> Response:
    if kept.request_sha256 != digest:
        message = "has come with another request before. Choose a new key for a new request."
        raise invalid_content(FieldError("Idempotency-Key", message))
    if kept.body is None:
        made = kept.headers.get("Location")
        raise ProblemError(
            409,
            "This was done before. The answer had a secret, which is shown only once, or was erased."
            + (f" What was made is at {made}." if made else "")
            + " If the secret is lost, make a new one.",
            kind="answer-was-secret",
            headers={"Location": made} if made else {},
        )
    response = Response(kept.body, status=kept.status)
    response.headers.update(kept.headers)
    response.headers["Idempotent-Replayed"] = "true"
    return response


def includeme(config: Configurator) -> None:
    """Add the deriver, inside the check of the request against the description."""
    config.add_view_deriver(answer_once, under="openapi_view", over=VIEW)
