"""Tests that a deployed run survives faults at each step: an exception, kill -9, a lost database."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.live.compose_stack import until
from tests.live.deployment import (
    ENDED,
    HOST,
    PATIENCE_S,
    Client,
    Deployment,
    Process,
    Web,
    check_succeeds,
    start_run,
)
from tests.live.test_deployed import PROGRAMS, database_url, folder, server, writes
from tests.live.test_deployed import pytestmark as deployed
from tests.postgres_cluster import make_cluster
from tests.vendor_server import Exchange, VendorServer

__all__ = ["database_url", "folder", "server"]

pytestmark = [*deployed, pytest.mark.slow]

BIN = Path(sys.executable).parent
STEPS = ("facts", "brief")

# A plugin with a faulty provider: it raises an error at the step that the model names.
PLUGIN = """
from combine_core.llm import hookimpl, Completion, Usage
import json

FACT = {
    "text": "A fact.", "kind": "statement",
    "evidence": [{"source": "S1", "line_from": 1, "line_to": 1, "quote": "A fact."}],
}


class Buggy:
    name = "buggy"

    def complete(self, request):
        step = "facts" if "facts" in request.schema["properties"] else "brief"
        if request.model == step:
            raise KeyError("canary")
        return Completion(
            text=json.dumps({"facts": [FACT]}), usage=Usage(input_tokens=1, output_tokens=1), cost=None,
            http_status=200, provider_request_id="r", stop_reason="stop", used_llm=True,
        )

@hookimpl
def combine_core_register_providers(register, settings):
    register(Buggy())
"""


@pytest.fixture
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with the plugin as an installed distribution."""
    site = tmp_path_factory.mktemp("plugin")
    (site / "buggy_provider.py").write_text(PLUGIN)
    info = site / "buggy_provider-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: buggy-provider\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[combine.providers]\nbuggy = buggy_provider\n")
    return site


def run_of_model(client: Client, name: str, model: str) -> dict[str, Any]:
    project = client.api("/projects", {"name": name})["slug"]
    source = client.api(f"/projects/{project}/sources", {"name": "a.md", "text": "A fact.\n"})
    body = {"line": "brief", "sources": [source["id"]], "model": model}
    run: dict[str, Any] = client.api(f"/projects/{project}/runs", body)
    return run


def worker_check(web: Web) -> dict[str, Any]:
    """Return the check of the worker, as an operator on the machine sees it."""
    request = urllib.request.Request(f"{web.url}/health/detailed", headers={"Host": HOST})
    with urllib.request.urlopen(request, timeout=30) as answer:
        check: dict[str, Any] = json.load(answer)["checks"]["worker"]
    return check


def test_an_exception_at_each_step_is_handled(
    folder: Path, database_url: str, plugin: Path
) -> None:
    with Deployment(folder, BIN, database_url, PYTHONPATH=str(plugin)) as deployment:
        deployment.migrate()
        web, worker = deployment.start_web(), deployment.start_worker()
        client = web.client(deployment.token())
        deployment.until_ready(web)
        runs = {step: run_of_model(client, step, f"buggy/{step}") for step in STEPS}

        def now(step: str) -> dict[str, Any]:
            read: dict[str, Any] = client.api(f"/runs/{runs[step]['id']}")
            return read

        until(
            PATIENCE_S, lambda: all(now(step)["state"] in ENDED for step in STEPS), deployment.logs
        )
        log = worker.log()
        for step in STEPS:
            failed = now(step)
            assert (failed["state"], failed["error_code"]) == ("failed", "internal"), failed
            # The message for the user leads to the line in the log.
            assert "An unexpected error (KeyError) ended this step, 3 times." in failed["error"]
            step_id = failed["error"].partition("Look for step ")[2].split()[0]
            assert log.count(f"[{step_id}]") >= 3, log
            states = [one["state"] for one in failed["steps"]]
            assert states == (["failed", "cancelled"] if step == "facts" else ["done", "failed"])
        assert log.count("Traceback (most recent call last)") == len(STEPS)

        until(PATIENCE_S, lambda: worker_check(web)["status"] == "degraded", deployment.logs)
        check = worker_check(web)
        assert check["cause"] == "steps_failing"
        assert "2 steps failed" in check["detail"]
        assert "docker-compose logs worker" in check["remedy"]
        doctor = subprocess.run(
            [BIN / "combine", "doctor", "-c", "production.ini"],
            cwd=folder,
            env=deployment.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert "steps_failing" in doctor.stdout
        assert (web.stop(), worker.stop()) == (0, 0)


class Held:
    """A vendor whose reply to the chosen step waits for the test."""

    def __init__(self) -> None:
        self.step = ""
        self.asked = threading.Event()
        self.may_answer = threading.Event()

    def hold(self, step: str) -> None:
        """Delay requests of this step until :meth:`let_go`."""
        self.asked.clear()
        self.may_answer.clear()
        self.step = step

    def let_go(self) -> None:
        self.step = ""
        self.may_answer.set()

    def __call__(self, exchange: Exchange) -> None:
        step = "facts" if "Collect the facts" in exchange.request.prompt else "brief"
        if step == self.step:
            self.asked.set()
            self.may_answer.wait(PATIENCE_S)
        writes(exchange)


def model_of(vendor: VendorServer) -> dict[str, str]:
    return {
        "DEFAULT_MODEL": "openai/gpt-5-mini",
        "OPENAI_API_KEY": "of-nobody",
        "OPENAI_BASE_URL": vendor.openai_url,
    }


def test_a_run_survives_kill_9_at_each_step(folder: Path, database_url: str) -> None:
    held = Held()
    with (
        VendorServer().always(held) as vendor,
        Deployment(folder, BIN, database_url, **model_of(vendor)) as deployment,
    ):
        deployment.migrate()
        web = deployment.start_web()
        client = web.client(deployment.token())
        deployment.until_ready(web)
        for number, step in enumerate(STEPS, 1):
            worker: Process = deployment.start_worker()
            held.hold(step)
            run = start_run(client, number)
            assert held.asked.wait(PATIENCE_S), deployment.logs()
            assert worker.stop(signal.SIGKILL) == -signal.SIGKILL
            held.let_go()
            following = deployment.start_worker()
            check_succeeds(client, run, deployment.logs)
            assert "died; the job is queued again" in following.log()
            assert following.stop() == 0
        assert "Traceback" not in deployment.logs()


def test_a_run_survives_a_lost_database_at_each_step(folder: Path, run_folder: Path) -> None:
    cluster = make_cluster(run_folder, "away", PROGRAMS[-1])
    url = cluster.url().set(drivername="postgresql").render_as_string(hide_password=False)
    held = Held()
    with (
        VendorServer().always(held) as vendor,
        Deployment(folder, BIN, url, **model_of(vendor)) as deployment,
    ):
        with cluster.serve(max_connections="100"):
            deployment.migrate()
            web, worker = deployment.start_web(), deployment.start_worker()
            client = web.client(deployment.token())
            deployment.until_ready(web)
            held.hold("facts")
            run = start_run(client, 1)
            assert held.asked.wait(PATIENCE_S), deployment.logs()
        # The database is stopped. The reply arrives now and waits in the memory of the worker.
        until(PATIENCE_S, lambda: not web.is_ready(), deployment.logs)
        held.let_go()
        until(PATIENCE_S, lambda: "The database is unavailable" in worker.log(), deployment.logs)
        held.hold("brief")
        with cluster.serve(max_connections="100"):
            assert held.asked.wait(PATIENCE_S), deployment.logs()
        until(PATIENCE_S, lambda: not web.is_ready(), deployment.logs)
        held.let_go()
        with cluster.serve(max_connections="100"):
            deployment.until_ready(web)
            check_succeeds(client, run, deployment.logs)
            with cluster.cursor() as cursor:
                cursor.execute("SELECT sum(errors), sum(failures) FROM steps")
                assert cursor.fetchone() == (0, 0)
            # Each request was paid for once.
            assert len(vendor.requests) == len(STEPS)
            assert worker_check(web)["status"] == "healthy"
            assert (web.stop(), worker.stop()) == (0, 0)
    shutil.rmtree(cluster.folder)
