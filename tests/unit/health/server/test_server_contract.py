"""Tests the private parts of waitress that the server uses. An update must keep them."""

import inspect
import socket
import threading
import time
from collections import deque
from importlib.metadata import version
from types import SimpleNamespace

import pytest
from waitress import server, trigger, wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ThreadedTaskDispatcher, WSGITask

from combine_health.server.bodies import Parser
from combine_health.server.channel import Channel, Task
from combine_health.server.loop import Loop
from combine_health.server.server import Server

PATIENCE = 60
OWN = {"drain_seconds": 0.0, "stop_timeout": 1.0, "queue_limit": None}


def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def source(function):
    return inspect.getsource(function)


def test_the_version_of_waitress_is_known():
    assert version("waitress").split(".")[0] == "3"


def test_waitress_accepts_our_dispatcher():
    parameters = inspect.signature(server.create_server).parameters
    assert {"application", "map", "_dispatcher"} <= set(parameters)
    given = ThreadedTaskDispatcher()
    sockets: dict = {}
    made = server.create_server(application, map=sockets, _dispatcher=given, listen="127.0.0.1:0")
    try:
        assert made.task_dispatcher is given
        assert made.channel_class is HTTPChannel
        assert "self.channel_class(self, conn, addr, self.adj, map=self._map)" in source(
            server.BaseWSGIServer.handle_accept
        )
        assert not given.threads  # our server starts them
        assert made in sockets.values()
    finally:
        made.close()


def test_the_dispatcher_keeps_its_jobs_in_a_deque_under_its_lock():
    given = ThreadedTaskDispatcher()
    assert type(given.queue) is deque
    assert "self.queue.popleft()" in source(ThreadedTaskDispatcher.handler_thread)
    assert "self.queue.append(task)" in source(ThreadedTaskDispatcher.add_task)
    assert "self.queue_logger.warning(" in source(ThreadedTaskDispatcher.add_task)
    assert "task.service()" in source(ThreadedTaskDispatcher.handler_thread)
    assert "task.cancel()" in source(ThreadedTaskDispatcher.shutdown)


def test_a_channel_adds_its_task_under_its_lock():
    """The I/O thread does this for an idle channel, and `service` for the next request."""
    for function, call in (
        (HTTPChannel.received, "self.server.add_task(self)"),
        (HTTPChannel.service, "self.server.add_task(self)"),
    ):
        body = source(function)
        assert "with self.requests_lock:" in body[: body.index(call)]
    assert "if len(self.requests) == 1:" in source(HTTPChannel.received)


def test_a_channel_has_the_parts_that_a_response_needs():
    ours, theirs = socket.socketpair()
    sockets: dict = {}
    loop = Loop(sockets, wasyncore.read, wasyncore.write)
    fake = SimpleNamespace(active_channels={})
    channel = Channel(
        fake, ours, ("127.0.0.1", 1), Adjustments(), map=sockets, lane=None, loop=loop
    )
    with theirs:
        assert channel.requests == []
        assert channel.request is None
        assert not channel.will_close
        assert not channel.close_when_flushed
        assert not channel.sent_continue
        assert channel.total_outbufs_len == channel.current_outbuf_count == 0
        assert len(channel.outbufs) == 1
        with channel.outbuf_lock, channel.outbuf_lock:  # it must be reentrant
            assert channel._flush_exception(channel._flush_some, do_close=False) == (False, False)
        assert channel.last_activity <= time.time()
        assert (channel.readable(), bool(channel.writable()), channel.accepting) == (
            True,
            False,
            False,
        )
        channel.handle_close()
        assert not channel.connected
        assert channel.socket is None
    loop.close()


def test_the_classes_of_waitress_can_be_replaced():
    assert issubclass(HTTPChannel.parser_class, HTTPRequestParser)
    assert HTTPChannel.task_class is WSGITask
    assert (Channel.parser_class, Channel.task_class) == (Parser, Task)
    assert "build_response_header()" in source(WSGITask.write)
    assert 'self.request.headers.get("CONNECTION"' in source(WSGITask.build_response_header)


def test_the_headers_are_written_before_the_body_unless_that_is_done():
    body = source(WSGITask.write)
    assert body.index("if not self.wrote_header:") < body.index("channel.write_soon(rh)")
    assert body.index("self.wrote_header = True") < body.index("channel.write_soon(towrite)")


def test_a_parsed_request_has_the_parts_that_the_lane_reads():
    parser = Parser(Adjustments())
    data = b"GET /health?x HTTP/1.1\r\nX-Some: 1\r\nConnection: close\r\n\r\n"
    assert parser.received(data) == len(data)
    assert parser.completed
    assert parser.error is None
    assert (parser.command, parser.request_uri, parser.version) == ("GET", "/health?x", "1.1")
    assert parser.headers == {"X_SOME": "1", "CONNECTION": "close"}
    assert parser.body_rcv is None


def test_waitress_still_waits_for_a_body_that_never_comes():
    """The class `Parser` is no longer needed if this test fails."""
    parser = HTTPRequestParser(Adjustments())
    parser.received(b"GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n")
    assert parser.completed
    assert parser.expect_continue


def test_our_loop_can_dispatch_events():
    sockets: dict = {}
    wake = trigger.trigger(sockets)
    assert list(sockets) == [wake.socket.fileno()]
    assert (wake.readable(), wake.writable(), wake.accepting) == (True, False, False)
    loop = Loop(sockets, wasyncore.read, wasyncore.write)
    woken = []
    wake.pull_trigger(lambda: woken.append(True))
    loop.turn(PATIENCE, [])
    assert woken
    wake.close()
    loop.close()


def test_a_finished_request_wakes_the_loop_last():
    """Therefore the loop sees the final state of the connection."""
    body = source(HTTPChannel.service)
    call = body.index("self.server.pull_trigger()")
    assert body.rindex("self.requests.pop(0)") < call
    assert body.rindex("self.close_when_flushed = True") < call


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "127.0.0.1:0 127.0.0.2:0"])
def test_a_server_runs_without_the_add_on_in_another_thread(listen):
    threads = threading.active_count()
    served = Server(application, {"listen": listen, "threads": 3}, OWN)
    thread = threading.Thread(target=served.run)
    thread.start()
    for host, port in served.listening:
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n")
            answer = b"".join(iter(lambda c=client: c.recv(4096), b""))
        assert answer.endswith(b"ok")
    served.terminate()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    deadline = time.monotonic() + PATIENCE
    while threading.active_count() > threads:
        assert time.monotonic() < deadline
    for host, port in served.listening:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((host, int(port)), timeout=PATIENCE)


def test_a_failing_server_closes_its_sockets():
    served = Server(application, {"listen": "127.0.0.1:0"}, OWN)

    def broken(_finishing):
        raise RuntimeError("broken")

    served._step = broken
    with pytest.raises(RuntimeError, match="broken"):
        served.run()
    host, port = served.listening[0]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, int(port)), timeout=PATIENCE)


def test_stopping_an_ended_server_is_harmless():
    """The loop may end between the call and the wake-up, which then finds a closed descriptor."""
    served = Server(application, {"listen": "127.0.0.1:0"}, OWN)
    served.terminate()
    served.run()
    with socket.socket():  # this gets the lowest free descriptor, perhaps the one of the trigger
        served.terminate()
