"""What is measured: the add-on in a Pyramid application, a bare WSGI function, FastAPI."""

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
    """The same bytes as ``/health``, from the smallest WSGI application."""
    start_response("200 OK", HEADERS)
    return [BODY]


def main(_global_conf: Any, **settings: Any) -> Any:
    """A Pyramid application whose database is asked over a socket, and a view that never ends."""
    from pyramid.config import Configurator

    port = int(settings.get("database", 0))

    def database(_registry: Any) -> None:
        """Waits for an answer without a time-out of its own, as a driver that hangs."""
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
    """Stock waitress."""
    import waitress

    waitress.serve(bare, listen=f"127.0.0.1:{port}", _quiet=True)


def serve_fastapi(port: int) -> None:
    """FastAPI on uvicorn with uvloop and httptools, as its documentation deploys it."""
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
