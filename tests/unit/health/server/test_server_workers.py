"""Tests when worker threads count as saturated or stuck, with a clock that the test moves."""

from types import SimpleNamespace

import pytest

from combine_health.server.workers import Workers


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


class Server:
    """A server whose requests arrive and finish under control of the test."""

    def __init__(self, threads=2, limit=1_000, after=60.0):
        self.clock = Clock()
        self.workers = Workers(threads, limit, after, self.clock)
        self.free = threads
        self.working = []

    def ask(self, count=1):
        for _ in range(count):
            request = SimpleNamespace(command="GET", path="/slow")
            channel = SimpleNamespace(requests=[request], service=lambda: None)
            self.workers.queue.append(self.workers.job(channel))
            self._take()

    def finish(self, count=1):
        for _ in range(count if self.working else 0):
            self.workers.finish(self.working.pop(0))
            self.free += 1
            self._take()

    def _take(self):
        if self.free and self.workers.queue:
            self.free -= 1
            self.working.append(self.workers.queue.popleft())
            self.workers.begin(self.working[-1])

    def pass_time(self, seconds, come=0.0, go=0.0):
        """Let time pass. ``come`` and ``go`` are requests per second."""
        owed_come = owed_go = 0.0
        for _ in range(seconds):
            self.clock.now += 1
            owed_come, owed_go = owed_come + come, owed_go + go
            self.ask(int(owed_come))
            self.finish(int(owed_go))
            owed_come, owed_go = owed_come % 1, owed_go % 1
            self.workers.observe()

    @property
    def now(self):
        return self.workers.read()


@pytest.fixture
def server():
    return Server()


def test_an_idle_server_is_not_saturated(server):
    server.pass_time(3)
    assert (server.now.threads, server.now.busy, server.now.queue) == (2, 0, 0)
    assert server.now.since is None
    assert server.now.stuck_since is None
    assert server.workers.idle


def test_busy_threads_without_a_queue_are_not_saturated(server):
    server.ask(2)
    server.pass_time(10_000)
    assert (server.now.busy, server.now.queue) == (2, 0)
    assert server.now.since is None
    assert server.now.stuck_since is None
    assert not server.workers.idle


def test_blocked_threads_with_a_waiting_request_are_saturated(server):
    server.ask(2)
    server.pass_time(3600)
    server.ask()
    began = server.clock.now
    server.pass_time(59)
    assert server.now.since is None
    assert server.now.stuck_since == began
    server.pass_time(1)
    assert server.now.since == began
    server.pass_time(600)
    assert server.now.since == began
    server.finish(1)
    assert server.now.stuck_since is None
    server.pass_time(1)
    assert server.now.since is None


def test_a_growing_queue_is_saturation(server):
    server.pass_time(200, come=6, go=5)
    assert server.now.since is not None
    assert server.now.stuck_since == server.clock.now


def test_a_long_stable_queue_is_not_saturation(server):
    server.ask(50)
    server.pass_time(1_000, come=5, go=5)
    assert server.now.queue > 40
    assert server.now.since is None


def test_a_shrinking_queue_is_not_saturation(server):
    server.ask(600)
    server.pass_time(100, come=3, go=5)
    assert server.now.queue > 60
    assert server.now.since is None


def test_a_full_queue_is_saturation(server):
    server = Server(limit=10)
    server.ask(12)
    assert server.workers.full
    server.pass_time(61, come=5, go=5)
    assert server.workers.full
    assert server.now.since is not None


def test_saturation_lasts_until_the_queue_has_been_empty(server, caplog):
    caplog.set_level("INFO", "combine_health")
    server.pass_time(100, come=6, go=5)
    assert server.now.since is not None
    while server.workers.queue:
        assert server.now.since is not None
        server.pass_time(1, come=1, go=5)
    assert server.now.since is None
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert lines[0].startswith("slow: all 2 worker threads have been busy for 60 s and ")
    assert "longest: GET /slow (" in lines[0]
    assert lines[1] == "the worker threads have caught up: the queue is empty"
    server.pass_time(10, come=6, go=5)
    assert server.now.since is None  # the period starts again


def test_a_moment_without_a_queue_restarts_the_period(server):
    server.ask(3)
    server.pass_time(59)
    server.finish(1)
    server.ask()
    server.pass_time(59)
    assert server.now.since is None
    server.pass_time(1)
    assert server.now.since is not None


def test_the_number_of_samples_is_limited(server):
    server.ask(3)
    server.pass_time(5_000, come=1, go=1)
    assert len(server.workers._samples) <= 62
    for _ in range(1_000):  # this is as often as the loop runs
        server.clock.now += 0.001
        server.workers.observe()
    assert len(server.workers._samples) <= 63


def test_samples_are_frequent_enough_for_short_limits():
    assert Workers(1, 1, 60.0).every == 1.0
    assert Workers(1, 1, 3600.0).every == 1.0
    assert Workers(1, 1, 1.2).every == pytest.approx(0.02)


def test_a_job_is_finished_even_if_it_raises():
    workers = Workers(1, 1, 1.0)
    done = []

    def fail():
        done.append(workers.read().busy)
        raise SystemExit

    job = workers.job(
        SimpleNamespace(service=fail, requests=[], cancel=lambda: done.append("cancel"))
    )
    with pytest.raises(SystemExit):
        job.service()
    job.cancel()
    assert done == [1, "cancel"]
    assert workers.idle
    assert str(job) == "- -"


def test_the_name_of_a_job_contains_no_secret():
    request = SimpleNamespace(command="GET", path="/a\n\xfcb" + "x" * 200, query="token=secret")
    job = Workers(1, 1, 1.0).job(SimpleNamespace(requests=[request]))
    assert str(job).startswith("GET /a%0A%FCbxxx")
    assert "secret" not in str(job)
    assert len(str(job)) < 120
