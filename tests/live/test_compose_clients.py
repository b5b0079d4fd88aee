"""Tests that the service learns the address of a client only from the balancer.

A test application replaces the service on the same server. It returns what the server reports.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from tests.live.compose_stack import Stack, engine_answers, until

if not engine_answers():
    pytest.skip(
        "no container engine answers (docker info, docker-compose): the stack is untested",
        allow_module_level=True,
    )

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("compose"),
]

INI = """
[app:main]
use = call:seen:main
pyramid.includes = combine_health

[server:main]
use = egg:pyramid-combine#waitress
"""

APPLICATION = '''
"""Says what the server tells of a request."""

from pyramid.config import Configurator


def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.add_route("seen", "/seen")
        config.add_view(seen, route_name="seen", renderer="json")
        return config.make_wsgi_app()


def seen(request):
    return {
        "address": request.remote_addr,
        "client": request.client_addr,
        "url": request.host_url,
        "said": sorted(name for name in request.headers if "Forwarded" in name),
    }
'''

ON_TOP = """
services:
  app:
    command: [pserve, /seen/seen.ini]
    environment: {PYTHONPATH: /seen}
    volumes: ["./seen:/seen:ro"]
"""

FORGED = {
    "X-Forwarded-For": "192.0.2.66, 203.0.113.9",
    "X-Forwarded-Host": "combine.example.com",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Port": "666",
    "X-Forwarded-By": "192.0.2.1",
    "Forwarded": "for=192.0.2.77;proto=https;host=forged.example.com",
    "X-Real-IP": "192.0.2.78",
}
TRUSTED = ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack with the test application."""
    stack = Stack.clone(tmp_path_factory.mktemp("compose") / "checkout")
    (stack.folder / "seen").mkdir()
    (stack.folder / "seen" / "seen.py").write_text(APPLICATION)
    (stack.folder / "seen" / "seen.ini").write_text(INI)
    stack.add_compose_file("seen", ON_TOP)
    try:
        yield stack
    finally:
        stack.remove()


def listening(stack: Stack, address: str) -> None:
    """Restart the balancer, with its port on this address of the machine."""
    stack.environment["LISTEN"] = address
    stack.sh("docker-compose up -d app worker lb")
    stack.until_ready()


def from_worker(stack: Stack, host: str, headers: dict[str, str]) -> Any:
    """Return what the service sees of a request from the container of the worker."""
    code = (
        "import sys, urllib.request as u;"
        f"r = u.Request('http://{host}:8000/seen', headers={headers!r});"
        "print(u.urlopen(r, timeout=10).read().decode())"
    )
    return json.loads(
        stack.sh(f"docker-compose exec -T worker python -c {shlex.quote(code)}").stdout
    )


def address_of(stack: Stack, service: str) -> str:
    """Return the address of a container in the network of the stack."""
    (container,) = stack.containers(service)
    shown = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return stack.sh(f"docker inspect --format '{shown}' {container}").stdout.strip()


def test_clients_of_an_open_port_cannot_forge_an_address(stack: Stack) -> None:
    listening(stack, "0.0.0.0")
    here = address_of(stack, "worker")
    for headers in ({}, FORGED, {**FORGED, "Host": "combine.example.com"}):
        seen = from_worker(stack, "lb", headers)
        assert (seen["address"], seen["client"]) == (here, here)
        assert seen["url"] == f"http://{headers.get('Host', 'lb:8000')}"
        assert seen["said"] == TRUSTED

    _, _, seen = stack.get("/seen", FORGED)
    assert seen["address"] not in str(FORGED)
    assert seen["url"] == stack.url


def test_requests_that_bypass_the_balancer_cannot_forge_an_address(stack: Stack) -> None:
    listening(stack, "127.0.0.1")
    here = address_of(stack, "worker")
    seen = from_worker(stack, "app", FORGED)
    assert seen == {"address": here, "client": here, "url": "http://app:8000", "said": []}


def test_a_local_tls_proxy_is_trusted(stack: Stack) -> None:
    listening(stack, "127.0.0.1")
    expected = {
        "address": "203.0.113.9",
        "client": "203.0.113.9",
        "url": "https://combine.example.com",
        "said": TRUSTED,
    }
    assert stack.get("/seen", FORGED)[2] == expected
    plain = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    assert stack.get("/seen", {**plain, "Host": "combine.example.com"})[2] == expected
    # Its claim about the client is not an address, so the address of the connection counts.
    for slip in ("", "unknown", "203.0.113.9, nonsense", ":80"):
        status, _, seen = stack.get("/seen", {"X-Forwarded-For": slip})
        assert (status, seen["url"]) == (200, stack.url)
        assert seen["address"].startswith("172.") or seen["address"].startswith("192.168.")


def test_a_balancer_with_a_new_address_is_trusted(stack: Stack) -> None:
    listening(stack, "0.0.0.0")
    before = address_of(stack, "lb")
    stack.sh("docker-compose rm --stop --force lb")
    # Another container gets its address in the meantime.
    stack.sh("docker-compose up -d --no-recreate --scale worker=3 worker")
    stack.sh("docker-compose up -d --no-recreate lb")
    stack.until_ready()
    try:
        assert address_of(stack, "lb") != before
        until(10, lambda: stack.get("/seen")[2]["said"] == TRUSTED, stack.logs)
    finally:
        stack.sh("docker-compose up -d --scale worker=1 worker")
