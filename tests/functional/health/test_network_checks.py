"""Tests the built-in network checks against real sockets."""

import base64
import socket
import ssl
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from combine_health.checks import DnsName, HttpUrl, TcpPort, TlsExpiry
from combine_health.checks.tls_expiry import CertificateError, certificates, validity
from combine_health.testing import (
    closed_port,
    leaks,
    run_check,
    silent_server,
    talking_server,
)

CERTIFICATES = Path(__file__).parent / "certificates"
AUTHORITY = str(CERTIFICATES / "authority.pem")
CANARY = "c4n4ry-pw"


@contextmanager
def http_server(answer, asked=None):
    """Respond to each request with the bytes ``answer``, and record the requests in ``asked``."""

    def talk(connection):
        connection.settimeout(10)
        request = b""
        while b"\r\n\r\n" not in request and (got := connection.recv(65536)):
            request += got
        if asked is not None:
            asked.append(request)
        connection.sendall(answer)

    with talking_server(talk) as (host, port):
        yield f"{host}:{port}"


@contextmanager
def tls_server(name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / f"{name}.pem")

    def talk(connection):
        connection.settimeout(10)
        try:
            with context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(65536)
                secured.sendall(b"HTTP/1.0 200 OK\r\n\r\nfine")
        except ssl.SSLError:  # the client does not trust the certificate, which is the test
            return

    with talking_server(talk) as (_, port):
        yield port


# TCP.


def test_an_open_port_is_healthy():
    with silent_server() as (host, port):
        seen = run_check(TcpPort(host, port))
    assert seen.status == "healthy"
    assert seen.data["latency_ms"] >= 0


def test_a_closed_port_fails():
    with closed_port() as (host, port):
        seen = run_check(TcpPort(host, port))
    assert (seen.status, seen.cause) == ("failing", "refused")
    assert f"{host}:{port}" in seen.detail
    assert "Start the service" in seen.remedy


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 70 + ".invalid"])
def test_a_host_without_an_address_fails(host):
    seen = run_check(TcpPort(host, 80), timeout=30)
    assert (seen.status, seen.cause) == ("failing", "unknown_host")


def test_all_addresses_of_a_host_are_tried(monkeypatch):
    with silent_server() as (host, port), closed_port() as (_, closed):
        both = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", closed)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: both)
        assert run_check(TcpPort("two.example", 1)).status == "healthy"


@pytest.mark.parametrize(
    ("host", "port", "named"),
    [
        ("", 80, "host"),
        ("a/b", 80, "host"),
        ("u@h", 80, "host"),
        ("h", 0, "port"),
        ("h", 65536, "port"),
    ],
)
def test_an_invalid_address_is_rejected(host, port, named):
    with pytest.raises(ValueError, match=named):
        TcpPort(host, port)


# HTTP.


def test_a_url_that_responds_is_healthy():
    asked = []
    with http_server(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine", asked) as place:
        seen = run_check(HttpUrl(f"http://{place}/up?full=1", contains="fine"))
    assert seen.status == "healthy"
    assert seen.data["url"] == f"http://{place}/up"
    assert seen.data["http_status"] == 200
    assert asked[0].startswith(b"GET /up?full=1 HTTP/1.1\r\n")
    assert f"Host: {place}".encode() in asked[0]


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "wrong_status"),
        (b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n", "redirected"),
        (b"HTTP/1.1 200 OK\r\n\r\nnot it", "wrong_body"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "bad_answer"),
        (b"\x00\xff\x16\x03" * 100, "bad_answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "bad_answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nnot", "wrong_body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n", "bad_answer"),
        (b"", "closed"),
    ],
)
def test_an_unexpected_status_fails(answer, cause):
    with http_server(answer) as place:
        seen = run_check(HttpUrl(f"http://{place}/", contains="fine"))
    assert (seen.status, seen.cause) == ("failing", cause)
    assert seen.remedy


def test_expected_statuses_are_healthy():
    with http_server(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n") as place:
        assert run_check(HttpUrl(f"http://{place}/", status="200, 400-404")).status == "healthy"
        assert run_check(HttpUrl(f"http://{place}/", status="405-499")).cause == "wrong_status"


def test_an_endless_body_is_not_read():
    stopped = threading.Event()

    def talk(connection):
        connection.settimeout(10)
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                connection.sendall(b"x" * 65536)
        except OSError:
            stopped.set()
            raise

    with talking_server(talk) as (host, port):
        seen = run_check(HttpUrl(f"http://{host}:{port}/", max_bytes=1000), timeout=60)
        assert seen.status == "healthy"
        assert stopped.wait(60)


def test_a_url_that_never_responds_fails():
    with silent_server() as (host, port):
        seen = run_check(HttpUrl(f"http://{host}:{port}/", timeout=0.2), timeout=60)
    assert (seen.cause, seen.running_for) == ("timeout", None)
    assert "timed out" in seen.detail


def test_a_response_that_never_ends_fails():
    """Each byte arrives in time, but the response never ends."""
    gone = threading.Event()

    def talk(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while not gone.wait(0.02):
                connection.sendall(b"x")
        finally:
            gone.set()

    with talking_server(talk) as (host, port):
        seen = run_check(HttpUrl(f"http://{host}:{port}/", timeout=0.3), timeout=60)
        assert gone.wait(60)
    assert seen.cause == "timeout"
    assert seen.running_for is None


def test_the_password_of_a_url_is_sent_and_never_shown():
    asked = []
    with http_server(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", asked) as place:
        check = HttpUrl(f"http://me:{CANARY}@{place}/x?key={CANARY}-query")
        seen = run_check(check)
    assert base64.b64encode(f"me:{CANARY}".encode()) in asked[0]
    assert seen.cause == "wrong_status"
    assert leaks(seen, [CANARY]) == []
    assert CANARY not in repr(check)
    assert CANARY in check.secrets


@pytest.mark.parametrize(
    "url",
    [
        f"file:///etc/{CANARY}",
        f"ftp://{CANARY}@host/",
        f"http:///{CANARY}",
        f"http://host:99999/{CANARY}",
        f"http://host:0/{CANARY}",
        f"http://ho st/{CANARY}",
        f"http://host/{CANARY}\r\nX: y",
        f"http://[::1/{CANARY}",
        f"http://host/ü{CANARY}",
        CANARY,
        "",
    ],
)
def test_an_invalid_url_is_rejected(url):
    with pytest.raises(ValueError) as caught:
        HttpUrl(url)
    assert CANARY not in str(caught.value)


def test_https_is_verified():
    with tls_server("good") as port:
        url = f"https://localhost:{port}/"
        assert run_check(HttpUrl(url, ca_file=AUTHORITY)).status == "healthy"
        untrusted = run_check(HttpUrl(url))
    assert (untrusted.status, untrusted.cause) == ("failing", "tls")


# TLS.


def check_tls(name, **options):
    with tls_server(name) as port:
        return run_check(TlsExpiry("localhost", port, ca_file=AUTHORITY, **options), timeout=60)


def test_a_valid_certificate_is_healthy():
    seen = check_tls("good")
    assert seen.status == "healthy"
    assert seen.data["not_after"] == "2098-01-01T00:00:00+00:00"
    assert seen.data["days_left"] > 1000


@pytest.mark.parametrize(
    ("days", "status"), [(22, "healthy"), (20, "degraded"), (2, "failing"), (-1, "failing")]
)
def test_a_certificate_near_its_expiry_is_reported(days, status):
    now = datetime(2098, 1, 1, tzinfo=UTC) - timedelta(days=days)
    seen = check_tls("good", now=lambda: now)
    assert seen.status == status
    assert seen.data["days_left"] == days
    assert seen.cause == (None if days > 21 else "expired" if days < 0 else "expires_soon")


@pytest.mark.parametrize(
    ("name", "cause"),
    [("expired", "expired"), ("future", "not_yet_valid"), ("elsewhere", "wrong_name")],
)
def test_an_untrusted_certificate_fails(name, cause):
    seen = check_tls(name)
    assert (seen.status, seen.cause) == ("failing", cause)
    assert seen.remedy


@pytest.mark.parametrize(("name", "cause"), [("expired", "expired"), ("future", "not_yet_valid")])
def test_the_dates_of_an_unverified_certificate_are_checked(name, cause):
    assert check_tls(name, verify=False).cause == cause


def test_name_and_authority_matter_only_if_verified():
    assert check_tls("elsewhere", verify=False).status == "healthy"
    assert check_tls("elsewhere", server_name="elsewhere.example").status == "healthy"
    with tls_server("good") as port:
        assert run_check(TlsExpiry("localhost", port), timeout=60).cause == "untrusted"


def test_a_server_without_tls_fails():
    def talk(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")

    with talking_server(talk) as (host, port):
        seen = run_check(TlsExpiry(host, port), timeout=60)
    assert (seen.status, seen.cause) == ("failing", "not_tls")


def test_a_server_without_a_handshake_fails():
    with silent_server() as (host, port):
        seen = run_check(TlsExpiry(host, port, timeout=0.2), timeout=60)
    assert (seen.cause, seen.running_for) == ("timeout", None)


def test_a_certificate_in_a_file_is_checked(tmp_path):
    good, expired = CERTIFICATES / "good.pem", CERTIFICATES / "expired.pem"
    assert run_check(TlsExpiry(file=str(good))).data["not_after"].startswith("2098")
    chain = tmp_path / "chain.pem"
    chain.write_text(good.read_text() + expired.read_text())
    assert run_check(TlsExpiry(file=str(chain))).cause == "expired"


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    ],
)
def test_a_file_without_a_certificate_fails(tmp_path, content):
    file = tmp_path / "x.pem"
    if content is not None:
        file.write_text(content)
    seen = run_check(TlsExpiry(file=str(file)))
    assert (seen.status, seen.cause) == ("failing", "no_certificate")


def test_truncated_certificates_raise_no_other_error():
    (der,) = certificates((CERTIFICATES / "good.pem").read_text())
    assert validity(der)[0] == datetime(2020, 1, 1, tzinfo=UTC)
    for length in range(len(der)):
        with pytest.raises(CertificateError):
            validity(der[:length])


@pytest.mark.parametrize(
    "wrong",
    [{}, {"host": "h", "file": "f"}, {"host": "h", "min_days": 30}, {"host": "h", "port": 0}],
)
def test_invalid_arguments_are_rejected(wrong):
    with pytest.raises(ValueError, match=r"host|min_days|port"):
        TlsExpiry(**wrong)


# DNS.


def test_a_resolvable_name_is_healthy():
    seen = run_check(DnsName("localhost", expect=("127.0.0.1", "::1")))
    assert seen.status == "healthy"
    assert set(seen.data["addresses"]) & {"127.0.0.1", "::1"}


def test_a_name_with_other_addresses_fails():
    seen = run_check(DnsName("localhost", expect=("192.0.2.1",)))
    assert (seen.status, seen.cause) == ("failing", "unexpected_address")


def test_an_unknown_name_fails():
    seen = run_check(DnsName("a..b"))
    assert (seen.status, seen.cause) == ("failing", "unknown_name")


@pytest.mark.parametrize(
    ("number", "cause"),
    [(socket.EAI_AGAIN, "dns_unavailable"), (socket.EAI_NONAME, "unknown_name")],
)
def test_a_dns_timeout_is_not_reported_as_unknown_name(monkeypatch, number, cause):
    def refuse(*args, **options):
        raise socket.gaierror(number, "text of the system")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert run_check(DnsName("name.example")).cause == cause


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"name": "a b"}, {"name": "h", "expect": "1.2.3.4"}]
)
def test_invalid_names_are_rejected(wrong):
    with pytest.raises(ValueError, match=r"name|expect"):
        DnsName(**wrong)
