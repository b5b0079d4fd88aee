"""A connection of the server: its requests, and how their answers leave."""

from typing import Any

from combine_health.server.lane import Ready

try:
    from waitress.channel import HTTPChannel
    from waitress.parser import HTTPRequestParser
    from waitress.task import WSGITask
except ImportError:  # said in one line where a server is asked for
    HTTPChannel = HTTPRequestParser = WSGITask = object

QUIET = 0.5  # seconds without a byte after which a connection without a request is closed
HALF = 2.0  # the same with half a request


class Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """Does not ask to continue a request that is complete: waitress would wait for ever."""

    def received(self, data: bytes) -> int:
        """Take bytes; returns how many were used."""
        used: int = super().received(data)
        if self.completed:
            self.expect_continue = False
        return used


def parse(data: bytes, adj: Any) -> Parser:
    """The request that these bytes are, or begin. ``adj`` are waitress' adjustments."""
    parser = Parser(adj)
    parser.received(data)
    return parser


class Task(WSGITask):  # type: ignore[misc]
    """A request on a worker thread; while the server drains, its connection ends with it."""

    wrote_header: bool

    def build_response_header(self) -> bytes:
        """Status line and headers."""
        if self.channel.server.task_dispatcher.lane.draining:
            self.request.headers["CONNECTION"] = "close"
        header: bytes = super().build_response_header()
        return header

    def write(self, data: bytes) -> None:
        """Write some of the body, and the headers before it, in one send.

        A process that is killed or frozen between two sends leaves the start of an answer, and then
        no balancer can ask another instance. waitress sends the headers by themselves.
        """
        if data and self.complete and self.has_body and not self.wrote_header:
            self.channel.head = self.build_response_header()
            self.wrote_header = True
        super().write(data)
        if self.channel.head:  # nothing of `data` was within the length that was announced
            self.channel.write_soon(b"")


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection, to which an answer can be given without a worker thread."""

    parser_class = Parser
    task_class = Task
    requests: list[Any]
    head = b""  # of an answer whose body comes next

    def add_channel(self, map: dict[int, Any] | None = None) -> None:  # noqa: A002 - waitress' name
        """Open: from now on it is watched."""
        super().add_channel(map)
        self.server.task_dispatcher.loop.touch(self)

    def del_channel(self, map: dict[int, Any] | None = None) -> None:  # noqa: A002
        """Closed, in a moment: it is watched no more."""
        self.server.task_dispatcher.loop.forget(self._fileno)
        super().del_channel(map)

    def received(self, data: bytes) -> bool:
        """Take bytes; on the I/O thread."""
        idle = self.request is None and not self.requests
        answer = self.server.task_dispatcher.lane.recognise(data) if idle else None
        if answer is None:
            taken: bool = super().received(data)
            return taken
        with self.requests_lock:
            if self.will_close or self.close_when_flushed:
                return False
            self.give(answer)
        return True

    def write_soon(self, data: Any) -> int:
        """Send, from a worker thread; returns how many bytes were taken."""
        if self.head:
            data, self.head = self.head + data, b""
        taken: int = super().write_soon(data)
        return taken

    def give(self, answer: Ready) -> None:
        """Answer the request whose turn it is. ``requests_lock`` is held; any thread.

        Not by ``write_soon``: that may wait for the I/O thread, which this may be, and wakes it by
        a pipe that it could fill up.
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
            self.forget()

    def forget(self) -> None:
        """Drop what was sent after a request that ends the connection."""
        for request in self.requests:
            request.close()
        self.requests = []

    def go_on(self) -> None:
        """Let a half-read request send its body, as ``service`` does when nothing else waits."""
        half = self.request
        if half is None or not half.expect_continue or not half.headers_finished:
            return
        if self.connected and not self.sent_continue and not self.close_when_flushed:
            self.send_continue()

    def is_quiet(self, now: float) -> bool:
        """Whether nothing is under way here, so that closing it loses no request."""
        pause = QUIET if self.request is None else HALF
        return not self.requests and now - self.last_activity >= pause
