"""Tests the diagnosis of misbehaving servers on real sockets, and of exceptions."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import psycopg2
import pytest
import sqlalchemy.exc
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import URL, make_url

from combine_core.cli.service import message_of
from combine_core.postgres.diagnosis import (
    ADVICE,
    Cause,
    Diagnosis,
    diagnose,
    explain_error,
)
from combine_core.postgres.diagnosis import probe as probe_module
from combine_core.postgres.diagnosis.causes import read_texts

CANARY = "canary-password"
Behaviour = Callable[[socket.socket], None]
Serve = Callable[[Behaviour], URL]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """``serve(behaviour)``: the URL of a server that does this with each connection."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(behaviour: Behaviour) -> URL:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    connection.settimeout(10)
                    behaviour(connection)

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        return url_of(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(10)


def url_of(port: int, host: str = "127.0.0.1", **query: str) -> URL:
    url = URL.create("postgresql+psycopg2", "combine", CANARY, host, port, "combine")
    return url.update_query_dict(query)


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def error(sqlstate: str, text: str, routine: str) -> bytes:
    fields = {"S": "FATAL", "V": "FATAL", "C": sqlstate, "M": text, "R": routine}
    return message(b"E", b"".join(f"{k}{v}\0".encode() for k, v in fields.items()) + b"\0")


def greeting(connection: socket.socket, *, tls: bytes = b"N") -> bytes:
    """Read the startup message of a client, and decline TLS."""
    while True:
        head = connection.recv(4, socket.MSG_WAITALL)
        if len(head) < 4:
            raise ConnectionResetError("the client has hung up")
        (length,) = struct.unpack("!i", head)
        body = connection.recv(length - 4, socket.MSG_WAITALL)
        if body[:4] != struct.pack("!i", 80877103):
            return body
        connection.sendall(tls)


def refusing(*answers: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        greeting(connection)
        for answer in answers:
            connection.sendall(answer)

    return behave


def silent(connection: socket.socket) -> None:
    while connection.recv(100):
        pass


def cause_found(url: URL, budget: float = 2.0) -> Diagnosis:
    found = diagnose(url, budget)
    assert CANARY not in f"{found} {found.line} {found!r}"
    return found


def test_a_silent_server_is_diagnosed(serve: Serve) -> None:
    found = cause_found(serve(silent), 1.0)
    assert found.cause is Cause.TIMEOUT
    assert "did not respond" in found.detail
    assert "timeout" in found.line


def test_a_full_accept_queue_is_diagnosed() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        found = cause_found(url_of(listener.getsockname()[1]), 1.0)
        for client in waiting:
            client.close()
    assert found.cause is Cause.TIMEOUT
    assert "did not accept the connection" in found.detail


def test_a_closed_connection_is_diagnosed(serve: Serve) -> None:
    found = cause_found(serve(lambda connection: None))
    assert found.cause is Cause.CLOSED


def test_a_closed_port_is_diagnosed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = cause_found(url_of(port))
    assert found.cause is Cause.REFUSED
    assert f"127.0.0.1:{port}" in found.detail
    assert "docker-compose ps db" in found.remedy


def test_a_missing_socket_is_diagnosed(tmp_path) -> None:
    url = make_url(f"postgresql+psycopg2://combine@/combine?host={tmp_path}")
    assert cause_found(url).cause is Cause.REFUSED


@pytest.mark.parametrize("tls", ["disable", "prefer", "require"])
def test_a_web_server_is_diagnosed(serve: Serve, tls: str) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    found = cause_found(serve(behave).update_query_dict({"sslmode": tls}))
    assert found.cause is Cause.NOT_POSTGRESQL
    assert "received" in found.detail


def test_a_server_that_sends_first_is_diagnosed(serve: Serve) -> None:
    found = cause_found(serve(lambda connection: connection.sendall(b"220 mail.example ESMTP\r\n")))
    assert found.cause is Cause.NOT_POSTGRESQL


def test_an_unknown_host_is_diagnosed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = cause_found(url_of(5432, "no-such-host.invalid"))
    assert found.cause is Cause.UNKNOWN_HOST
    assert "no-such-host.invalid" in found.detail


def test_a_hanging_name_server_is_diagnosed(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    def hang(*_arguments: object, **_options: object) -> list[object]:
        gate.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(probe_module.socket, "getaddrinfo", hang)
    found = cause_found(url_of(5432, "db"), 0.5)
    gate.set()
    assert found.cause is Cause.UNKNOWN_HOST
    assert "took longer than" in found.detail


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("postgresql+psycopg2://combine@db", "database"),
        ("postgresql+psycopg2:///combine", "host and no user"),
        ("mysql+pymysql://combine@db/combine", "scheme"),
        ("postgresql+psycopg2://combine@db/combine?sslmode=yes", "sslmode"),
        ("postgresql+psycopg2://combine@localhost:1/combine?nonsense=canary-password", None),
    ],
)
def test_an_unusable_url_is_diagnosed(url: str, word: str | None, monkeypatch) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    found = cause_found(make_url(url))
    if word is not None:
        assert found.cause is Cause.BAD_URL
        assert word in found.detail


def test_an_unknown_libpq_parameter_is_diagnosed(serve: Serve) -> None:
    url = serve(refusing(message(b"R", struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0")))
    found = cause_found(url.update_query_dict({"nonsense": CANARY}))
    assert found.cause is Cause.BAD_URL


CANNED = [
    ("28P01", "Passwort-Authentifizierung für Benutzer »combine« fehlgeschlagen", "auth_failed"),
    ("28000", "Rolle »combine« existiert nicht", "InitializeSessionUserId"),
    ("3D000", "Datenbank »combine« existiert nicht", "InitPostgres"),
    ("53300", "tut mir leid, schon zu viele Verbindungen", "InitProcess"),
    ("53300", "残りの接続枠は予約されています", "InitPostgres"),
    ("53300", "zu viele Verbindungen von Rolle »combine«", "InitializeSessionUserId"),
    ("57P03", "das Datenbanksystem startet", "ProcessStartupPacket"),
    ("57P03", "das Datenbanksystem fährt herunter", "ProcessStartupPacket"),
    ("57P03", "das Datenbanksystem ist im Wiederherstellungsmodus", "ProcessStartupPacket"),
    ("42501", "keine Berechtigung für Datenbank »combine«", "CheckMyDatabase"),
    ("XX000", "interner Fehler", "whatever"),
]
EXPECTED = {
    "28P01": Cause.AUTH_FAILED,
    "28000": Cause.AUTH_FAILED,
    "3D000": Cause.MISSING,
    "53300": Cause.TOO_MANY_CONNECTIONS,
    "57P03": Cause.NOT_ACCEPTING,
    "42501": Cause.REJECTED,
    "XX000": Cause.REJECTED,
}


@pytest.mark.parametrize(("sqlstate", "text", "routine"), CANNED)
def test_an_error_at_connect_is_diagnosed_in_any_language(
    serve: Serve, sqlstate: str, text: str, routine: str
) -> None:
    found = cause_found(serve(refusing(error(sqlstate, text, routine))))
    assert found.cause is EXPECTED[sqlstate]
    assert text in found.detail
    assert sqlstate in found.detail


@pytest.mark.parametrize(("sqlstate", "text", "routine"), CANNED)
def test_an_error_after_the_password_is_diagnosed_in_any_language(
    serve: Serve, sqlstate: str, text: str, routine: str
) -> None:
    def behave(connection: socket.socket) -> None:
        greeting(connection)
        connection.sendall(message(b"R", struct.pack("!i", 3)))
        kind = connection.recv(1)
        if kind == b"p":
            (length,) = struct.unpack("!i", connection.recv(4, socket.MSG_WAITALL))
            connection.recv(length - 4, socket.MSG_WAITALL)
            connection.sendall(error(sqlstate, text, routine))

    found = cause_found(serve(behave))
    assert found.cause is EXPECTED[sqlstate]
    assert text in found.detail


def test_the_three_connection_limits_are_distinguished(serve: Serve) -> None:
    full = [line for line in CANNED if line[0] == "53300"]
    details = [cause_found(serve(refusing(error(*line)))).detail for line in full]
    assert "max_connections" in details[0]
    assert "superusers" in details[1]
    assert "ALTER ROLE" in details[2]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("Passwort-Authentifizierung fehlgeschlagen", Cause.AUTH_FAILED),
        ('database "combine" does not exist', Cause.MISSING),
        ("too many connections for role", Cause.TOO_MANY_CONNECTIONS),
    ],
)
def test_the_text_and_then_elimination_decide(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, text: str, cause: Cause
) -> None:
    monkeypatch.setattr(probe_module, "_FIRST_LIBPQ_WITH_TRACE", 1_000_000)

    def behave(connection: socket.socket) -> None:
        greeting(connection)
        connection.sendall(message(b"R", struct.pack("!i", 3)))
        if connection.recv(1) == b"p":
            connection.sendall(error("99999", text, "somewhere"))

    assert cause_found(serve(behave)).cause is cause


def test_a_server_that_becomes_silent_is_diagnosed(serve: Serve) -> None:
    def behave(connection: socket.socket) -> None:
        greeting(connection)
        connection.sendall(message(b"R", struct.pack("!i", 3)))
        silent(connection)

    found = cause_found(serve(behave), 1.0)
    assert found.cause is Cause.TIMEOUT
    assert "signing in" in found.detail


def test_missing_tls_is_diagnosed(serve: Serve) -> None:
    url = serve(refusing()).update_query_dict({"sslmode": "require"})
    assert cause_found(url).cause is Cause.TLS_NOT_OFFERED


def test_a_failed_handshake_is_diagnosed(serve: Serve) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(8)
        connection.sendall(b"S")
        connection.recv(1000)
        connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28")  # alert: handshake_failure

    url = serve(behave).update_query_dict({"sslmode": "require"})
    assert cause_found(url).cause is Cause.TLS_FAILED


def test_a_missing_hba_rule_is_diagnosed(serve: Serve) -> None:
    no_entry = error(
        "28000", "kein pg_hba.conf-Eintrag, keine Verschlüsselung", "ClientAuthentication"
    )
    url = serve(refusing(no_entry)).update_query_dict({"sslmode": "disable"})
    found = cause_found(url)
    assert found.cause is Cause.AUTH_FAILED
    assert "pg_hba.conf" in found.detail


def test_a_missing_password_is_diagnosed(serve: Serve, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))

    def behave(connection: socket.socket) -> None:
        greeting(connection)
        connection.sendall(message(b"R", struct.pack("!i", 3)))
        silent(connection)

    port = serve(behave).port
    found = cause_found(make_url(f"postgresql+psycopg2://combine@127.0.0.1:{port}/combine"))
    assert found.cause is Cause.AUTH_FAILED
    assert "has none" in found.detail


@given(st.binary(max_size=64))
def test_any_response_gives_a_diagnosis(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):
                        connection.recv(8)
                        connection.sendall(answer)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        found = diagnose(url_of(listener.getsockname()[1], sslmode="disable"), 1.0)
        assert found.cause is not Cause.REACHABLE
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


# Exceptions.


def wrapped(orig: BaseException) -> sqlalchemy.exc.OperationalError:
    return sqlalchemy.exc.OperationalError("SELECT 1", {}, orig)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            'could not translate host name "db" to address: Name or service not known',
            "DB_UNKNOWN_HOST",
        ),
        ('connection to server at "db", port 5432 failed: Connection refused\n\tIs', "DB_REFUSED"),
        ('connection to server at "db", port 5432 failed: timeout expired', "DB_TIMEOUT"),
        ('FATAL:  password authentication failed for user "combine"', "DB_AUTH_FAILED"),
        ('FATAL:  database "combine" does not exist', "DB_MISSING"),
        ("FATAL:  sorry, too many clients already", "DB_TOO_MANY_CONNECTIONS"),
        ("FATAL:  remaining connection slots are reserved for x", "DB_TOO_MANY_CONNECTIONS"),
        ('FATAL:  too many connections for role "combine"', "DB_TOO_MANY_CONNECTIONS"),
        ("FATAL:  the database system is starting up", "DB_NOT_ACCEPTING"),
        ("FATAL:  the database system is shutting down", "DB_NOT_ACCEPTING"),
        (
            'FATAL:  no pg_hba.conf entry for host "1.2.3.4", user "a", database "b", no encryption',
            "DB_TLS_REQUIRED",
        ),
        ("server does not support SSL, but SSL was required", "DB_TLS_NOT_OFFERED"),
        ("received invalid response to SSL negotiation: H", "DB_NOT_POSTGRESQL"),
        ("server closed the connection unexpectedly\n\tThis probably", "DB_CLOSED"),
        ("SSL error: certificate verify failed", "DB_TLS_FAILED"),
        ("Fehler, den niemand kennt", "database_unreachable"),
    ],
)
def test_english_messages_of_the_driver_are_known(text: str, cause: str) -> None:
    found = explain_error(wrapped(psycopg2.OperationalError(text)))
    assert found is not None
    assert found.cause == cause
    assert "\n" not in found.detail


def test_the_sqlstate_wins_over_the_text() -> None:
    found = explain_error(wrapped(psycopg.errors.AdminShutdown("Verbindung wird abgebrochen")))
    assert found is not None
    assert found.cause is Cause.NOT_ACCEPTING


@pytest.mark.parametrize(
    ("sqlstate", "cause"),
    [
        ("53100", Cause.DISK_FULL),
        ("53200", Cause.OUT_OF_RESOURCES),
        ("53400", Cause.OUT_OF_RESOURCES),
        ("53300", Cause.TOO_MANY_CONNECTIONS),
        ("58030", Cause.STORAGE_FAILED),
        ("58P01", Cause.STORAGE_FAILED),
        ("XX001", Cause.CORRUPTED),
        ("XX002", Cause.CORRUPTED),
        ("42501", Cause.REJECTED),
        ("08006", Cause.UNKNOWN),
        ("42P01", None),
        ("23505", None),
        ("40001", None),
    ],
)
def test_an_error_in_a_statement_is_diagnosed_in_any_language(
    sqlstate: str, cause: Cause | None
) -> None:
    found = explain_error(psycopg.errors.lookup(sqlstate)("Fehler"))
    assert (found.cause if found else None) is cause


def test_an_exhausted_pool_is_not_a_database_fault() -> None:
    found = explain_error(
        sqlalchemy.exc.TimeoutError("QueuePool limit of size 5 overflow 5 reached")
    )
    assert found is not None
    assert found.cause is Cause.POOL_EXHAUSTED
    assert "the database itself is not the cause" in found.advice.meaning
    assert "timeout" in found.detail


def test_a_url_that_sqlalchemy_cannot_read_is_not_quoted() -> None:
    with pytest.raises(sqlalchemy.exc.ArgumentError) as caught:
        make_url(f"postgresql:/combine:{CANARY}@db")
    found = explain_error(caught.value)
    assert found is not None
    assert found.cause is Cause.BAD_URL
    assert CANARY not in str(found)


def test_a_dsn_that_libpq_cannot_read_is_not_quoted() -> None:
    with pytest.raises(psycopg2.Error) as caught:
        psycopg2.connect(f"postgresql://combine@db:{CANARY}/x")
    found = explain_error(caught.value)
    assert found is not None
    assert found.cause is Cause.BAD_URL
    assert CANARY not in str(found)


@pytest.mark.parametrize(
    "other", [ValueError("x"), psycopg2.IntegrityError("duplicate"), psycopg2.DataError("bad")]
)
def test_other_errors_are_not_about_the_connection(other: Exception) -> None:
    assert explain_error(other) is None
    assert message_of(other) is None


def test_a_command_names_cause_remedy_and_commands() -> None:
    said = message_of(wrapped(psycopg2.OperationalError("connection failed: Connection refused")))
    assert said is not None
    first, *rest = said.splitlines()
    assert first.startswith("The database cannot be used: DB_REFUSED: ")
    assert "1. Verify database is running." in said
    assert "  docker-compose ps db" in rest
    assert rest[-1] == "Retrying may help. Contact: Database"


def test_every_cause_has_advice_in_the_words_of_the_runbook() -> None:
    assert set(ADVICE) == set(Cause)
    for cause, advice in ADVICE.items():
        assert advice.meaning.endswith(".")
        if cause not in {Cause.POOL_EXHAUSTED, Cause.REACHABLE}:
            assert advice.commands
            assert advice.remedy[:2] in {"1.", "2.", "3.", "4."}


def test_the_advice_mentions_an_embedded_database() -> None:
    folder = Path("/srv/combine/var/postgres")
    of_containers, tasks_with_containers = read_texts()
    of_embedded, tasks = read_texts(folder)
    assert set(of_embedded) == set(Cause)
    assert set(tasks) == set(tasks_with_containers)
    for text in [*tasks.values(), *(advice.line for advice in of_embedded.values())]:
        assert "docker" not in text
        assert "{" not in text
    refused = of_embedded[Cause.REFUSED]
    assert refused.meaning == of_containers[Cause.REFUSED].meaning
    assert "embedded database" in refused.remedy
    assert refused.commands == (f"tail -n 50 {folder}/server.log",)
    assert str(folder) in of_embedded[Cause.DISK_FULL].remedy
    assert "combine migrate" in tasks["migrate"]
