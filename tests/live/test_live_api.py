"""Tests the API over real HTTP, for behavior that WebTest cannot show."""

import json
import subprocess
import time
import urllib.request


def call(service, token, path, body=None):
    request = urllib.request.Request(
        service.url + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def finished_run(service, token):
    """Start a run of the line ``brief`` in a new project, and return it after its end or a minute."""
    call(service, token, "/api/v1/projects", {"name": "Harbour"})
    notes = {"name": "notes.md", "text": "The harbour opens on 1 May. We decided to hire pilots."}
    source = call(service, token, "/api/v1/projects/harbour/sources", notes)
    order = {"line": "brief", "sources": [source["id"]]}
    run = call(service, token, "/api/v1/projects/harbour/runs", order)
    deadline = time.monotonic() + 60
    while run["state"] == "running" and time.monotonic() < deadline:
        time.sleep(0.1)
        run = call(service, token, f"/api/v1/runs/{run['id']}")
    return run


def token_of(service):
    """Return a token of ada@example.com."""
    created = subprocess.run(
        ["combine", "token", "create", "-c", service.ini, "--user", "ada@example.com"],
        env=service.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return created.stdout.strip().splitlines()[-1]


def test_a_run_succeeds_in_the_worker_of_the_service(service):
    token = token_of(service)
    assert finished_run(service, token)["state"] == "succeeded", service.log()
