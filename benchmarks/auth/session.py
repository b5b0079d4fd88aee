"""What the session adds to a request: CPU of this process, and SQL statements.

Run: python benchmarks/auth/session.py [rounds]

Three kinds of requests take turns, so that a busy machine hits them alike: of nobody, to a view that
asks the database one thing; of somebody signed in, to the same view; of somebody with a token. The
figure is the difference of their medians. CPU is that of the thread, without PostgreSQL's.
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

from combine_auth.sessions import start_session
from combine_auth.settings import AuthSettings
from combine_auth.tokens import create_token
from combine_core.database import engine_of, session_factory
from combine_core.database.migrations import upgrade
from combine_core.postgres.embedded import EmbeddedPostgres
from combine_core.settings import SETTINGS_KEY, CoreSettings, load_all
from combine_core.settings.database_url import parse_database_url
from combine_core.users import get_or_create_user

ROUNDS = 3000
WARM_UP = 300


def one(request: Any) -> dict[str, Any]:
    """The view: asks who is there, and the database one thing."""
    identity = request.identity
    value = request.dbsession.scalar(text("SELECT 1"))
    return {"value": value, "email": identity and identity.email}


def build(url: str) -> Any:
    """A small application on combine_auth."""
    ini = {"combine_core.environment": "development", "combine_core.database_url": url}
    loaded = load_all(ini, None, {}, [CoreSettings, AuthSettings])
    with Configurator(settings={**ini, SETTINGS_KEY: loaded}) as config:
        config.include("combine_core.settings")
        config.include("combine_core.database")
        config.include("combine_core.pages")
        config.include("combine_auth")
        config.add_route("one", "/one")
        config.add_view(one, route_name="one", renderer="json")
        return config.make_wsgi_app()


def measure(url: str, rounds: int) -> dict[str, float]:
    """Median CPU of a request of each kind, in milliseconds."""
    app = build(url)
    with session_factory(app.registry).begin() as session:
        user = get_or_create_user(session, "ann@example.com")
        cookie = start_session(session, user.id)
        token, _ = create_token(session, user.id, "benchmark")
    headers = {
        "nobody": {},
        "session": {"Cookie": f"combine_session={cookie}"},
        "token": {"Authorization": f"Bearer {token}"},
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
    engine_of(app.registry).dispose()
    for kind, milliseconds in taken.items():
        sys.stdout.write(
            f"{kind:8} {statistics.median(milliseconds):.3f} ms CPU (median of {rounds}),"
            f" {counts[kind]} statements\n"
        )
    return {kind: statistics.median(milliseconds) for kind, milliseconds in taken.items()}


def _call(app: Callable[..., Any], request: Request) -> str:
    found: list[str] = []

    def start_response(status: str, _headers: Any, _error: Any = None) -> None:
        found.append(status)

    b"".join(app(request.environ, start_response))
    return found[0]


def main() -> None:
    """Start a PostgreSQL, measure, and say by how much each kind is dearer than nobody."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory(prefix="combine-bench-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder) / "postgres", durable=False) as server:
            url = server.start()
            upgrade(parse_database_url(url).get_secret_value())
            medians = measure(url, rounds)
    for kind in ("session", "token"):
        added = medians[kind] - medians["nobody"]
        sys.stdout.write(f"a {kind} adds {added:.3f} ms of CPU\n")


if __name__ == "__main__":
    main()
