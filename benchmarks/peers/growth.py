"""Measure the cost of a request in a small and in a large project, and show the query plans.

    PYTHONPATH=. python benchmarks/peers/growth.py

The script calls the application without a server. The small project has 1,000 documents. The large
one has 1,000,000 documents, 10,000 members, 1,000 versions of one document, 10,000 reviews,
mentions and items of the register. All pages are full in both.
"""

from __future__ import annotations

import io
import json
import re
import secrets
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import Engine, event, text

from combine_core.app import main
from combine_core.database import engine_of, make_engine
from combine_core.settings.database_url import parse_database_url

sys.path.insert(0, str(Path(__file__).resolve().parent))

from room import SLUG, Room, fill, postgres

CALLS = 100
ROUNDS = 7
INCLUDES = "combine_health combine_core combine_core.health combine_auth combine_auth.health"

# Members, versions of the first document, and open reviews of the other documents.
_GROW = """
INSERT INTO users (id, email, name, is_admin)
SELECT gen_random_uuid(), 'user' || n || '@example.org', 'User ' || n, false
FROM generate_series(1, :members) n;
INSERT INTO memberships (project_id, user_id, role)
SELECT :project, id, 'viewer' FROM users WHERE id <> :user;
INSERT INTO document_versions
    (id, document_id, number, origin, model, used_llm, content, markdown, sha256, flagged, support)
SELECT gen_random_uuid(), document_id, n, origin, model, used_llm, content, markdown, sha256, flagged, support
FROM document_versions, generate_series(2, :versions) n WHERE document_id = :document;
INSERT INTO version_inputs (version_id, position, kind, ref_id, name, sha256, revision)
SELECT v.id, i.position, i.kind, i.ref_id, i.name, i.sha256, i.revision
FROM document_versions v, document_versions f, version_inputs i
WHERE v.document_id = :document AND v.number > 1 AND f.document_id = :document AND f.number = 1
    AND i.version_id = f.id;
UPDATE documents SET head = :versions, last_number = :versions WHERE id = :document;
INSERT INTO reviews
    (id, project_id, document_id, version_id, number, sha256, role, needed, author_may_decide, on_expiry)
SELECT gen_random_uuid(), project_id, id, id, 1, 'x', 'reviewer', 1, true, 'nothing'
FROM documents WHERE id <> :document ORDER BY id DESC LIMIT :each;
INSERT INTO comments
    (id, project_id, document_id, version_id, number, pointer, statement, text, author_id)
SELECT gen_random_uuid(), project_id, id, id, 1, '/key_points/0', 'The harbour opens.', 'Really?', :user
FROM documents WHERE id <> :document ORDER BY id DESC LIMIT :each;
INSERT INTO comment_mentions (comment_id, user_id)
SELECT id, author_id FROM comments;
INSERT INTO register_items (id, project_id, kind, text, state)
SELECT gen_random_uuid(), :project, 'decision', 'The harbour opens on day ' || n, 'open'
FROM generate_series(1, :each) n;
INSERT INTO register_sayings (id, item_id, version_id, pointer, text, sources, contradicts)
SELECT gen_random_uuid(), i.id, v.id, '/key_points/0', i.text, '{}', '{}'
FROM register_items i, document_versions v WHERE v.document_id = :document AND v.number = 1;
"""


@dataclass(frozen=True)
class Size:
    """The size of a project.

    :ivar each: the number of open reviews, of comments that mention the user, and of register items
    """

    documents: int
    members: int
    versions: int
    each: int


# Each page is full in both projects.
SIZES = (Size(1_000, 60, 60, 60), Size(1_000_000, 10_000, 1_000, 10_000))


def requests(room: Room) -> dict[str, tuple[str, str, bytes]]:
    """Return the title, method, path and body of each request."""
    project, document = f"/api/v1/projects/{SLUG}", f"/api/v1/documents/{room.document_id}"
    source = json.dumps(
        {"name": "notes.md", "text": "We decided to open the harbour. " * 64}
    ).encode()
    return {
        "list of 50 documents": ("GET", f"{project}/documents?limit=50", b""),
        "one document of 20 kB": ("GET", document, b""),
        "post a source of 2 kB": ("POST", f"{project}/sources", source),
        "project page": ("GET", f"/projects/{SLUG}", b""),
        "list of 50 runs": ("GET", f"{project}/runs?limit=50", b""),
        "50 members": ("GET", f"{project}/members?limit=50", b""),
        "50 versions": ("GET", f"{document}/versions?limit=50", b""),
        "50 items of the register": ("GET", f"{project}/register?limit=50", b""),
        "register (page)": ("GET", f"/projects/{SLUG}/register", b""),
        "inbox of the API": ("GET", "/api/v1/inbox", b""),
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


@dataclass
class Place:
    """An application on the database of one project, and the cost of its requests.

    :ivar used: the processor time of each request in each round, in milliseconds
    :ivar calls: the number of Python function calls of each request
    :ivar buffers: the number of pages of 8 kB that PostgreSQL reads for each request
    :ivar plans: the query plans of each request
    """

    room: Room
    app: Any
    used: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    calls: dict[str, int] = field(default_factory=dict)
    buffers: dict[str, int] = field(default_factory=dict)
    plans: dict[str, list[str]] = field(default_factory=dict)


def open_place(room: Room) -> Place:
    settings = {
        "combine_core.environment": "production",
        "combine_core.database_url": room.url,
        "combine_core.public_url": "https://localhost",
        "combine_core.secret_key": secrets.token_hex(32),
    }
    return Place(room, main({}, **{"pyramid.includes": INCLUDES}, **settings))


def measure(places: list[Place]) -> None:
    """Measure each request. The projects alternate, so that other load on the machine affects both."""
    for title in requests(places[0].room):
        for place in places:
            for _ in range(CALLS):
                call(place.app, place.room, *requests(place.room)[title])
        for _ in range(ROUNDS):
            for place in places:
                request = requests(place.room)[title]
                used = []
                for _ in range(CALLS):
                    cpu = time.thread_time()
                    call(place.app, place.room, *request)
                    used.append(time.thread_time() - cpu)
                place.used[title].append(median(used) * 1000)
        for place in places:
            request = requests(place.room)[title]
            place.calls[title] = count_calls(place, request)
            engine = engine_of(place.app.registry)
            place.plans[title], place.buffers[title] = explain(
                engine,
                lambda place=place, request=request: call(place.app, place.room, *request),  # type: ignore[misc]
            )


def count_calls(place: Place, request: tuple[str, str, bytes]) -> int:
    calls = 0

    def note(_frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event == "call"

    # The connection may be tested after a second without a request.
    call(place.app, place.room, *request)
    sys.setprofile(note)
    call(place.app, place.room, *request)
    sys.setprofile(None)
    return calls


def explain(engine: Engine, send: Any) -> tuple[list[str], int]:
    """Return the plan of each query, shortened to its nodes and costs, and the number of pages in all."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    send()
    event.remove(engine, "before_cursor_execute", note)
    shown, buffers = [], 0
    with engine.connect() as connection:
        cursor = connection.connection.cursor()
        for statement, parameters in seen:
            if not statement.startswith("SELECT"):
                continue
            for _ in range(3):
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", parameters)
                lines = [line for (line,) in cursor.fetchall()]
            # The first node covers the whole statement.
            pages = re.search(r"Buffers: shared hit=(\d+)(?: read=(\d+))?", "\n".join(lines))
            buffers += sum(int(number or 0) for number in pages.groups()) if pages else 0
            shown.append("\n".join(short(line) for line in lines if is_told(line)))
    return shown, buffers


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


def grow(room: Room, size: Size) -> None:
    """Add everything except the documents."""
    address = parse_database_url(room.url).get_secret_value()
    engine = make_engine(address, application_name="bench", pool_size=1, max_overflow=0)
    which = {"project": room.project_id, "user": room.user_id, "document": room.document_id}
    which |= asdict(size)
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text(_GROW), which)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


def run() -> None:
    with ExitStack() as stack:
        places = []
        for size in SIZES:
            room = fill(stack.enter_context(postgres()), documents=size.documents)
            grow(room, size)
            places.append(open_place(room))
        measure(places)
        for place in places:
            engine_of(place.app.registry).dispose()
    small, large = places
    write = sys.stdout.write
    write("| Request | CPU, small | CPU, large | ratio | calls | pages |\n")
    write("| --- | --- | --- | --- | --- | --- |\n")
    for title in small.used:
        before, after = (min(place.used[title]) for place in places)
        ratio = median(
            more / less for less, more in zip(small.used[title], large.used[title], strict=True)
        )
        calls = f"{small.calls[title]:,} and {large.calls[title]:,}"
        pages = f"{small.buffers[title]:,} and {large.buffers[title]:,}"
        write(f"| {title} | {before:.2f} ms | {after:.2f} ms | {ratio:.2f} | {calls} | {pages} |\n")
    for title, statements in large.plans.items():
        write(f"\n### {title}\n\n```\n" + "\n\n".join(statements) + "\n```\n")


if __name__ == "__main__":
    run()
