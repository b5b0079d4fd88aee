"""Handles a connection of the server: receives its requests and sends the responses."""

from functools import partial
from typing import Any

from waitress.channel import HTTPChannel
from waitress.task import WSGITask

from combine_health.server.bodies import HeldBodies, Parser
from combine_health.server.lane import Lane, RawAnswer
from combine_health.server.loop import Loop

IDLE = 0.5  # seconds without a byte after which a draining server closes an idle connection
HALF_READ = 2.0  # the same for a connection with a partial request


class Task(WSGITask):  # type: ignore[misc]  # waitress has no types
    """A request on a worker thread. While the server drains, its response closes the connection."""

    wrote_header: bool

    def build_response_header(self) -> bytes:
        if self.channel.lane.draining:
            self.request.headers["CONNECTION"] = "close"
        header: bytes = super().build_response_header()
        return header

    def write(self, data: bytes) -> None:
        """Write a part of the body. The headers are sent with the first part, in one call.

        waitress sends the headers separately. If the process is killed between the two sends, the load
        balancer has received half a response and cannot retry the request on another instance.
        """
        if data and self.complete and self.has_body and not self.wrote_header:
            self.channel.head = self.build_response_header()
            self.wrote_header = True
        super().write(data)
        if self.channel.head:  # waitress dropped all of `data`, which exceeds the Content-Length
            self.channel.write_soon(b"")


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that can answer a request without a worker thread."""

    parser_class: Any = Parser
    task_class = Task
    requests: list[Any]
    head = b""  # the headers of a response whose body follows

    def __init__(
        self,
        *args: Any,
        lane: Lane,
        loop: Loop,
        bodies: HeldBodies | None = None,
        **kwargs: Any,
    ) -> None:
        self.parser_class = partial(Parser, bodies=bodies)
        self.lane = lane
        self._loop = loop
        super().__init__(*args, **kwargs)

    def add_channel(self, map: dict[int, Any] | None = None) -> None:  # noqa: A002 - waitress' name
        super().add_channel(map)
        self._loop.recheck(self)

    def del_channel(self, map: dict[int, Any] | None = None) -> None:  # noqa: A002
        self._loop.forget(self._fileno)
        super().del_channel(map)

    def received(self, data: bytes) -> bool:
        """Handle received bytes, on the I/O thread."""
        idle = self.request is None and not self.requests
        answer = self.lane.recognise(data) if idle else None
        if answer is None:
            accepted: bool = super().received(data)
            return accepted
        with self.requests_lock:
            if self.will_close or self.close_when_flushed:
                return False
            self.send_answer(answer)
        return True

    def write_soon(self, data: Any) -> int:
        """Send from a worker thread, and return the number of bytes accepted."""
        if self.head:
            data, self.head = self.head + data, b""
        accepted: int = super().write_soon(data)
        return accepted

    def _flush_some(self, do_close: bool = True) -> bool:
        """Send buffered bytes, and return whether any were sent.

        On the I/O thread, waitress takes no lock here if no request is left. But a worker thread that
        has finished the last request may still be sending ``100 Continue``: without the lock, the client
        receives the same bytes twice.
        """
        with self.outbuf_lock:
            sent: bool = super()._flush_some(do_close=do_close)
            return sent

    def send_answer(self, answer: RawAnswer) -> None:
        """Answer the next request. The caller, on any thread, holds ``requests_lock``.

        ``write_soon`` is unsuitable: it may wait for the I/O thread, which can be the caller, and it
        wakes that thread through a pipe that the caller could fill.
        """
        with self.outbuf_lock:
            if not self.connected:
                return
            self.outbufs[-1].append(answer.data)
            self.current_outbuf_count += len(answer.data)
            self.total_outbufs_len += len(answer.data)
            self._flush_exception(self._flush_some, do_close=False)
        if answer.close:
            self.close_when_flushed = True
            self.discard_requests()

    def discard_requests(self) -> None:
        """Drop all requests, because the connection ends before them."""
        for request in self.requests:
            request.close()
        self.requests = []

    def continue_partial_request(self) -> None:
        """Send ``100 Continue`` for a partial request, as ``service`` does if no other request waits."""
        request = self.request
        if request is None or not request.expect_continue or not request.headers_finished:
            return
        if self.connected and not self.sent_continue and not self.close_when_flushed:
            self.send_continue()

    def is_idle(self, now: float) -> bool:
        """Check whether the connection can close at ``now`` (epoch seconds) without losing a request."""
        pause = IDLE if self.request is None else HALF_READ
        return not self.requests and now - self.last_activity >= pause
