"""Tests that a web process imports only the modules it needs at start, to save time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from combine_auth.tokens.service import create_token
from combine_core.projects import create_project
from combine_core.sources import add_source
from combine_core.users import get_or_create_user

ROOT = Path(__file__).parents[3]
# Start like pserve, then send the requests from standard input, if any.
SERVE = """
import gc, json, sys
from pyramid.paster import get_app
app = get_app("production.ini", options={"__script__": "pserve"})
modules = sorted(sys.modules)
requests = json.load(sys.stdin)
if requests:
    from webob import Request
for path, headers, body in requests:
    request = Request.blank(path, base_url="https://combine.example.com", headers=headers)
    if body is not None:
        request.method, request.content_type, request.json = "POST", "application/json", body
    answer = request.get_response(app)
    assert answer.status_int < 300, (path, answer.text)
json.dump([modules, sorted(sys.modules), gc.get_freeze_count()], sys.stdout)
"""
# These modules are needed by few processes, or only for some requests.
NOT_YET = {
    "Stemmer",
    "alembic",
    "anthropic",
    "attr",
    "authlib",
    "charset_normalizer",
    "croniter",
    "cryptography",
    "docx",
    "genai_prices",
    "httpx",
    "icalendar",
    "joserfc",
    "jsonschema_path",
    "lxml",
    "mako",
    "markdown_it",
    "openai",
    "openapi_core",
    "openapi_spec_validator",
    "openpyxl",
    "procrastinate",
    "psycopg",
    "psycopg_binary",
    "psycopg_pool",
    "pygments",
    "pypdfium2",
    "referencing",
    "requests",
    "rich",
    "rpds",
    "sentencex",
    "typst",
    "urllib3",
    "werkzeug",
}
MOST_MODULES = 1230


def serve(*requests, database_url="postgresql://nobody@localhost:1/nothing"):
    """Return the modules before and after the requests, and the number of objects exempt from collection."""
    environ = {
        "PATH": os.environ["PATH"],
        "SECRET_KEY": "0f3b9a7c5d1e8246a9b0c7d3e5f18264",
        "PUBLIC_URL": "https://combine.example.com",
        "DATABASE_URL": database_url,
    }
    done = subprocess.run(
        [sys.executable, "-c", SERVE],
        cwd=ROOT,
        env=environ,
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def packages(modules):
    return {name.partition(".")[0] for name in modules}


def test_a_web_process_loads_only_what_it_needs():
    modules, _, frozen = serve()
    assert packages(modules) & NOT_YET == set()
    assert len(modules) < MOST_MODULES
    # Otherwise, objects of requests would stay in memory for long.
    assert frozen > 50_000


def test_ordinary_requests_load_no_modules(database_url, dbsession):
    user = get_or_create_user(dbsession, "anna@example.org")
    project = create_project(dbsession, "Harbour", user.id)
    source = add_source(dbsession, project.id, "notes.md", "# Notes\n\nWe open it.", user.id)
    token, _ = create_token(dbsession, user.id, "test")
    dbsession.commit()
    headers = {"Authorization": f"Bearer {token}"}
    api, page = f"/api/v1/projects/{project.slug}", f"/projects/{project.slug}"
    new = {"name": "more.md", "text": "We open it in May."}
    run = {"line": "brief", "sources": [str(source.id)]}
    _, modules, _ = serve(
        *(
            (path, headers, None)
            for path in ("/projects", page, f"{page}/sources/{source.id}", f"{api}/documents")
        ),
        (f"{api}/sources", headers, new),
        (f"{api}/runs", headers, run),
        database_url=database_url,
    )
    assert packages(modules) & NOT_YET == set()
