"""Tests that a response is sent in one call, because a load balancer cannot complete half a response."""

import http.client
import socket
import threading
from types import SimpleNamespace

import pytest
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel

from combine_health.server.bodies import Parser
from combine_health.server.channel import Channel
from combine_health.server.loop import Loop
from combine_health.server.server import Server

PATIENCE = 60
OWN = {"drain_seconds": 0.0, "stop_timeout": 1.0, "queue_limit": None}


@pytest.mark.parametrize(
    ("method", "headers", "chunks", "bodies"),
    [
        ("GET", [("Content-Length", "4")], [b"body"], [b"body"]),
        ("GET", [], [b"body"], [b"body"]),
        ("GET", [("Content-Length", "8")], [b"", b"body", b"more"], [b"body", b"more"]),
        ("GET", [], [b"a", b"b"], [b"1\r\na\r\n", b"1\r\nb\r\n", b"0\r\n\r\n"]),
        ("GET", [("Content-Length", "0")], [b"beyond"], [b""]),
        ("GET", [("Content-Length", "0")], [], [b""]),
        ("HEAD", [("Content-Length", "4")], [], [b""]),
    ],
    ids=["length", "no length", "two", "chunked", "beyond", "empty", "HEAD"],
)
def test_headers_are_sent_with_the_start_of_the_body(monkeypatch, method, headers, chunks, bodies):
    sends: list[bytes] = []

    def send(channel, data, do_close=True):
        sends.append(
            bytes(data)
        )  # set it first, because the client may read before the next line runs
        return HTTPChannel.send(channel, data, do_close=do_close)

    def application(_environ, start_response):
        start_response("200 OK", headers)
        return chunks

    monkeypatch.setattr(Channel, "send", send)
    served = Server(application, {"listen": "127.0.0.1:0", "threads": 1}, OWN)
    thread = threading.Thread(target=served.run)
    thread.start()
    host, port = served.listening[0]
    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
    try:
        # Send two requests if the connection stays open: the second response gets a new buffer.
        for _ in range(2):
            sends.clear()
            connection.request(method, "/")
            answer = connection.getresponse()
            answer.read()
            first, *others = sends
            head, end, body = first.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert end
            assert [body, *others] == bodies
    finally:
        connection.close()
        served.terminate()
        thread.join(PATIENCE)
    assert not thread.is_alive()


def test_two_threads_never_send_the_same_bytes():
    """A worker thread sends ``100 Continue`` while the I/O thread sees a connection with output."""
    sockets: dict = {}
    loop = Loop(sockets, wasyncore.read, wasyncore.write)
    io_thread = None
    sent = []

    class Interrupted(Channel):
        def send(self, data, do_close=True):
            nonlocal io_thread
            sent.append(bytes(data))
            if io_thread is None:
                io_thread = threading.Thread(target=self.handle_write)
                io_thread.start()
                io_thread.join(0.5)  # it may wait for this thread, but must not send
            return super().send(data, do_close=do_close)

    ours, theirs = socket.socketpair()
    server = SimpleNamespace(active_channels={})
    channel = Interrupted(
        server, ours, ("127.0.0.1", 1), Adjustments(), map=sockets, lane=None, loop=loop
    )
    channel.request = Parser(channel.adj)
    channel.send_continue()
    io_thread.join(PATIENCE)
    channel.handle_close()
    loop.close()
    with theirs:
        assert theirs.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert len(sent) == 1
