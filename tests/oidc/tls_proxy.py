"""A TLS proxy that does not report itself: it passes on the decrypted bytes."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_CERTIFICATE = Path(__file__).parents[1] / "functional/health/certificates/good.pem"


@contextmanager
def tls_proxy(listens_at: int, backend_port: int) -> Iterator[str]:
    """Run the proxy for the block. Yield its address, ``https://localhost:PORT``."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with (
                suppress(OSError),
                context.wrap_socket(self.request, server_side=True) as browser,
                socket.create_connection(("127.0.0.1", backend_port)) as backend,
            ):
                back = threading.Thread(target=_pump, args=(backend, browser), daemon=True)
                back.start()
                _pump(browser, backend)
                back.join()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_CERTIFICATE)
    with _Server(("127.0.0.1", listens_at), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"https://localhost:{listens_at}"
        server.shutdown()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
