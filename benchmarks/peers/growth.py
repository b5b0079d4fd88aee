"""What a request costs in a small and in a large project, and the plans of its statements.

    PYTHONPATH=. python benchmarks/peers/growth.py

It calls the application without a server: 1,000 documents, then 1,000,000 with 10,000 members, 1,000 versions
of one document, and 10,000 reviews.
"""

from __future__ import annotations

import io
import json
import re
import secrets
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import Engine, event, text

from combine_core.app import main
from combine_core.database import engine_of, make_engine
from combine_core.settings.database_url import parse_database_url

sys.path.insert(0, str(Path(__file__).resolve().parent))

from room import SLUG, Room, fill, postgres

CALLS = 200
INCLUDES = "combine_health combine_core combine_core.health combine_auth combine_auth.health"

# Members, versions of the first document, and open reviews of the others.
_GROW = """
INSERT INTO users (id, email, name, is_admin)
SELECT gen_random_uuid(), 'user' || n || '@example.org', 'User ' || n, false FROM generate_series(1, 10000) n;
INSERT INTO memberships (project_id, user_id, role)
SELECT :project, id, 'viewer' FROM users WHERE id <> :user;
INSERT INTO document_versions
    (id, document_id, number, origin, model, used_llm, content, markdown, sha256, flagged, support)
SELECT gen_random_uuid(), document_id, n, origin, model, used_llm, content, markdown, sha256, flagged, support
FROM document_versions, generate_series(2, 1000) n WHERE document_id = :document;
INSERT INTO version_inputs (version_id, position, kind, ref_id, name, sha256, revision)
SELECT v.id, i.position, i.kind, i.ref_id, i.name, i.sha256, i.revision
FROM document_versions v, document_versions f, version_inputs i
WHERE v.document_id = :document AND v.number > 1 AND f.document_id = :document AND f.number = 1
    AND i.version_id = f.id;
UPDATE documents SET head = 1000, last_number = 1000 WHERE id = :document;
INSERT INTO reviews
    (id, project_id, document_id, version_id, number, sha256, role, needed, author_may_decide, on_expiry)
SELECT gen_random_uuid(), project_id, id, id, 1, 'x', 'reviewer', 1, true, 'nothing'
FROM documents WHERE id <> :document ORDER BY id DESC LIMIT 10000;
"""


def requests(room: Room) -> dict[str, tuple[str, str, bytes]]:
    """The title, method, path and body of each."""
    project, document = f"/api/v1/projects/{SLUG}", f"/api/v1/documents/{room.document_id}"
    source = json.dumps(
        {"name": "notes.md", "text": "We decided to open the harbour. " * 64}
    ).encode()
    return {
        "list of 50 documents": ("GET", f"{project}/documents?limit=50", b""),
        "one document of 20 kB": ("GET", document, b""),
        "post a source of 2 kB": ("POST", f"{project}/sources", source),
        "project page": ("GET", f"/projects/{SLUG}", b""),
        "50 members": ("GET", f"{project}/members?limit=50", b""),
        "50 versions": ("GET", f"{document}/versions?limit=50", b""),
        "inbox (page)": ("GET", "/inbox", b""),
    }


def call(app: Any, room: Room, method: str, address: str, body: bytes) -> None:
    path, _, query = address.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SCRIPT_NAME": "",
        "HTTP_HOST": "localhost",
        "HTTP_AUTHORIZATION": f"Bearer {room.token}",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": "application/json",
        "wsgi.url_scheme": "https",
        "wsgi.version": (1, 0),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    seen: list[str] = []
    answer = b"".join(app(environ, lambda status, *_: seen.append(status)))
    if not seen[0].startswith("2"):
        raise SystemExit(f"{method} {address}: {seen[0]}\n{answer.decode()[:500]}")


def measure(room: Room) -> tuple[dict[str, tuple[float, float]], dict[str, list[str]]]:
    """Milliseconds of time and of our processor time for each request, and the plans of its statements."""
    settings = {
        "combine_core.environment": "production",
        "combine_core.database_url": room.url,
        "combine_core.public_url": "https://localhost",
        "combine_core.secret_key": secrets.token_hex(32),
    }
    app = main({}, **{"pyramid.includes": INCLUDES}, **settings)
    engine = engine_of(app.registry)
    found, plans = {}, {}
    for title, request in requests(room).items():
        for _ in range(CALLS // 4):
            call(app, room, *request)
        took, used = [], []
        for _ in range(CALLS):
            started, cpu = time.perf_counter(), time.thread_time()
            call(app, room, *request)
            used.append(time.thread_time() - cpu)
            took.append(time.perf_counter() - started)
        found[title] = median(took) * 1000, median(used) * 1000
        plans[title] = explain(engine, lambda request=request: call(app, room, *request))  # type: ignore[misc]
    engine.dispose()
    return found, plans


def explain(engine: Engine, send: Any) -> list[str]:
    """The plan of each statement that reads, shortened to what it does and costs."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    send()
    event.remove(engine, "before_cursor_execute", note)
    shown = []
    with engine.connect() as connection:
        cursor = connection.connection.cursor()
        for statement, parameters in seen:
            if not statement.startswith("SELECT"):
                continue
            for _ in range(3):
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", parameters)
                lines = [line for (line,) in cursor.fetchall()]
            shown.append("\n".join(short(line) for line in lines if is_told(line)))
    return shown


def is_told(line: str) -> bool:
    words = (
        "->",
        "Limit",
        "Unique",
        "Aggregate",
        "Sort ",
        "Time:",
        "Nested",
        "Index Scan",
        "Seq Scan",
    )
    return any(word in line for word in words) or "Buffers" in line[:12]


def short(line: str) -> str:
    line = re.sub(r"\(cost=[^)]*\) ", "", line)
    return re.sub(
        r"actual time=[\d.]+\.\.([\d.]+) rows=(\d+)[\d.]* loops", r"\1 ms, \2 rows, loops", line
    )


def grow(room: Room) -> None:
    """Add what makes the project large, beside its documents."""
    address = parse_database_url(room.url).get_secret_value()
    engine = make_engine(address, application_name="bench", pool_size=1, max_overflow=0)
    which = {"project": room.project_id, "user": room.user_id, "document": room.document_id}
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text(_GROW), which)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


def run() -> None:
    tables, plans = [], {}
    for documents in (1_000, 1_000_000):
        with postgres() as url:
            room = fill(url, documents=documents)
            if documents > 1_000:
                grow(room)
            found, plans = measure(room)
            tables.append(found)
    sys.stdout.write(
        "| Request | small: time, CPU | large: time, CPU | ratio: time, CPU |\n| --- | --- | --- | --- |\n"
    )
    for title, (took, used) in tables[0].items():
        later, more = tables[1][title]
        ratios = f"{later / took:.2f}, {more / used:.2f}"
        sys.stdout.write(
            f"| {title} | {took:.2f}, {used:.2f} ms | {later:.2f}, {more:.2f} ms | {ratios} |\n"
        )
    for title, statements in plans.items():
        sys.stdout.write(f"\n### {title}\n\n```\n" + "\n\n".join(statements) + "\n```\n")


if __name__ == "__main__":
    run()
