"""The applications that the benchmark measures: Pyramid with the add-on, bare WSGI and FastAPI."""

import os
import socket
import sys
import threading
from typing import Any

BODY = b'{"status": "healthy"}'
HEADERS = [
    ("Content-Type", "application/json"),
    ("Cache-Control", "no-store"),
    ("Vary", "Accept"),
    ("Content-Length", str(len(BODY))),
]


def bare(_environ: Any, start_response: Any) -> list[bytes]:
    """Return the same bytes as ``/health``, from the smallest possible WSGI application."""
    start_response("200 OK", HEADERS)
    return [BODY]


def main(_global_conf: Any, **settings: Any) -> Any:
    """Make a Pyramid application with a database check over a socket and a view that never returns."""
    from pyramid.config import Configurator

    port = int(settings.get("database", 0))

    def database(_registry: Any) -> None:
        """Wait for a response without a timeout of its own, like a driver that hangs."""
        if port:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.recv(1)

    def block(_request: Any) -> None:
        threading.Event().wait()

    with Configurator(settings=settings) as config:
        config.include("combine_health")
        config.add_health_check("database", database, words=("connected", "disconnected"))
        config.add_route("block", "/block")
        config.add_view(block, route_name="block")
        return config.make_wsgi_app()


def serve_bare(port: int) -> None:
    """Serve the application with stock waitress."""
    import waitress

    waitress.serve(bare, listen=f"127.0.0.1:{port}", _quiet=True)


def serve_fastapi(port: int) -> None:
    """Serve FastAPI on uvicorn with uvloop and httptools, as its documentation recommends."""
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "healthy"}

    uvicorn.run(
        app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", log_level="warning",
        access_log=False,
    )  # fmt: skip


if __name__ == "__main__":
    {"bare": serve_bare, "fastapi": serve_fastapi}[sys.argv[1]](int(sys.argv[2]))
    os._exit(0)
