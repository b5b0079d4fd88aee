"""A database with one project, for the benchmarks of requests."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from combine_auth.tokens.service import create_token
from combine_core.database import make_engine, make_sessions
from combine_core.database.migrations import upgrade
from combine_core.documents import Document, DocumentVersion
from combine_core.documents.model import VersionInput
from combine_core.lines import installed_lines
from combine_core.lines.service import store_version
from combine_core.postgres.embedded import EmbeddedPostgres
from combine_core.projects import create_project
from combine_core.settings.database_url import parse_database_url
from combine_core.sources import add_source
from combine_core.users import get_or_create_user

SLUG = "bench"
# The JSON of this document has about 20 kB.
_STATEMENTS = 60

# Insert sources, runs, and documents with one version each. The document key contains a number
# instead of the time.
_FILL = """
INSERT INTO sources
    (id, project_id, name, media_type, text, sha256, size, line_count, created_by)
SELECT gen_random_uuid(), :project, 'notes ' || n || '.md', 'text/markdown', 'Notes.', md5(n::text), 6, 1,
    :user
FROM generate_series(1, :sources) n;
INSERT INTO runs (id, project_id, line_version_id, model, state, cost, unpriced_calls, requested_by)
SELECT gen_random_uuid(), :project, :line, 'extract', 'succeeded', 0.012, 0, :user
FROM generate_series(1, :sources) n;
INSERT INTO steps (id, run_id, key, position, title, needs, state, epoch, failures)
SELECT gen_random_uuid(), id, 'step' || n, n, 'Step', '{}', 'done', 1, 0
FROM runs, generate_series(1, 2) n;
INSERT INTO run_sources (run_id, position, source_id, revision)
SELECT id, 1, :source, 1 FROM runs;
INSERT INTO documents (id, project_id, type, key, title, head, last_number)
SELECT ('0190' || lpad(to_hex(n), 8, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid, :project,
    'brief', n::text, 'Brief: notes ' || n || '.md', 1, 1
FROM generate_series(1, :documents) n;
INSERT INTO document_versions
    (id, document_id, number, origin, model, used_llm, content, markdown, sha256, flagged, support)
SELECT d.id, d.id, 1, 'line', 'extract', false, '{}', '# Brief', 'x', 0, v.support
FROM documents d, document_versions v WHERE v.document_id = :document AND d.key <> 'first';
INSERT INTO version_inputs (version_id, position, kind, ref_id, name, sha256, revision)
SELECT d.id, i.position, i.kind, i.ref_id, i.name, i.sha256, i.revision
FROM documents d, version_inputs i, document_versions v
WHERE v.document_id = :document AND i.version_id = v.id AND d.key <> 'first';
"""


@dataclass(frozen=True)
class Room:
    """The data that the requests need: the token of a member, the project, and its document of 20 kB."""

    url: str
    token: str
    project_id: uuid.UUID
    document_id: uuid.UUID
    user_id: uuid.UUID


@contextmanager
def postgres() -> Iterator[str]:
    """Return the URL of a server with an empty database that has our schema."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # noqa: PTH101, S103  PostgreSQL runs as another account than root
        with EmbeddedPostgres(Path(folder, "state"), durable=False) as server:
            url = server.start()
            upgrade(parse_database_url(url).get_secret_value())
            yield url


def fill(url: str, *, documents: int = 1000, sources: int = 100) -> Room:
    """Fill the database."""
    address = parse_database_url(url).get_secret_value()
    engine = make_engine(address, application_name="bench", pool_size=1, max_overflow=0)
    with make_sessions(engine).begin() as session:
        session.execute(text("SET LOCAL statement_timeout = 0"))
        user = get_or_create_user(session, "anna@example.org")
        token, _ = create_token(session, user.id, "bench")
        session.execute(
            text("UPDATE personal_access_tokens SET last_used_at = now() + interval '1 day'")
        )
        project = create_project(session, SLUG, user.id)
        source = add_source(session, project.id, "first.md", "The harbour opens.", user.id)
        document = _add_document(session, project.id, source)
        session.execute(
            text(_FILL),
            {
                "project": project.id,
                "user": user.id,
                "source": source.id,
                "document": document,
                "line": store_version(session, installed_lines()["brief"]),
                "sources": sources,
                "documents": documents - 1,
            },
        )
        room = Room(url, token, project.id, document, user.id)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()
    return room


def _add_document(session: Session, project_id: uuid.UUID, source: Any) -> uuid.UUID:
    """Add a document whose JSON has about 20 kB."""
    quote = "The harbour opens on 1 May 2027, as the council has decided in its last meeting."
    content = {
        "key_points": [
            {
                "text": f"{number}. {quote}",
                "evidence": [
                    {"source_id": str(source.id), "line_from": 1, "line_to": 1, "quote": quote}
                ],
                "support": "supported",
            }
            for number in range(_STATEMENTS)
        ]
    }
    line = installed_lines()["brief"]
    version = store_version(session, line)
    inputs = [
        VersionInput(position=0, kind="line", ref_id=version, name=line.name, sha256=line.sha256),
        VersionInput(
            position=1, kind="source", ref_id=source.id, name=source.name, sha256=source.sha256,
            revision=1,
        ),
    ]  # fmt: skip
    document = Document(
        project_id=project_id, type="brief", key="first", title="Brief: first.md", head=1, last_number=1
    )  # fmt: skip
    session.add(
        DocumentVersion(
            document=document, number=1, model="extract", used_llm=False, content=content, inputs=inputs,
            markdown="# Brief\n\n" + quote * 200, sha256="0" * 64, flagged=0,
            support={"supported": _STATEMENTS, "repaired": 0, "unsupported": 0},
        )
    )  # fmt: skip
    session.flush()
    return document.id
