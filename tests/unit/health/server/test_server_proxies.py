"""Tests which proxies the server trusts to report the client."""

import http.client
import json
import socket
import threading

import pytest

from combine_health import HealthEnvironmentError
from combine_health.server.proxies import (
    FRESH,
    SOON,
    TrustedProxies,
    parse_proxies,
    resolve_host,
)
from combine_health.server.server import Server
from combine_health.server.waitress import server_factory
from combine_health.settings import read_server

PATIENCE = 60


class Names:
    """A fake resolver, with a clock that stands still."""

    def __init__(self, **addresses: set[str]) -> None:
        self.addresses = addresses
        self.asked: list[str] = []
        self.now = 1000.0

    def resolve(self, name: str) -> set[str]:
        self.asked.append(name)
        if name not in self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.addresses[name]

    def proxies(self, *named: str) -> TrustedProxies:
        return TrustedProxies(named, resolve=self.resolve, clock=lambda: self.now)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        ("lb", ("lb",)),
        ("10.0.0.5, 10.1.0.0/16\nlb lb", ("10.0.0.5", "10.1.0.0/16", "lb")),
        ("fd00::/8 [::1]", ("fd00::/8", "[::1]")),
        ("*", ("*",)),
    ],
)
def test_valid_values_are_accepted(text, found):
    assert parse_proxies(text) == found


@pytest.mark.parametrize("text", ["10.0.0.500", "10.0.0.0/40", "http://lb", "lb:80", "-x", "a/8"])
def test_invalid_values_are_rejected(text):
    with pytest.raises(
        HealthEnvironmentError, match=r"COMBINE_HEALTH_TRUSTED_PROXY is .* is invalid"
    ):
        read_server({}, {"COMBINE_HEALTH_TRUSTED_PROXY": text})


def test_addresses_and_networks_are_matched():
    found = TrustedProxies(("10.0.0.5", "192.0.2.0/24", "fd00::/8"))
    assert "10.0.0.5" in found
    assert "192.0.2.200" in found
    assert "fd12::1" in found
    assert "10.0.0.6" not in found
    assert "localhost" not in found
    assert "localhost" in TrustedProxies(("localhost",))
    assert "203.0.113.1" in TrustedProxies(("*",))
    assert "203.0.113.1" not in TrustedProxies(())


def test_a_name_is_resolved_for_an_unknown_address():
    names = Names(lb={"172.18.0.7"})
    found = names.proxies("lb")
    assert "172.18.0.7" in found
    assert "172.18.0.7" in found
    assert names.asked == ["lb"]
    assert "172.18.0.8" not in found
    assert names.asked == ["lb"]

    # The recreated container has another address, and another container has the old one.
    names.addresses["lb"] = {"172.18.0.8"}
    names.now += SOON
    assert "172.18.0.8" in found
    assert "172.18.0.7" not in found
    assert len(names.asked) == 2


def test_an_address_expires_unless_the_name_no_longer_resolves():
    names = Names(lb={"172.18.0.7"})
    found = names.proxies("lb")
    assert "172.18.0.7" in found
    names.now += FRESH
    names.addresses = {}
    assert "172.18.0.7" in found
    names.now += FRESH
    names.addresses = {"lb": {"172.18.0.9"}}
    assert "172.18.0.7" not in found
    assert "172.18.0.9" in found


def test_a_name_that_does_not_resolve_is_logged(caplog):
    found = Names().proxies("lb-that-is-nowhere")
    assert "172.18.0.7" not in found
    assert "the trusted proxy lb-that-is-nowhere does not resolve" in caplog.text


def test_localhost_resolves():
    assert resolve_host("localhost") & {"127.0.0.1", "::1"}


FORGED = {
    "X-Forwarded-For": "192.0.2.66, 203.0.113.9",
    "X-Forwarded-Host": "combine.example.com",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Port": "666",
    "Forwarded": "for=192.0.2.77",
}
BELIEVED = ["203.0.113.9", "combine.example.com", "https"]


@pytest.mark.parametrize(
    ("keys", "environ", "believed"),
    [
        ({}, {}, False),
        ({}, {"COMBINE_HEALTH_TRUSTED_PROXY": "localhost"}, True),
        ({}, {"COMBINE_HEALTH_TRUSTED_PROXY": "192.0.2.1"}, False),
        ({"trusted_proxy": "127.0.0.0/8"}, {}, True),
        ({"trusted_proxy": "127.0.0.1"}, {"COMBINE_HEALTH_TRUSTED_PROXY": "192.0.2.1"}, False),
    ],
    ids=["none", "name", "another", "network", "environment wins"],
)
def test_only_headers_of_a_trusted_proxy_count(monkeypatch, keys, environ, believed):
    for name in ("PORT", "LISTEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    def application(environ, start_response):
        seen = [environ[key] for key in ("REMOTE_ADDR", "HTTP_HOST", "wsgi.url_scheme")]
        left = [key for key in environ if "FORWARDED_PORT" in key or key == "HTTP_FORWARDED"]
        start_response("200 OK", [])
        return [json.dumps([*seen, left]).encode()]

    servers: list[Server] = []
    there = threading.Event()

    class Recorded(Server):
        def run(self):
            servers.append(self)
            there.set()
            super().run()

    monkeypatch.setattr("combine_health.server.server.Server", Recorded)
    serve = server_factory({}, listen="127.0.0.1:0", drain_seconds="0", **keys)
    thread = threading.Thread(target=serve, args=(application,))
    thread.start()
    assert there.wait(PATIENCE)
    try:
        connection = http.client.HTTPConnection(*servers[0].listening[0], timeout=PATIENCE)
        connection.request("GET", "/", headers={**FORGED, "Host": "inside:8000"})
        *seen, left = json.load(connection.getresponse())
        connection.close()
    finally:
        servers[0].terminate()
        thread.join(PATIENCE)
    assert not thread.is_alive()
    assert left == []
    assert seen == (BELIEVED if believed else ["127.0.0.1", "inside:8000", "http"])
