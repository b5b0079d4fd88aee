"""Tests the addresses of the server, its banner, and its messages when it cannot listen."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pyramid.config import Configurator

from combine_health.server.listening import (
    StartError,
    addresses,
    announce,
    describe_holder,
    free_port,
    listen_on,
)
from combine_health.server.mounts import Mount


@pytest.mark.parametrize(
    ("ini", "environ", "expected"),
    [
        ({}, {}, ["127.0.0.1:8000"]),
        ({"listen": "0.0.0.0:80 [::]:81"}, {}, ["0.0.0.0:80", "[::]:81"]),
        ({"host": "0.0.0.0", "port": "90"}, {}, ["0.0.0.0:90"]),
        ({"listen": "0.0.0.0:80 [::]:81"}, {"PORT": "9"}, ["0.0.0.0:9", "[::]:9"]),
        ({"port": "90"}, {"PORT": " 9 "}, ["127.0.0.1:9"]),
        ({"port": "90"}, {"PORT": ""}, ["127.0.0.1:90"]),
        ({"listen": "127.0.0.1:80"}, {"LISTEN": "0.0.0.0"}, ["0.0.0.0:8000"]),
        ({"listen": "127.0.0.1:80"}, {"LISTEN": "0.0.0.0", "PORT": "9"}, ["0.0.0.0:9"]),
        ({}, {"LISTEN": "a:1 b", "PORT": "9"}, ["a:1", "b:9"]),
        ({}, {"LISTEN": "::1"}, ["[::1]:8000"]),
        ({}, {"LISTEN": "[::1]:0"}, ["[::1]:0"]),
    ],
)
def test_addresses_are_parsed(ini, environ, expected):
    assert addresses(ini, environ) == expected


@pytest.mark.parametrize("port", ["abc", "-1", "65536", "80.0", '"8000"', "٨", "8 0"])
def test_an_invalid_port_is_reported(port):
    with pytest.raises(StartError, match=r"^PORT is .*: write a number from 1 to 65535"):
        addresses({}, {"PORT": port})
    with pytest.raises(StartError, match=r"^port is "):
        addresses({"port": port}, {})


@pytest.mark.parametrize("listen", ["host:x", "a:b:c", ":80", "http://localhost:80"])
def test_an_invalid_address_is_reported(listen):
    with pytest.raises(StartError, match=r"^LISTEN is "):
        addresses({}, {"LISTEN": listen})


@pytest.fixture
def used_place():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def place(port, host="127.0.0.1"):
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, (host, port))


def test_a_used_port_is_reported_with_its_process(used_place):
    with pytest.raises(StartError) as caught:
        listen_on([place(used_place)], 5, lambda port: f"make run PORT={port}")
    [said] = str(caught.value).splitlines()
    assert f"port {used_place} on 127.0.0.1 is taken by " in said
    assert f"(process {os.getpid()})" in said
    assert "For another port: make run PORT=" in said
    offered = int(said.rpartition("=")[2])
    for one in listen_on([place(offered)], 5, str):
        one.close()


def test_no_socket_stays_bound_after_a_failure(used_place):
    free = free_port("127.0.0.1", used_place)
    with pytest.raises(StartError):
        listen_on([place(free), place(used_place)], 5, str)
    for one in listen_on([place(free)], 5, str):
        one.close()


def test_an_address_of_another_machine_is_reported():
    with pytest.raises(StartError, match=r"^192\.0\.2\.1 is not an address of this machine"):
        listen_on([place(8000, "192.0.2.1")], 5, str)


# Import it first, because another user may not be able to read the modules.
PRIVILEGED = """
import os, socket
from combine_health.server.listening import StartError, listen_on

if os.getuid() == 0:
    os.setuid(65534)
try:
    listen_on([(socket.AF_INET, socket.SOCK_STREAM, 0, ("127.0.0.1", 81))], 5, "PORT={}".format)
except StartError as error:
    print(error)
"""


def test_a_privileged_port_is_reported():
    done = subprocess.run(
        [sys.executable, "-c", PRIVILEGED], capture_output=True, text=True, check=True
    )
    if not done.stdout:
        pytest.skip("this machine lets everybody open port 81")
    [line] = done.stdout.splitlines()
    assert line.startswith("this user may not open port 81 on 127.0.0.1 (ports below 1024 are for")
    assert ". For another port: PORT=80" in line


def test_a_port_without_a_listener_is_reported(used_place):
    port = free_port("127.0.0.1", used_place)
    assert describe_holder(port) == f"another process (sudo ss -ltnp 'sport = :{port}' names it)"


WITHOUT_WAITRESS = """
import sys

sys.modules["waitress"] = None  # importing it fails as if it were not installed
from combine_health.server.waitress import server_factory

server_factory({}, listen="127.0.0.1:0")
"""


def test_missing_waitress_is_reported_in_one_line():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_WAITRESS], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == (
        "Cannot start the server: waitress is missing. Install it: pip install '.[core]' in the"
        " checkout, or pip install 'WHEEL[core]' with the path of the wheel\n"
    )


def test_the_endpoints_are_printed(capsys):
    with Configurator(settings={"combine_health.load_entry_points": "false"}) as config:
        config.include("combine_health", route_prefix="/ops")
        registry = config.registry
    mounts = [Mount("/below", registry), Mount("", registry)]
    announce([("0.0.0.0", "8000")], "See {url}/docs", mounts)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Serving on http://localhost:8000"
    assert "  http://localhost:8000/below/ops/health/ready" in printed
    assert "  http://localhost:8000/ops/health/ready" in printed
    assert printed[-1] == "See http://localhost:8000/below/docs"


PROGRAM = """
import logging, os
from combine_health.server.listening import announce

logging.basicConfig(level="INFO")
announce([("127.0.0.1", "8000")], "", [])
os._exit(0)  # Python itself would complain of what it cannot write at its end
"""


def test_a_full_disk_does_not_stop_the_server():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 0, done.stderr
    assert "cannot print the addresses of the service: [Errno 28]" in done.stderr
    assert "serving on http://localhost:8000" in done.stderr
