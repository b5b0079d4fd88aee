"""Builds redirects from PUBLIC_URL, and reports requests that contradict it.

Behind a proxy that terminates TLS without X-Forwarded-Proto, every request looks like http. A redirect
built from such a request would lead to http, which browsers block after a form (``form-action`` of the
Content-Security-Policy).

Each process logs the first contradiction of a kind with its remedy. The latest of each kind is stored, and
shown for an hour by the health check of every process and by ``combine doctor``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

from pyramid.registry import Registry
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from combine_auth.failures import one_line
from combine_core.database import Model, engine_of, session_factory
from combine_core.database.pool import CountedPool
from combine_core.settings import CoreSettings, settings_of
from combine_core.settings.values import is_loopback
from combine_core.web.hosts import host_and_port, hosts_of
from combine_core.web.paths import is_probe

logger = logging.getLogger(__name__)

TWEEN: Final = f"{__name__}.public_url_tween_factory"
SHOWN_FOR: Final = timedelta(hours=1)
_STORED_EVERY_S: Final = 60.0
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

Handler = Callable[[Any], Any]


class Contradiction(StrEnum):
    """The part of a request's address that contradicts PUBLIC_URL."""

    SCHEME = "scheme"
    HOST = "host"


REMEDIES: Final = {
    Contradiction.SCHEME: (
        "Make the proxy send X-Forwarded-Proto, and name the proxy in trusted_proxy of [server:main]"
        " (COMBINE_HEALTH_TRUSTED_PROXY). If people do open the service that way, correct PUBLIC_URL."
    ),
    Contradiction.HOST: (
        "Make the proxy pass the header Host on. If people do open the service under this name, correct"
        " PUBLIC_URL, or add the name to ALLOWED_ORIGINS."
    ),
}


class SeenContradiction(Model):
    """The latest request that contradicted PUBLIC_URL; one row for each kind."""

    __tablename__ = "address_contradictions"

    kind: Mapped[str] = mapped_column(primary_key=True)
    # Scheme and host of the request, as the service saw them.
    address: Mapped[str]
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())


def public_url_tween_factory(handler: Handler, registry: Registry) -> Handler:
    """Return the tween that completes redirects and reports contradictions."""
    public_url = settings_of(registry, CoreSettings).public_url
    scheme = urlsplit(public_url).scheme
    hosts = hosts_of(registry)
    stored_at: dict[Contradiction, float] = {}

    def report(request: Any, kind: Contradiction) -> None:
        environ = request.environ
        address = one_line(f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '')}")
        last_stored = stored_at.get(kind)
        if last_stored is None:
            logger.warning(
                "A request came for %s, but PUBLIC_URL is %s. %s",
                address,
                public_url,
                REMEDIES[kind],
            )
        if last_stored is None or monotonic() - last_stored > _STORED_EVERY_S:
            stored_at[kind] = monotonic()
            # Store it after the request has returned its connection to the pool.
            request.add_finished_callback(lambda _: _store(registry, kind, address))

    def public_url_tween(request: Any) -> Any:
        if is_probe(request):
            return handler(request)
        if not _is_for(public_url, request.environ):
            if not hosts.knows(request.environ):
                report(request, Contradiction.HOST)
            return handler(request)
        if request.environ["wsgi.url_scheme"] != scheme:
            report(request, Contradiction.SCHEME)
        response = handler(request)
        location = response.headers.get("Location", "")
        if location.startswith("/") and not location.startswith("//"):
            response.headers["Location"] = public_url + location
        return response

    return public_url_tween


def _is_for(public_url: str, environ: dict[str, Any]) -> bool:
    """Check whether the request is for the host of PUBLIC_URL.

    The port may differ: it may be the one between proxy and service. On loopback it must match, because
    another port there is a forwarded one, and a redirect must keep it.
    """
    parts = urlsplit(public_url)
    name, port = host_and_port(environ)
    own_port = parts.port or _DEFAULT_PORTS[parts.scheme]
    return name == parts.hostname and (not is_loopback(name) or port in ("", str(own_port)))


def _store(registry: Registry, kind: Contradiction, address: str) -> None:
    seen = insert(SeenContradiction).values(kind=kind, address=address, seen_at=func.now())
    newer = {"address": seen.excluded.address, "seen_at": seen.excluded.seen_at}
    try:
        with session_factory(registry).begin() as session:
            session.execute(seen.on_conflict_do_update(index_elements=["kind"], set_=newer))
    except SQLAlchemyError as error:
        logger.warning("could not store a contradiction of PUBLIC_URL: %s", type(error).__name__)


def is_pool_in_use(registry: Registry) -> bool:
    core = settings_of(registry, CoreSettings)
    pool = engine_of(registry).pool
    in_use = pool.reading().checked_out if isinstance(pool, CountedPool) else 0
    return in_use >= core.db_pool_size + core.db_max_overflow


def recent_contradictions(registry: Registry) -> dict[Contradiction, str]:
    """Return the contradictions of the last hour in any process, each with the request's address.

    The result is empty while all connections of the pool are in use, because requests need them.
    """
    if is_pool_in_use(registry):
        return {}
    recent = select(SeenContradiction).where(SeenContradiction.seen_at > func.now() - SHOWN_FOR)
    with session_factory(registry)() as session:
        return {Contradiction(one.kind): one.address for one in session.scalars(recent)}
