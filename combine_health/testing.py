"""Helps authors of checks to test them in the way the service runs them, against real failures.

::

    from combine_health.testing import HealthApp, closed_port, run_check, silent_server

    def test_the_shop_is_away():
        with closed_port() as (host, port):
            seen = run_check(ShopCheck(host, port))
        assert (seen.status, seen.cause) == ("failing", "refused")

    def test_the_shop_hangs():
        with silent_server() as (host, port):
            seen = run_check(ShopCheck(host, port), timeout=0.5)
        assert seen.cause == "timeout"

    def test_the_plugin_in_an_application():
        app = HealthApp("my_plugin", settings={"my_plugin.url": "http://127.0.0.1:1/"})
        assert app.get("/health/ready")[0] == 503
        assert app.run("shop").remedy == "Start the shop."
"""

import json
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

from combine_health.engine.check import (
    Check,
    CheckFunction,
    CheckKind,
    own_remedies,
    own_secrets,
)
from combine_health.engine.event_loop import CheckLoop
from combine_health.engine.redaction import Redactor
from combine_health.engine.runner import Clock, Runner
from combine_health.engine.state import Reading

# All runs share one loop, as in an application: a check may keep a client that is bound to its loop.
_LOOP = CheckLoop()


def run_check(
    check: CheckFunction,
    registry: Any = None,
    *,
    timeout: float = 1.0,
    secrets: Iterable[str] = (),
    times: int = 1,
    **declared: Any,
) -> Reading:
    """Run ``check`` with a hard deadline of ``timeout`` seconds and return its reading.

    Detail and data are shortened and redacted as in the service. ``declared`` takes the arguments of
    ``config.add_health_check``; ``remedies`` and ``secrets`` of the check itself are used too.
    ``times`` is the number of consecutive runs, to test ``fall`` and ``rise``. A check that ignores
    its deadline continues on a daemon thread, and the result is ``failing`` with the cause
    ``timeout``.
    """
    redactor = Redactor()
    for secret in (*secrets, *own_secrets(check)):
        redactor.add(secret)
    name = declared.pop("name", "check")
    remedies = {**own_remedies(check), **(declared.pop("remedies", {}) or {})}
    runner = Runner(
        [Check(name, check, timeout=timeout, remedies=remedies, **declared)],
        registry,
        redactor,
        background=False,
        loop=_LOOP,
    )
    for _ in range(times):
        runner.refresh(tuple(CheckKind))
    reading = runner.reading(name)
    assert reading is not None
    return reading


class HealthApp:
    """A Pyramid application with only this add-on and the plugins or checks under test.

    ``plugins`` are modules, objects or dotted names with hook implementations; ``setup(config)``
    may declare checks. By default, installed plugins are not loaded and checks run during the request;
    ``settings`` may change both. Errors in the configuration propagate.
    """

    def __init__(
        self,
        *plugins: Any,
        settings: Mapping[str, Any] | None = None,
        setup: Callable[[Any], None] | None = None,
    ) -> None:
        from pyramid.config import Configurator

        merged = {
            "combine_health.background": "false",
            "combine_health.load_entry_points": "false",
            **(settings or {}),
        }
        with Configurator(settings=merged) as config:
            config.include("combine_health")
            for plugin in plugins:
                config.add_health_plugin(plugin)
            if setup is not None:
                setup(config)
            self.wsgi: Any = config.make_wsgi_app()
            """The WSGI application."""

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """Send a GET request from loopback, and return the status code and the JSON body."""
        from pyramid.request import Request

        request = Request.blank(path, headers=dict(headers or {}), remote_addr="127.0.0.1")
        response = request.get_response(self.wsgi)
        return response.status_code, json.loads(response.body)

    def run(self, name: str) -> Reading:
        """Run the check ``name`` now and return its reading. Raises `LookupError` if there is none."""
        from combine_health.engine.registry import health_of

        runner = health_of(self.wsgi.registry).runner
        runner.refresh(tuple(CheckKind), {name})
        reading = runner.reading(name)
        if reading is None:
            raise LookupError(f"the application has no check {name!r}")
        return reading


def leaks(reading: Reading, secrets: Iterable[str]) -> list[str]:
    """Return the secrets that the reading shows."""
    shown = f"{reading.cause} {reading.detail} {reading.remedy} {json.dumps(dict(reading.data))}"
    return [secret for secret in secrets if secret in shown]


@contextmanager
def closed_port() -> Iterator[tuple[str, int]]:
    """Reserve a port that refuses connections, and yield host and port."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()


@contextmanager
def silent_server() -> Iterator[tuple[str, int]]:
    """Run a server that accepts connections and never responds, and yield host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()


@contextmanager
def talking_server(talk: Callable[[socket.socket], None]) -> Iterator[tuple[str, int]]:
    """Run a server that passes each connection to ``talk`` and then closes it; yield host and port.

    ``talk`` runs on one thread, for one connection at a time, and returns when the client disconnects.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:  # shut down
                    return
                with connection:
                    try:
                        talk(connection)
                    except OSError:  # the client has disconnected
                        continue

        thread = Thread(target=serve, name="talking server", daemon=True)
        thread.start()
        try:
            yield listening.getsockname()
        finally:
            try:
                listening.shutdown(socket.SHUT_RDWR)
            except OSError:  # where a listening socket cannot be shut down, closing it wakes accept
                listening.close()
            thread.join(5)


@dataclass
class FakeClock:
    """A clock that moves only when `advance` is called. Pass ``clock()`` to a runner."""

    now: float = 1000.0
    began: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def clock(self) -> Clock:
        return Clock(lambda: self.now, lambda: self.began + timedelta(seconds=self.now - 1000.0))
