"""The server's worker threads: who is busy, who waits, and whether they are saturated or stuck.

*Saturated*: for so long every thread was busy and requests waited, and the queue grew, was full, or
nothing was finished at all. A long queue that does not grow is a busy server, not a saturated one.
It stays so until the queue has been empty once: less load alone would bring it back at once.
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

SAMPLES = 60  # of the queue, in the time after which it is saturated
GROWTH = 2  # requests; less is chance
SHOWN = 3  # requests named in the log
LONGEST_PATH = 100


class Job:
    """One turn of a connection on a worker thread: the request that is first in it."""

    __slots__ = ("channel", "since", "started", "workers")

    def __init__(self, channel: Any, workers: "Workers", since: float) -> None:
        self.channel = channel
        self.workers = workers
        self.since = since
        self.started: float | None = None

    def service(self) -> None:
        """Do the work, on the thread that calls."""
        self.workers.begin(self)
        try:
            self.channel.service()
        finally:
            self.workers.finish(self)

    def cancel(self) -> None:
        """Give the work up."""
        self.channel.cancel()

    def __str__(self) -> str:
        """Method and path, without the query, which may hold what is nobody's business."""
        request = next(iter(self.channel.requests), None)  # its own thread may take it away
        command, path = getattr(request, "command", "-"), getattr(request, "path", "-")
        return f"{command} {quote(path[:LONGEST_PATH].encode('latin-1', 'replace'))}"


class Queue(deque[Job]):
    """The jobs that wait. waitress adds and takes under its own lock.

    :ivar since: since when, without a break, some job waits
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self.since: float | None = None
        self._clock = clock

    def append(self, job: Job) -> None:
        """Add a job at the end."""
        if not self:
            self.since = self._clock()
        super().append(job)

    def popleft(self) -> Job:
        """Take the job that waited longest. Raises `IndexError` where there is none."""
        job = super().popleft()
        if not self:
            self.since = None
        return job


class Workers:
    """What is known of the worker threads.

    ``limit`` is the length of a full queue, ``after`` the seconds of pressure that make saturation.
    `begin` and `finish` are called on worker threads, `observe` by the server's loop alone.
    """

    def __init__(
        self, threads: int, limit: int, after: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self.threads = threads
        self.limit = limit
        self.queue = Queue(clock)
        self.every = max(0.02, min(1.0, after / SAMPLES))
        """Seconds between two observations."""
        self._after = after
        self._clock = clock
        self._running: set[Job] = set()
        self._done: deque[Any] = deque()
        self._finished_at = clock()
        self._samples: deque[tuple[float, int]] = deque()
        self._observe_at = 0.0
        self._stretch: float | None = None  # the queue's ``since`` that the samples are of
        self._saturated = False

    @property
    def full(self) -> bool:
        """Whether the queue takes no more."""
        return len(self.queue) >= self.limit

    @property
    def oldest(self) -> float:
        """Seconds that the first in the queue has waited."""
        try:
            return self._clock() - self.queue[0].since
        except IndexError:  # taken in the meantime
            return 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not self.queue and not self._running

    def job(self, channel: Any) -> Job:
        """A new job, to be put into the queue."""
        return Job(channel, self, self._clock())

    def begin(self, job: Job) -> None:
        """A thread has taken ``job``."""
        job.started = self._clock()
        self._running.add(job)

    def finish(self, job: Job) -> None:
        """``job`` is done, well or not."""
        self._done.append(job.channel)  # first: `touched` must not find it in neither
        self._running.discard(job)
        self._finished_at = self._clock()

    def read(self) -> Saturation:
        """How it stands now."""
        since = self.queue.since
        return Saturation(
            threads=self.threads,
            busy=min(len(self._running), self.threads),
            queue=len(self.queue),
            since=since if self._saturated else None,
            stuck_since=None if since is None else max(since, self._finished_at),
        )

    def running(self) -> list[Job]:
        """The jobs on the threads, the longest first."""
        return sorted(self._running.copy(), key=lambda job: job.started or 0.0)

    def touched(self) -> list[Any]:
        """The channels of the jobs that run, or have since it was asked last."""
        channels = [job.channel for job in self._running.copy()]
        while self._done:
            channels.append(self._done.popleft())
        return channels

    def observe(self) -> None:
        """Look at the queue; to be called every `every` seconds, or more often."""
        now, since = self._clock(), self.queue.since
        if now < self._observe_at:
            return
        self._observe_at = now + self.every
        if since is None or since != self._stretch:
            self._relieved()
            self._stretch = since
        if since is None or self._saturated:
            return
        self._samples.append((now, len(self.queue)))
        while self._samples[0][0] < now - self._after:
            self._samples.popleft()
        if now - since >= self._after and self._is_losing(now, since):
            self._saturated = True
            self._tell(now)

    def _relieved(self) -> None:
        self._samples.clear()
        if self._saturated:
            self._saturated = False
            log.info("the worker threads have caught up: no request waits")

    def _is_losing(self, now: float, since: float) -> bool:
        if self.full or now - max(since, self._finished_at) >= self._after:
            return True
        depths = [depth for _, depth in self._samples]
        third = max(1, len(depths) // 3)
        before, after = fmean(depths[:third]), fmean(depths[-third:])
        return after - before >= max(GROWTH, before / 4)

    def _tell(self, now: float) -> None:
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
