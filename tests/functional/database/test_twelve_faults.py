"""Tests that the service diagnoses twelve database faults with their remedies within 5 seconds.

The health check reports them. The log, ``combine doctor`` and ``/health/detailed`` show its result.
"""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, make_url

from combine_core.postgres.diagnosis import ADVICE, Cause, Watch, explain_error
from tests.functional.database.test_diagnosis_faults import (
    WITHIN_S,
    all_taken,
    programs_with_tls,
)
from tests.postgres_cluster import PASSWORD, Cluster, make_cluster, wait_for

RESOLUTION = re.compile(r"[1-4]\. (Verify|Check) |Check for connection leaks")
Fault = Callable[[Cluster], AbstractContextManager[URL]]


@contextmanager
def bad_url(_cluster: Cluster) -> Iterator[URL]:
    yield make_url("postgresql+psycopg2://combine@db/combine?sslmode=yes")


@contextmanager
def unknown_host(cluster: Cluster) -> Iterator[URL]:
    yield cluster.url().set(host="no-such-host.invalid")


@contextmanager
def not_running(cluster: Cluster) -> Iterator[URL]:
    yield cluster.url()


@contextmanager
def no_answer(cluster: Cluster) -> Iterator[URL]:
    with cluster.serve() as process:
        process.send_signal(signal.SIGSTOP)
        yield cluster.url()


@contextmanager
def a_web_server(cluster: Cluster) -> Iterator[URL]:
    def answer() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        yield cluster.url().set(port=listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(WITHIN_S)


@contextmanager
def wrong_password(cluster: Cluster) -> Iterator[URL]:
    with cluster.serve():
        yield cluster.url(password="wrong-canary")


@contextmanager
def missing_database(cluster: Cluster) -> Iterator[URL]:
    with cluster.serve():
        yield cluster.url(database="nothing")


@contextmanager
def full(cluster: Cluster) -> Iterator[URL]:
    dsn = cluster.url().set(drivername="postgresql").render_as_string(hide_password=False)
    with cluster.serve(), all_taken(dsn):
        yield cluster.url()


@contextmanager
def shutting_down(cluster: Cluster) -> Iterator[URL]:
    with cluster.serve() as process, cluster.cursor():
        process.send_signal(signal.SIGTERM)  # it waits for the connected client
        log = cluster.folder / "log"
        wait_for(lambda: "smart shutdown" in log.read_text().rpartition("ready to accept")[2])
        yield cluster.url()


@contextmanager
def tls_required(cluster: Cluster) -> Iterator[URL]:
    secured = make_cluster(cluster.folder, "tls", programs_with_tls())
    key, certificate = secured.own("server.key"), secured.own("server.crt")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=db.example", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    secured.account.give(key)
    rules = secured.own("hba.conf", "hostssl all all all scram-sha-256\n")
    with secured.serve(
        ssl="on", ssl_key_file=str(key), ssl_cert_file=str(certificate), hba_file=str(rules)
    ):
        yield secured.url(query="?sslmode=disable")


@contextmanager
def standby(cluster: Cluster) -> Iterator[URL]:
    with cluster.signal_file("standby.signal"), cluster.serve():
        yield cluster.url()


FAULTS: dict[str, tuple[Fault, Cause]] = {
    "bad URL": (bad_url, Cause.BAD_URL),
    "unknown host": (unknown_host, Cause.UNKNOWN_HOST),
    "refused": (not_running, Cause.REFUSED),
    "network timeout": (no_answer, Cause.TIMEOUT),
    "not PostgreSQL": (a_web_server, Cause.NOT_POSTGRESQL),
    "authentication failed": (wrong_password, Cause.AUTH_FAILED),
    "database missing": (missing_database, Cause.MISSING),
    "too many connections": (full, Cause.TOO_MANY_CONNECTIONS),
    "starting up or shutting down": (shutting_down, Cause.NOT_ACCEPTING),
    "TLS required": (tls_required, Cause.TLS_REQUIRED),
    "read-only standby": (standby, Cause.READ_ONLY),
}


def seconds_until_named(url: URL, cause: Cause) -> float:
    """Return the seconds until the health check names ``cause``, and check the text of the diagnosis."""
    watch = Watch(url)
    started = time.monotonic()
    while True:
        found = watch.check()
        if found is not None and found.cause is cause:
            break
        assert time.monotonic() - started < WITHIN_S, found
        time.sleep(0.05)
    took = time.monotonic() - started
    assert RESOLUTION.search(found.remedy), found.remedy
    assert found.advice.commands
    assert "canary" not in found.line
    return took


def seconds_until_the_pool_is_named(cluster: Cluster) -> float:
    with cluster.serve():
        engine = create_engine(cluster.url(), pool_size=1, max_overflow=0, pool_timeout=0.2)
        started = time.monotonic()
        with engine.connect(), pytest.raises(Exception) as caught:
            engine.connect()
        engine.dispose()
    found = explain_error(caught.value)
    assert found is not None
    assert found.cause is Cause.POOL_EXHAUSTED
    assert RESOLUTION.search(found.remedy)
    return time.monotonic() - started


@pytest.mark.skipif(
    programs_with_tls() is None or shutil.which("openssl") is None,
    reason="no PostgreSQL with TLS here (apt-get install postgresql openssl)",
)
def test_all_twelve_faults_are_diagnosed(
    run_folder: Path, record_property: Callable[[str, object], None]
) -> None:
    cluster = make_cluster(run_folder, "twelve")
    took: dict[str, float] = {}
    for name, (fault, cause) in FAULTS.items():
        with fault(cluster) as url:
            took[name] = seconds_until_named(url, cause)
    took["our own pool exhausted"] = seconds_until_the_pool_is_named(cluster)
    shutil.rmtree(cluster.folder)
    record_property("seconds", {name: round(seconds, 2) for name, seconds in took.items()})
    assert len(took) == 12


def test_each_fault_has_its_own_code() -> None:
    causes: list[Any] = [cause for _, cause in FAULTS.values()]
    assert len({*causes, Cause.POOL_EXHAUSTED}) == 12
    assert all(ADVICE[cause].meaning for cause in causes)
    assert PASSWORD not in str(ADVICE)
