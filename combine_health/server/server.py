"""Runs waitress with a health lane, a queue limit and graceful drain.

It uses private parts of waitress, which ``tests/unit/health/server/test_server_contract.py`` lists.
"""

import errno
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from threading import RLock
from typing import Any

from waitress import trigger, wasyncore
from waitress.adjustments import Adjustments
from waitress.proxy_headers import proxy_headers_middleware
from waitress.server import BaseWSGIServer, create_server
from waitress.task import ThreadedTaskDispatcher

from combine_health.engine.log_throttle import ThrottledLog
from combine_health.engine.probes import LONGEST_RETRY
from combine_health.engine.registry import HealthRegistry
from combine_health.server.bodies import RETRY, HeldBodies, NoRoomForBody, default_limit
from combine_health.server.channel import IDLE, Channel
from combine_health.server.drain import Drain, Phase, on_signals
from combine_health.server.lane import Lane, RawAnswer, refusal
from combine_health.server.loop import Loop, short_switch_interval
from combine_health.server.mounts import Mount, mounts_of
from combine_health.server.proxies import TrustedProxies, parse_proxies
from combine_health.server.workers import Workers
from combine_health.settings import HealthSettings

log = logging.getLogger("combine_health")

QUEUE_PER_THREAD = 100
# The process or the machine has no descriptor or memory left for another connection.
EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]  # waitress has no types
    """A dispatcher that passes requests to worker threads, unless the lane answers or the queue is full."""

    def __init__(self, lane: Lane, workers: Workers) -> None:
        super().__init__()
        self.lane = lane
        self.workers = workers
        self.queue = workers.queue
        self.queue_logger = self._log = ThrottledLog(ThreadedTaskDispatcher.queue_logger)
        self.set_thread_count(workers.threads)

    def add_task(self, task: Channel) -> None:
        """Handle the requests of a channel. The caller holds its ``requests_lock``.

        The caller is the I/O thread, or a worker thread that passes on the next pipelined request.
        """
        if task.close_when_flushed:
            task.discard_requests()
        while task.requests:
            answer = self.lane.answer(task.requests[0]) or self._refusal(task)
            if answer is None:
                super().add_task(self.workers.job(task))
                return
            task.send_answer(answer)
            if task.requests:
                task.requests.pop(0).close()
        task.continue_partial_request()

    def _refusal(self, channel: Channel) -> RawAnswer | None:
        request = channel.requests[0]
        if isinstance(request.error, NoRoomForBody):
            reason, retry = request.error.body, RETRY
        elif self.workers.full:
            self._log.warning("Task queue is full: a request was rejected with 503")
            reason = f"Every worker thread is busy and {len(self.queue)} requests wait."
            retry = max(1, min(LONGEST_RETRY, round(self.workers.oldest)))
        else:
            return None
        return refusal(request, reason, ident=channel.adj.ident, retry=retry)


class Server:
    """The servers of waitress, one per address, in a loop that can shut them down gracefully.

    ``passed`` are the settings for waitress, and ``own`` the settings from `read_server`.
    """

    def __init__(self, app: Any, passed: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        adj = Adjustments(**passed)
        mounts = mounts_of(app, adj.url_prefix)
        self._healths: list[HealthRegistry] = []
        self.mounts: list[Mount] = []
        """The applications that include the health add-on, without duplicates."""
        for mount in mounts:
            if mount.health is not None and mount.health not in self._healths:
                self._healths.append(mount.health)
                self.mounts.append(mount)
        first = self._healths[0] if self._healths else None
        settings = first.settings if first else HealthSettings()
        self._workers = Workers(
            adj.threads,
            own["queue_limit"] or QUEUE_PER_THREAD * adj.threads,
            settings.saturated_after,
            *([first.clock.monotonic] if first else []),
        )
        self._lane = Lane(mounts, adj)
        self._drain = Drain(wait=own["drain_seconds"], stop=own["stop_timeout"])
        self._map: dict[int, Any] = {}
        self._wake = trigger.trigger(self._map)
        # Reentrant, because a signal handler may interrupt the thread that holds the lock.
        self._waking = RLock()
        self._closed = False
        self._log = ThrottledLog(log)
        self._loop = Loop(self._map, wasyncore.read, wasyncore.write)
        self._dispatcher = Dispatcher(self._lane, self._workers)
        proxies = TrustedProxies(parse_proxies(adj.trusted_proxy or ""))
        behind_proxies = _with_proxy_headers(proxies, app, adj)
        passed = {key: value for key, value in passed.items() if "proxy" not in key}
        passed["clear_untrusted_proxy_headers"] = False  # `behind_proxies` clears them
        made = create_server(behind_proxies, map=self._map, _dispatcher=self._dispatcher, **passed)
        self.adj = made.adj
        self.listening: list[tuple[str, str]] = getattr(made, "effective_listen", None) or [
            (made.effective_host, made.effective_port)
        ]
        bodies = HeldBodies(own.get("bodies_limit") or default_limit())
        self._servers = [
            server for server in self._map.values() if isinstance(server, BaseWSGIServer)
        ]
        for server in self._servers:
            server.channel_class = partial(Channel, lane=self._lane, loop=self._loop, bodies=bodies)
            server.accept = partial(self._accept, server)
        for health in self._healths:
            health.read_saturation = self._workers.read
            health.runner.start()

    def run(self) -> None:
        """Serve until SIGTERM, SIGINT or `terminate`, then finish the requests and return."""
        finishing = False
        try:
            with on_signals(self.terminate, self._interrupt), short_switch_interval():
                while (phase := self._drain.phase) is not Phase.OVER:
                    if phase is not Phase.SERVING:
                        self._report_draining()
                    if phase is Phase.FINISHING:
                        if not finishing:
                            self._stop_listening()
                        finishing = True
                        if self._is_finished():
                            break
                    self._step(finishing)
        finally:
            self._close()

    def terminate(self) -> None:
        """Start the shutdown, as SIGTERM does. Any thread may call it, even after the shutdown."""
        self._drain.terminate()
        self._wake_up()

    def _interrupt(self) -> None:
        self._drain.interrupt()
        self._wake_up()

    def _wake_up(self) -> None:
        # The loop may have closed the trigger already. Then its descriptor is invalid, or reused.
        with self._waking:
            if not self._closed:
                self._wake.pull_trigger()

    def _step(self, finishing: bool) -> None:
        pause = min(self.adj.asyncore_loop_timeout, self._workers.every, self._drain.left)
        for server in self._servers:
            self._loop.recheck(server)  # waitress then counts connections and closes abandoned ones
        self._loop.turn(min(pause, IDLE / 5) if finishing else pause, self._workers.worked_on())
        self._workers.observe()

    def _report_draining(self) -> None:
        if self._lane.draining:
            return
        self._lane.draining = True
        for health in self._healths:
            health.draining = True
        log.info("draining: not ready from now on")

    def _stop_listening(self) -> None:
        """Accept the clients that are already in the backlog, then close the listening sockets."""
        for server in self._servers:
            self._loop.forget(server.socket.fileno())
            self._loop.accept(server, self.adj.backlog)
            # server.close() would also close the trigger, with which workers wake the loop.
            wasyncore.dispatcher.close(server)

    def _accept(self, server: Any) -> Any:
        try:
            return type(server).accept(server)
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
            self._loop.pause()
            self._log.warning(
                "New clients wait: %s. Raise the limit of open files (ulimit -n; LimitNOFILE= in systemd)",
                error.strerror,
            )
            return None

    def _is_finished(self) -> bool:
        now = time.time()
        channels = self._channels()
        for channel in channels:
            if channel.is_idle(now):
                channel.close_when_flushed = True
                self._loop.recheck(channel)
        return not channels and self._workers.idle

    def _channels(self) -> list[Channel]:
        return [server for server in list(self._map.values()) if isinstance(server, Channel)]

    def _close(self) -> None:
        unfinished = [str(job) for job in (*self._workers.running(), *self._workers.queue)]
        if unfinished:
            shown = ", ".join(unfinished[:10])
            log.warning("shutting down with %d requests unfinished: %s", len(unfinished), shown)
        for channel in self._channels():
            channel.handle_close()
        # The dependencies of the checks may end with the process, which is not a failure.
        for health in self._healths:
            health.runner.stop()
        self._dispatcher.shutdown(timeout=IDLE)
        for server in self._servers:
            server.close()
        with self._waking:
            self._closed = True
            self._wake.close()
        self._loop.close()


def _with_proxy_headers(
    trusted: TrustedProxies, app: Any, adj: Any
) -> Callable[[dict[str, Any], Any], Any]:
    """Wrap ``app`` so that the proxy headers of ``trusted``, and of no other client, apply."""

    def wrap(peer: str | None) -> Any:
        return proxy_headers_middleware(
            app,
            trusted_proxy=peer,
            trusted_proxy_count=adj.trusted_proxy_count,
            trusted_proxy_headers=adj.trusted_proxy_headers,
            clear_untrusted=adj.clear_untrusted_proxy_headers,
            log_untrusted=adj.log_untrusted_proxy_headers,
        )

    trusting, plain = wrap("*"), wrap(None)

    def choose(environ: dict[str, Any], start_response: Any) -> Any:
        chosen = trusting if environ["REMOTE_ADDR"] in trusted else plain
        return chosen(environ, start_response)

    return choose
