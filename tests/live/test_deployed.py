"""Tests that each deployment without containers finishes a run, with every process on its own.

A process of the tests has already imported everything. Here each process has only its own imports.
"""

from __future__ import annotations

import shutil
import signal
import sys
import threading
import urllib.error
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.packaging.installation import installed, wheel
from tests.live.compose_stack import until
from tests.live.deployment import (
    ENDED,
    PATIENCE_S,
    QUOTE,
    QUOTED_LINE,
    Client,
    Deployment,
    check_succeeds,
    start_run,
)
from tests.postgres_cluster import Cluster, make_cluster
from tests.vendor_server import Exchange, VendorServer, hang, ok

__all__ = ["installed", "wheel"]  # the fixtures

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not PROGRAMS,
        reason="no PostgreSQL of the system here (apt-get install postgresql): no deployment is tested",
    ),
]


@pytest.fixture(scope="module")
def server(run_folder: Path) -> Iterator[Cluster]:
    """A server with the PostgreSQL of the system. Its database `combine` stays empty."""
    cluster = make_cluster(run_folder, "deployed", PROGRAMS[-1])
    with cluster.serve(max_connections="100"):
        yield cluster
    shutil.rmtree(cluster.folder)


@pytest.fixture
def database_url(server: Cluster) -> str:
    """An empty database for the test."""
    name = f"deployed_{uuid.uuid4().hex}"
    with server.cursor("postgres") as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    url = server.url(database=name).set(drivername="postgresql")
    return str(url.render_as_string(hide_password=False))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with only production.ini, so that a developer's own .env is not read."""
    shutil.copy(ROOT / "production.ini", tmp_path)
    return tmp_path


def check_run_succeeds(deployment: Deployment) -> None:
    """Check that a run succeeds with one web process and one worker, and that both exit with 0."""
    deployment.migrate()
    web, worker = deployment.start_web(), deployment.start_worker()
    token = deployment.token()
    deployment.until_ready(web)
    client = web.client(token)
    check_succeeds(client, start_run(client, 1), deployment.logs)
    document, source = check_file_becomes_document(client, deployment)
    check_erasing(client, deployment, document, source)
    assert (web.stop(), worker.stop()) == (0, 0), deployment.logs()
    assert "Traceback" not in deployment.logs()


def check_file_becomes_document(client: Client, deployment: Deployment) -> tuple[str, str]:
    """Check that the worker reads a file in a subprocess, a run waits for it, and both become
    searchable.

    :returns: the ids of the document and of its source
    """
    project = client.api("/projects", {"name": "Files"})["slug"]
    page = "<nav>Home</nav><main><h1>Decisions</h1><ul><li>Option B for storage</li></ul></main>"
    source = client.upload(f"/projects/{project}/sources", "board.html", page.encode())
    assert (source["state"], source["revision"]) == ("reading", 0)
    run = client.api(f"/projects/{project}/runs", {"line": "brief", "sources": [source["id"]]})
    until(PATIENCE_S, lambda: client.api(f"/runs/{run['id']}")["state"] in ENDED, deployment.logs)
    read = client.api(f"/projects/{project}/sources/{source['id']}")
    assert (read["state"], read["text"][:11]) == ("ready", "# Decisions")
    (reference,) = client.api(f"/runs/{run['id']}")["documents"]
    (decision,) = client.api(f"/documents/{reference['id']}")["content"]["decisions"]
    assert (decision["text"], decision["verdict"]) == ("Option B for storage", "supported")
    assert decision["heading"] == "Decisions"
    search = f"/projects/{project}/search?q=storage"
    until(PATIENCE_S, lambda: client.api(search)["complete"], deployment.logs)
    assert {hit["kind"] for hit in client.api(search)["items"]} == {"source", "statement"}
    return reference["id"], source["id"]


def check_erasing(client: Client, deployment: Deployment, document: str, source: str) -> None:
    """Check that an operator can erase a source, and then the user with their own projects."""
    deployment.run("combine", "erase", "-c", "production.ini", "source", source, "--yes")
    assert refused(client, f"/documents/{document}") == 404
    assert client.api("/projects/files/sources")["items"] == []
    assert client.api("/projects/files/search?q=storage")["items"] == []
    deployment.run("combine", "erase", "-c", "production.ini", "user", "ann@example.org", "--yes")
    assert refused(client, "/projects") == 401


def refused(client: Client, path: str) -> int:
    """Return the status of an error response."""
    with pytest.raises(urllib.error.HTTPError) as error:
        client.api(path)
    with error.value:
        return error.value.code


def test_a_checkout_is_deployed(folder: Path, database_url: str) -> None:
    with Deployment(folder, Path(sys.executable).parent, database_url) as deployment:
        check_run_succeeds(deployment)


@pytest.mark.slow  # it needs an environment with all dependencies
def test_the_wheel_is_deployed(installed: Path, tmp_path: Path, database_url: str) -> None:
    with Deployment(tmp_path, installed, database_url) as deployment:
        deployment.run("combine", "init", ".")
        check_run_succeeds(deployment)


def writes(exchange: Exchange) -> None:
    """Return the reply of a good model for either step of the brief."""
    proof = {"source": "S1", "line_from": QUOTED_LINE, "line_to": QUOTED_LINE, "quote": QUOTE}
    item = {"text": QUOTE, "evidence": [proof]}
    if "Collect the facts" in exchange.request.prompt:
        ok({"facts": [{**item, "kind": "decision"}]})(exchange)
    else:
        others = ("summary", "key_points", "numbers", "open_questions", "next_steps")
        ok({**{section: [] for section in others}, "decisions": [item]})(exchange)


def test_runs_succeed_after_one_of_two_workers_is_killed(folder: Path, database_url: str) -> None:
    gate = threading.Event()
    settings = {"DEFAULT_MODEL": "openai/gpt-5-mini", "OPENAI_API_KEY": "of-nobody"}
    with (
        VendorServer().always(hang(gate, writes)) as vendor,
        Deployment(
            folder,
            Path(sys.executable).parent,
            database_url,
            OPENAI_BASE_URL=vendor.openai_url,
            **settings,
        ) as deployment,
    ):
        deployment.migrate()
        # Each worker runs one step at a time with its own key, so the key identifies the worker of
        # a request.
        workers = {
            key: deployment.start_worker("--concurrency", "1", OPENAI_API_KEY=key)
            for key in ("of-the-first", "of-the-second")
        }
        webs = [deployment.start_web(), deployment.start_web()]
        token = deployment.token()
        deployment.until_ready(*webs)
        clients = [web.client(token) for web in webs]

        # Hold the calls until each worker has one.
        runs = [start_run(client, number) for number, client in enumerate(clients, 1)]
        asked = vendor.wait_for(2, PATIENCE_S)
        assert {request.key for request in asked} == set(workers)
        gate.set()
        for client, run in zip(reversed(clients), runs, strict=True):
            check_succeeds(client, run, deployment.logs)

        # Repeat it, and kill one worker during its call.
        gate.clear()
        before = len(vendor.requests)
        runs = [start_run(client, number) for number, client in enumerate(clients, 3)]
        held = vendor.wait_for(before + 2, PATIENCE_S)[before:]
        assert {request.key for request in held} == set(workers)
        workers.pop("of-the-first").stop(signal.SIGKILL)
        gate.set()
        for client, run in zip(reversed(clients), runs, strict=True):
            check_succeeds(client, run, deployment.logs)
        after = vendor.requests[len(held) + before :]
        assert {request.key for request in after} == {"of-the-second"}
        (lost,) = (request for request in held if request.key == "of-the-first")
        assert lost.prompt in {request.prompt for request in after}

        for process in (*webs, *workers.values()):
            assert process.stop() == 0, process.log()
