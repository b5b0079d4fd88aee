"""Watches the server's worker threads and their queue, and detects saturated and stuck threads.

The threads are *saturated* after they have all been busy, with requests waiting, for a given time in
which the queue grew, was full, or no request finished. A long queue that does not grow is a sign of a
busy server, not of a saturated one. Saturation lasts until the queue is empty: if a small decrease in
load ended it, the load balancer would send the load back at once.
"""

import logging
from collections import deque
from collections.abc import Callable
from statistics import fmean
from time import monotonic
from typing import Any
from urllib.parse import quote

from combine_health.engine.verdict import Saturation

log = logging.getLogger("combine_health")

SAMPLES = 60  # samples of the queue length in the time after which the threads are saturated
GROWTH = 2  # requests; a smaller growth is noise
SHOWN = 3  # requests named in the log
LONGEST_PATH = 100  # characters in the log


class RequestJob:
    """The first request of a connection, as a job for a worker thread."""

    __slots__ = ("channel", "since", "started", "workers")

    def __init__(self, channel: Any, workers: "Workers", since: float) -> None:
        self.channel = channel
        self.workers = workers
        self.since = since
        self.started: float | None = None

    def service(self) -> None:
        self.workers.begin(self)
        try:
            self.channel.service()
        finally:
            self.workers.finish(self)

    def cancel(self) -> None:
        self.channel.cancel()

    def __str__(self) -> str:
        """Return method and path, without the query, which may contain secrets."""
        # Not requests[0], because a worker thread may remove the request at any time.
        request = next(iter(self.channel.requests), None)
        command, path = getattr(request, "command", "-"), getattr(request, "path", "-")
        return f"{command} {quote(path[:LONGEST_PATH].encode('latin-1', 'replace'))}"


class RequestQueue(deque[RequestJob]):
    """The queue of waiting jobs. waitress changes it under its own lock.

    :ivar since: the clock's time at which the queue was last empty, or ``None`` while it is empty
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self.since: float | None = None
        self._clock = clock

    def append(self, job: RequestJob) -> None:
        if not self:
            self.since = self._clock()
        super().append(job)

    def popleft(self) -> RequestJob:
        """Remove and return the job that has waited longest. Raises `IndexError` if there is none."""
        job = super().popleft()
        if not self:
            self.since = None
        return job


class Workers:
    """The state of the worker threads and their queue.

    ``limit`` is the length of a full queue. ``after`` is the time in seconds after which busy threads
    count as saturated. Worker threads call `begin` and `finish`; only the server's loop calls `observe`.
    """

    def __init__(
        self, threads: int, limit: int, after: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self.threads = threads
        self.limit = limit
        self.queue = RequestQueue(clock)
        self.every = max(0.02, min(1.0, after / SAMPLES))
        """The seconds between two observations."""
        self._after = after
        self._clock = clock
        self._running: set[RequestJob] = set()
        self._finished_channels: deque[Any] = deque()
        self._finished_at = clock()
        self._samples: deque[tuple[float, int]] = deque()
        self._observe_at = 0.0
        self._sampled_since: float | None = None  # the ``since`` of the queue in the samples
        self._saturated = False

    @property
    def full(self) -> bool:
        return len(self.queue) >= self.limit

    @property
    def oldest(self) -> float:
        """The seconds that the first request in the queue has waited."""
        try:
            return self._clock() - self.queue[0].since
        except IndexError:  # a thread has taken it in the meantime
            return 0.0

    @property
    def idle(self) -> bool:
        return not self.queue and not self._running

    def job(self, channel: Any) -> RequestJob:
        return RequestJob(channel, self, self._clock())

    def begin(self, job: RequestJob) -> None:
        job.started = self._clock()
        self._running.add(job)

    def finish(self, job: RequestJob) -> None:
        self._finished_channels.append(job.channel)  # first: `worked_on` must not miss it
        self._running.discard(job)
        self._finished_at = self._clock()

    def read(self) -> Saturation:
        since = self.queue.since
        return Saturation(
            threads=self.threads,
            busy=min(len(self._running), self.threads),
            queue=len(self.queue),
            since=since if self._saturated else None,
            stuck_since=None if since is None else max(since, self._finished_at),
        )

    def running(self) -> list[RequestJob]:
        """Return the jobs on the threads, longest first."""
        return sorted(self._running.copy(), key=lambda job: job.started or 0.0)

    def worked_on(self) -> list[Any]:
        """Return the channels of the jobs that are running or have run since the last call."""
        channels = [job.channel for job in self._running.copy()]
        while self._finished_channels:
            channels.append(self._finished_channels.popleft())
        return channels

    def observe(self) -> None:
        """Sample the queue. Call it at least every `every` seconds."""
        now, since = self._clock(), self.queue.since
        if now < self._observe_at:
            return
        self._observe_at = now + self.every
        if since is None or since != self._sampled_since:
            self._start_again()
            self._sampled_since = since
        if since is None or self._saturated:
            return
        self._samples.append((now, len(self.queue)))
        while self._samples[0][0] < now - self._after:
            self._samples.popleft()
        if now - since >= self._after and self._is_losing(now, since):
            self._saturated = True
            self._log_saturation(now)

    def _start_again(self) -> None:
        self._samples.clear()
        if self._saturated:
            self._saturated = False
            log.info("the worker threads have caught up: the queue is empty")

    def _is_losing(self, now: float, since: float) -> bool:
        if self.full or now - max(since, self._finished_at) >= self._after:
            return True
        lengths = [length for _, length in self._samples]
        third = max(1, len(lengths) // 3)
        before, after = fmean(lengths[:third]), fmean(lengths[-third:])
        return after - before >= max(GROWTH, before / 4)

    def _log_saturation(self, now: float) -> None:
        longest = ", ".join(
            f"{job} ({now - (job.started or now):.0f} s)" for job in self.running()[:SHOWN]
        )
        log.warning(
            "slow: all %d worker threads have been busy for %.0f s and %d requests wait; longest: %s",
            self.threads,
            self._after,
            len(self.queue),
            longest or "none",
        )
