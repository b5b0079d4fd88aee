"""The server of the ini files: waitress, with the health lane, a bounded queue and a drain.

::

    [server:main]
    use = egg:pyramid-combine#waitress
    listen = 127.0.0.1:8000

It answers the probes from its I/O thread, so that they are right even when every worker thread is
busy or stuck. On SIGTERM it says that it is draining, serves on for a while, finishes what it began
and ends. It takes every key of waitress (``threads``, ``channel_timeout``, ``trusted_proxy``, ...)
and of its own:

``drain_seconds``  5: how long it serves on, not ready, after SIGTERM
``stop_timeout``   30: how long requests in flight may take after that
``queue_limit``    requests that may wait for a worker thread, 100 a thread if not set; those beyond
                   it are answered with 503 at once
``port_hint``      the command that starts it on another port; ``{port}`` stands for the port
``banner``         further lines to print once it listens; ``{url}`` stands for its URL
``trusted_proxy``  as waitress has it, and several; a network or a name will do too. Without
                   ``trusted_proxy_headers`` it believes X-Forwarded-For, -Host and -Proto

The ini has no interpolation, so the variables ``PORT`` and ``LISTEN`` (``host`` or ``host:port``,
several by spaces) win over it, as do ``COMBINE_HEALTH_DRAIN_SECONDS`` and the like.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from combine_health.engine.log_throttle import Quiet
from combine_health.engine.registry import HealthRegistry, IHealthRegistry
from combine_health.server.announce import announce, command_for, refuse
from combine_health.server.busy import refusal
from combine_health.server.channel import QUIET, Channel, parse
from combine_health.server.drain import Drain, Phase, end_on_sigterm, on_signals
from combine_health.server.lane import Lane, Ready, lane_of
from combine_health.server.loop import Loop, prompt
from combine_health.server.open_files import room_for
from combine_health.server.ports import PortError, addresses, listen_on
from combine_health.server.proxies import Proxies, proxies
from combine_health.server.workers import Workers
from combine_health.server.wsgi import registry_of
from combine_health.settings import HealthEnvironmentError, HealthSettings, read_server

try:
    from waitress import trigger, wasyncore
    from waitress.proxy_headers import proxy_headers_middleware
    from waitress.server import BaseWSGIServer, create_server
    from waitress.task import ThreadedTaskDispatcher
except ImportError:  # said in one line where a server is asked for
    ThreadedTaskDispatcher = object

log = logging.getLogger("combine_health")

OWN_KEYS = ("port_hint", "banner", "drain_seconds", "stop_timeout", "queue_limit")
QUEUE_PER_THREAD = 100
CONNECTIONS = 20_000  # waitress' own limit of 100 would keep probes out
PROXY_HEADERS = "x-forwarded-for x-forwarded-host x-forwarded-proto"


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Gives requests to the worker threads, but for those of the lane and those beyond the queue."""

    def __init__(self, lane: Lane, workers: Workers, loop: Loop) -> None:
        super().__init__()
        self.lane = lane
        self.loop = loop
        self.workers = workers
        self.queue = workers.queue
        self.queue_logger = self._log = Quiet(ThreadedTaskDispatcher.queue_logger)
        self.set_thread_count(workers.threads)

    def add_task(self, task: Channel) -> None:
        """Take over a channel with requests; its ``requests_lock`` is held.

        It comes from the I/O thread, or from a worker thread for the next pipelined request: either
        way it is that request's turn.
        """
        if task.close_when_flushed:
            task.forget()
        while task.requests:
            answer = self.lane.answer(task.requests[0]) or self._refusal(task)
            if answer is None:
                super().add_task(self.workers.job(task))
                return
            # It stands in line until its answer is written: with nobody in line, the I/O thread would
            # write as well, without a lock, and the client would get the same bytes twice.
            task.give(answer)
            if task.requests:
                task.requests.pop(0).close()
        task.go_on()

    def _refusal(self, channel: Channel) -> Ready | None:
        if not self.workers.full:
            return None
        self._log.warning("Task queue is full: a request was refused with 503")
        return refusal(
            channel.requests[0],
            ident=channel.adj.ident,
            waiting=len(self.queue),
            oldest=self.workers.oldest,
        )


class Server:
    """waitress' servers, run by a loop of our own that knows how to end.

    ``passed`` are keys of waitress, ``own`` those of `read_server`, ``health`` the application's.
    """

    def __init__(
        self,
        app: Any,
        passed: Mapping[str, Any],
        own: Mapping[str, Any],
        registry: Any | None = None,
    ) -> None:
        adj = _adjust(**passed)
        self._health: HealthRegistry | None = registry and registry.getUtility(IHealthRegistry)
        settings = self._health.settings if self._health else HealthSettings()
        self._workers = Workers(
            adj.threads,
            own["queue_limit"] or QUEUE_PER_THREAD * adj.threads,
            settings.saturated_after,
            *([self._health.clock.monotonic] if self._health else []),
        )
        self._lane = lane_of(self._health, registry, adj, lambda data: parse(data, adj))
        self._drain = Drain(wait=own["drain_seconds"], stop=own["stop_timeout"])
        self._map: dict[int, Any] = {}
        self._wake = trigger.trigger(self._map)
        self._loop = Loop(self._map, wasyncore.read, wasyncore.write)
        self._dispatcher = Dispatcher(self._lane, self._workers, self._loop)
        judged = _behind(Proxies(proxies(adj.trusted_proxy or "")), app, adj)
        passed = {key: value for key, value in passed.items() if "proxy" not in key}
        passed["clear_untrusted_proxy_headers"] = False  # `judged` does
        made = create_server(judged, map=self._map, _dispatcher=self._dispatcher, **passed)
        self.adj = made.adj
        self.listening: list[tuple[str, str]] = getattr(made, "effective_listen", None) or [
            (made.effective_host, made.effective_port)
        ]
        self._servers = [one for one in self._map.values() if isinstance(one, BaseWSGIServer)]
        for one in self._servers:
            one.channel_class = Channel
        if self._health is not None:
            self._health.read_saturation = self._workers.read
            self._health.runner.start()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, or `terminate`, and what follows is over."""
        finishing = False
        try:
            with on_signals(self.terminate, self._interrupt), prompt():
                while (phase := self._drain.phase) is not Phase.OVER:
                    if phase is not Phase.SERVING:
                        self._say_draining()
                    if phase is Phase.FINISHING:
                        if not finishing:
                            self._stop_listening()
                        finishing = True
                        if self._is_done():
                            break
                    self._step(finishing)
        finally:
            self._close()

    def terminate(self) -> None:
        """Begin to end, as SIGTERM does; any thread."""
        self._drain.terminate()
        self._wake.pull_trigger()

    def _interrupt(self) -> None:
        self._drain.interrupt()
        self._wake.pull_trigger()

    def _step(self, finishing: bool) -> None:
        pause = min(self.adj.asyncore_loop_timeout, self._workers.every, self._drain.left)
        for one in self._servers:
            self._loop.touch(one)  # it counts the connections, and closes the abandoned ones
        self._loop.turn(min(pause, QUIET / 5) if finishing else pause, self._workers.touched())
        self._workers.observe()

    def _say_draining(self) -> None:
        if self._lane.draining:
            return
        self._lane.draining = True
        if self._health is not None:
            self._health.draining = True
        log.info("draining: not ready from now on")

    def _stop_listening(self) -> None:
        """Close the listening sockets, when all who stand in their backlog have been let in."""
        for one in self._servers:
            self._loop.forget(one.socket.fileno())
            self._loop.accept(one, self.adj.backlog)
            wasyncore.dispatcher.close(one)  # its own close() would take the workers' wake-up call

    def _is_done(self) -> bool:
        now = time.time()
        channels = self._channels()
        for one in channels:
            if one.is_quiet(now):
                one.close_when_flushed = True
                self._loop.touch(one)
        return not channels and self._workers.idle

    def _channels(self) -> list[Channel]:
        return [one for one in self._map.values() if isinstance(one, Channel)]

    def _close(self) -> None:
        cut = [str(job) for job in (*self._workers.running(), *self._workers.queue)]
        if cut:
            log.warning("ending with %d requests unfinished: %s", len(cut), ", ".join(cut[:10]))
        for one in self._channels():
            one.handle_close()
        self._dispatcher.shutdown(timeout=QUIET)
        for one in self._servers:
            one.close()
        self._wake.close()
        self._loop.close()


def server_factory(global_conf: Mapping[str, str], **ini: str) -> Callable[[Any], None]:
    """A ``paste.server_factory``: takes the port before the application is loaded.

    So a taken port is named at once, and a SIGTERM during a long start is a clean end too. Returns
    the function that serves an application until SIGTERM or SIGINT. Raises `SystemExit`.
    """
    try:
        return _prepare(global_conf, ini)
    except PortError as error:
        raise SystemExit(f"Cannot start the server: {error}") from None


def serve_paste(app: Any, global_conf: Mapping[str, str], **ini: str) -> int:
    """A ``paste.server_runner``: serves ``app`` until SIGTERM or SIGINT, then returns 0."""
    try:
        serve = _prepare(global_conf, ini)
    except PortError as error:
        refuse(f"Cannot start the server: {error}")
    serve(app)
    return 0


def _prepare(global_conf: Mapping[str, str], ini: Mapping[str, str]) -> Callable[[Any], None]:
    try:
        own = read_server(ini)
    except HealthEnvironmentError as error:
        raise PortError(f"{error} (section [server:main] of the ini file)") from None
    passed: dict[str, Any] = {key: value for key, value in ini.items() if key not in OWN_KEYS}
    if own["trusted_proxy"]:
        passed["trusted_proxy"] = " ".join(own["trusted_proxy"])
        passed.setdefault("trusted_proxy_headers", PROXY_HEADERS)
    passed.setdefault("connection_limit", str(room_for(CONNECTIONS)))
    if "unix_socket" in passed or "sockets" in passed:
        _adjust(**passed)
    else:
        where = addresses(passed, os.environ)
        passed = {k: v for k, v in passed.items() if k not in {"host", "port", "listen"}}
        found = _adjust(listen=" ".join(where), **passed)
        hint = ini.get("port_hint") or command_for(global_conf)
        passed["sockets"] = listen_on(
            found.listen, found.backlog, lambda port: hint.replace("{port}", str(port))
        )
    end_on_sigterm()

    def serve(app: Any) -> None:
        registry = registry_of(app)
        server = Server(app, passed, own, registry)
        # The server handles both once it runs; a signal may come in the moment before.
        with suppress(SystemExit, KeyboardInterrupt):
            prefix = None if registry is None else registry.getUtility(IHealthRegistry).prefix
            announce(server.listening, ini.get("banner", ""), prefix)
            server.run()

    return serve


def _adjust(**passed: Any) -> Any:
    try:
        from waitress.adjustments import Adjustments
    except ImportError:
        message = (
            "waitress is missing. Install it: pip install '.[core]' in the checkout, or"
            " pip install 'WHEEL[core]' with the path of the wheel"
        )
        raise PortError(message) from None
    try:
        return Adjustments(**passed)
    except ValueError as error:
        what = str(error)
        if what == "Invalid host/port specified.":
            what = f"cannot listen on {passed.get('listen')!r}: no such host"
        raise PortError(f"{what} (section [server:main] of the ini file)") from None


def _behind(trusted: Proxies, app: Any, adj: Any) -> Callable[[dict[str, Any], Any], Any]:
    """``app``, told by the headers of ``trusted`` who its client is, and by nobody else's."""

    def told(peer: str | None) -> Any:
        return proxy_headers_middleware(
            app,
            trusted_proxy=peer,
            trusted_proxy_count=adj.trusted_proxy_count,
            trusted_proxy_headers=adj.trusted_proxy_headers,
            clear_untrusted=adj.clear_untrusted_proxy_headers,
            log_untrusted=adj.log_untrusted_proxy_headers,
        )

    believed, plain = told("*"), told(None)

    def judged(environ: dict[str, Any], start_response: Any) -> Any:
        chosen = believed if environ["REMOTE_ADDR"] in trusted else plain
        return chosen(environ, start_response)

    return judged
