"""Tests the cost of a request in Python function calls, which is the same on every machine.

``calls.json`` stores the last counts. After a change that is meant to alter the cost, count again::

    COMBINE_COUNT_CALLS=1 .venv/bin/pytest tests/functional/api/test_function_calls.py
"""

from __future__ import annotations

import gc
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from webtest import TestApp

from combine_auth.sessions import start_session
from combine_core.database import pool, session_factory
from tests.functional.conftest import make_client

RECORD = Path(__file__).with_name("calls.json")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
MOST = 1.05
PRODUCTION = {
    "combine_core.environment": "production",
    "combine_core.secret_key": "0f3b9a7c5d1e8246a9b0c7d3e5f18264",
    "combine_core.public_url": "https://localhost",
}


def count_calls(act: Callable[[], object]) -> int:
    """Count the Python functions that ``act`` calls, with warm caches."""
    for _ in range(3):
        act()
    # Take the lowest of three counts: opening a connection, for example, adds a thousand calls.
    return min(_count_calls(act) for _ in range(3))


def _count_calls(act: Callable[[], object]) -> int:
    calls = 0

    def note(_frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event == "call"

    # Garbage collection could run finalizers during the count.
    gc.collect()
    gc.disable()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


@pytest.fixture
def counted(sign_in, make_room, run_jobs, make_app, monkeypatch) -> dict[str, int]:
    # Without this, the clock decides whether a connection is tested.
    monkeypatch.setattr(pool, "TEST_INTERVAL_S", math.inf)
    ada = sign_in()
    room = make_room(ada.client)
    for number in range(10):
        room.run(room.add(f"{number}.md", "The harbour opens on 1 May. We decided it."))
    run_jobs()
    # Production does not validate responses.
    app = make_app(PRODUCTION)
    environ = {"wsgi.url_scheme": "https"}
    api = make_client(app)
    api.extra_environ.update(
        environ, HTTP_AUTHORIZATION=ada.client.extra_environ["HTTP_AUTHORIZATION"]
    )
    with session_factory(app.registry).begin() as session:
        cookie = start_session(session, ada.user_id)
    pages = TestApp(app, lint=False, extra_environ=environ)
    pages.extra_environ["HTTP_COOKIE"] = f"__Host-combine_session={cookie}"
    [*_, document] = ada.client.get(f"{room.path}/documents").json["items"]
    own = f"documents/{document['id']}"
    source = {"name": "more.md", "text": "The harbour opens on 1 May.\n" * 70}
    acts: dict[str, Callable[[], Any]] = {
        "GET api documents": lambda: api.get(f"{room.path}/documents", status=200),
        "GET api document": lambda: api.get(f"/api/v1/{own}", status=200),
        "GET api runs": lambda: api.get(f"{room.path}/runs", status=200),
        "GET api me": lambda: api.get("/api/v1/me", status=200),
        "GET api inbox": lambda: api.get("/api/v1/inbox", status=200),
        "GET api search": lambda: api.get(f"{room.path}/search?q=harbour", status=200),
        "GET api register": lambda: api.get(f"{room.path}/register", status=200),
        "POST api source": lambda: api.post_json(f"{room.path}/sources", source, status=201),
        "GET page projects": lambda: pages.get("/projects", status=200),
        "GET page project": lambda: pages.get(f"/projects/{room.slug}", status=200),
        "GET page document": lambda: pages.get(f"/{own}", status=200),
        "GET page inbox": lambda: pages.get("/inbox", status=200),
    }
    return {name: count_calls(act) for name, act in acts.items()}


def test_no_request_makes_more_calls_than_recorded(counted):
    known = json.loads(RECORD.read_text())
    if os.environ.get("COMBINE_COUNT_CALLS"):
        RECORD.write_text(json.dumps({**known, VERSION: counted}, indent=2, sort_keys=True) + "\n")
        known[VERSION] = counted
    if VERSION not in known:
        pytest.skip(f"Nobody has counted with Python {VERSION}; see the head of this file.")
    assert counted.keys() == known[VERSION].keys()
    more = {
        name: f"{calls}, and {known[VERSION][name]} before"
        for name, calls in counted.items()
        if calls > known[VERSION][name] * MOST
    }
    assert more == {}
