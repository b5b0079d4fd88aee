"""Measure the CPU time and the SQL statements that a session adds to a request.

Usage: python benchmarks/auth/session.py [rounds]

The requests go to one view, which sends one statement: without credentials, with a session, with a
personal access token, and with the access token of a client. They alternate, so that other load on
the machine affects all of them. The result is the difference of the medians. Only the CPU time of
this thread counts, without that of PostgreSQL.

The script also compares the time to reject an unknown client with the time to reject a wrong
secret. The two must not differ (RFC 6749, 2.3.1).
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy import event, text

from combine_auth.clients import GrantType
from combine_auth.clients.authentication import Credentials, authenticate
from combine_auth.clients.service import ClientRegistration, register_client
from combine_auth.oauth_server.grants import create_grant
from combine_auth.oauth_server.issued_tokens import save_tokens
from combine_auth.sessions import start_session
from combine_auth.settings import AuthSettings
from combine_auth.tokens.format import ACCESS
from combine_auth.tokens.service import create_token
from combine_core.database import engine_of, session_factory
from combine_core.database.migrations import upgrade
from combine_core.postgres.embedded import EmbeddedPostgres
from combine_core.settings import SETTINGS_KEY, CoreSettings, load_all
from combine_core.settings.database_url import parse_database_url
from combine_core.users import get_or_create_user

ROUNDS = 3000
WARM_UP = 300


def read_one(request: Any) -> dict[str, Any]:
    """Check the identity of the user and send one SQL statement."""
    identity = request.identity
    value = request.dbsession.scalar(text("SELECT 1"))
    return {"value": value, "email": identity and identity.email}


def make_app(url: str) -> Any:
    """Return a small application on combine_auth."""
    ini = {"combine_core.environment": "development", "combine_core.database_url": url}
    loaded = load_all(ini, None, {}, [CoreSettings, AuthSettings])
    with Configurator(settings={**ini, SETTINGS_KEY: loaded}) as config:
        config.include("combine_core.settings")
        config.include("combine_core.database")
        config.include("combine_core.pages")
        config.include("combine_auth")
        config.add_route("read_one", "/one")
        config.add_view(read_one, route_name="read_one", renderer="json")
        return config.make_wsgi_app()


def measure(url: str, rounds: int) -> dict[str, float]:
    """Return the median CPU time of each kind of request, in milliseconds."""
    app = make_app(url)
    with session_factory(app.registry).begin() as session:
        user = get_or_create_user(session, "ann@example.com")
        cookie = start_session(session, user.id)
        token, _ = create_token(session, user.id, "benchmark")
        client, _ = register_client(session, user.id, ClientRegistration("robot", service=True))
        client_id = client.client_id
        grant = create_grant(session, user.id, client, GrantType.CLIENT_CREDENTIALS, client.scopes)
        access = ACCESS.new()
        save_tokens(
            session,
            grant.id,
            access=access,
            access_scopes=client.scopes,
            refresh=None,
            refresh_scopes=(),
        )
    headers = {
        "nobody": {},
        "session": {"Cookie": f"combine_session={cookie}"},
        "token": {"Authorization": f"Bearer {token}"},
        "access token": {"Authorization": f"Bearer {access}"},
    }
    statements = []
    event.listen(
        engine_of(app.registry),
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_rest: statements.append(statement),
    )

    def ask(kind: str) -> Any:
        request = Request.blank("/one", headers=headers[kind], base_url="http://localhost:8000")
        return _call(app, request)

    taken: dict[str, list[float]] = {kind: [] for kind in headers}
    counts = {}
    for number in range(WARM_UP + rounds):
        for kind in headers:
            statements.clear()
            started = time.thread_time()
            answer = ask(kind)
            seconds = time.thread_time() - started
            assert answer.startswith("200"), answer
            counts[kind] = len(statements)
            if number >= WARM_UP:
                taken[kind].append(seconds * 1000)
    _compare_refusals(app, client_id, rounds)
    engine_of(app.registry).dispose()
    for kind, milliseconds in taken.items():
        sys.stdout.write(
            f"{kind:12} {statistics.median(milliseconds):.3f} ms CPU (median of {rounds}),"
            f" {counts[kind]} statements\n"
        )
    return {kind: statistics.median(milliseconds) for kind, milliseconds in taken.items()}


def _compare_refusals(app: Any, client_id: str, rounds: int) -> None:
    taken: dict[str, list[float]] = {"unknown": [], client_id: []}
    with session_factory(app.registry)() as session:
        for _ in range(rounds):
            for name, seconds in taken.items():
                started = time.perf_counter()
                assert authenticate(session, Credentials(name, "wrong"), {}) is None
                seconds.append(time.perf_counter() - started)
                session.expunge_all()
    unknown, wrong = (statistics.median(seconds) * 1000 for seconds in taken.values())
    sys.stdout.write(f"unknown client {unknown:.3f} ms, wrong secret {wrong:.3f} ms\n")


def _call(app: Callable[..., Any], request: Request) -> str:
    found: list[str] = []

    def start_response(status: str, _headers: Any, _error: Any = None) -> None:
        found.append(status)

    b"".join(app(request.environ, start_response))
    return found[0]


def main() -> None:
    """Start PostgreSQL, measure, and print the extra cost of each kind over an anonymous request."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory(prefix="combine-bench-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder) / "postgres", durable=False) as server:
            url = server.start()
            upgrade(parse_database_url(url).get_secret_value())
            medians = measure(url, rounds)
    for kind in ("session", "token", "access token"):
        added = medians[kind] - medians["nobody"]
        sys.stdout.write(f"{kind} adds {added:.3f} ms of CPU\n")


if __name__ == "__main__":
    main()
