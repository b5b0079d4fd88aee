"""A simulated vendor on loopback that speaks the wire formats of Anthropic and OpenAI.

    with VendorServer() as vendor:
        vendor.script(error(429, retry_after=2), ok({"facts": []}))
        provider = AnthropicProvider("sk-ant-test", vendor.url)
        ...
        assert [request.model for request in vendor.requests] == [...]

`POST /v1/messages` responds like Anthropic, and `POST /v1/chat/completions` like OpenAI, with the same
headers, ids, usage and error bodies. A request gets the next reply of the script, or the reply given to
`always`. If there is neither, it gets a 500 with that explanation. A request that the real services
reject (no key, no max_tokens, invalid JSON) is rejected here too, and uses no reply of the script.
"""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.vendor_replies import (
    Api,
    Exchange,
    Reply,
    VendorRequest,
    body,
    cut,
    drip,
    empty,
    error,
    garbage,
    hang,
    hang_up,
    html,
    ok,
    refused,
    truncated,
)

__all__ = [
    "Exchange",
    "Reply",
    "VendorRequest",
    "VendorServer",
    "body",
    "cut",
    "drip",
    "empty",
    "error",
    "garbage",
    "hang",
    "hang_up",
    "html",
    "ok",
    "refused",
    "truncated",
]


class VendorServer:
    """A simulated vendor; see the module. It listens on a free port of 127.0.0.1 from `start` to `stop`."""

    def __init__(self, *, needs_key: bool = True) -> None:
        self.needs_key = needs_key
        self._script: deque[Reply] = deque()
        self._always: Reply | None = None
        self._requests: list[VendorRequest] = []
        self._changed = threading.Condition()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> VendorServer:
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop at once, and close the requests that hang."""
        if self._server is None or self._thread is None:
            return
        self._server.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        assert self._server is not None, "start the server first"
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Return the base URL for the SDK of Anthropic."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        """Return the base URL for the SDK of OpenAI, as in OPENAI_BASE_URL."""
        return f"{self.url}/v1"

    def script(self, *replies: Reply) -> VendorServer:
        """Add replies, one for each coming request."""
        with self._changed:
            self._script.extend(replies)
        return self

    def always(self, reply: Reply) -> VendorServer:
        """Set the reply for all requests after the script."""
        self._always = reply
        return self

    @property
    def requests(self) -> list[VendorRequest]:
        """Return all requests so far, in order."""
        with self._changed:
            return list(self._requests)

    def wait_for(self, count: int, timeout: float = 10) -> list[VendorRequest]:
        """Wait for this number of requests. They may still be unanswered."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._requests) >= count, timeout):
                raise AssertionError(f"{len(self._requests)} of {count} requests in {timeout} s")
            return list(self._requests)

    def take(self, request: VendorRequest) -> tuple[Reply, int]:
        """Record a request, and return its reply and its number."""
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
            number = len(self._requests)
            refusal = self._refusal(request)
            if refusal is not None:
                return refusal, number
            if self._script:
                return self._script.popleft(), number
        unscripted = error(500, "the script of the test is empty")
        return self._always or unscripted, number

    def _refusal(self, request: VendorRequest) -> Reply | None:
        """Return the reply to a request that the real services reject."""
        if request.api is None or request.method != "POST":
            return error(404, "Not Found")
        if self.needs_key and not request.key:
            return error(401, "missing key")
        needed = {"model", "messages"}
        if request.api == "anthropic":
            needed |= {"max_tokens"}
            if "anthropic-version" not in request.headers:
                return error(400, "anthropic-version: header is required")
        if missing := needed - request.body.keys():
            return error(400, f"{sorted(missing)[0]}: Field required")
        return None


class _Server(ThreadingHTTPServer):
    # Many tests call from many threads in parallel.
    request_queue_size = 200
    daemon_threads = True

    def __init__(self, owner: VendorServer) -> None:
        self.owner = owner
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        # End the threads that wait for another request on an open connection.
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the other side has closed the connection in the meantime
        super().server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            parsed = json.loads(raw)
        except ValueError:
            parsed = None
        path = self.path.partition("?")[0]
        apis: dict[str, Api] = {"/v1/messages": "anthropic", "/v1/chat/completions": "openai"}
        request = VendorRequest(
            api=apis.get(path),
            method=self.command,
            path=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            raw=raw,
            body=parsed if isinstance(parsed, dict) else {},
        )
        reply, number = self.server.owner.take(request)
        try:
            reply(Exchange(self, request, number))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client gave up

    do_GET = do_POST  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: pytest shows what the client received."""
