"""Tests the snapshot for probes: it is correct after each change, and reused while it is valid."""

import threading
from datetime import timedelta

from combine_health.endpoints.probe_request import ProbeRequest, answer
from combine_health.engine.check import Check, CheckKind
from combine_health.engine.maintenance import Maintenance, write_file
from combine_health.engine.registry import LONGEST
from combine_health.engine.verdict import Saturation

PATIENCE = 60
WORDS = ("connected", "disconnected")


class Gate:
    """A check that hangs until the test opens the gate."""

    def __init__(self):
        self.started = 0
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self, _registry):
        self.started += 1
        self.entered.release()
        self.open.wait(PATIENCE)


def step(health):
    health.runner.run_due()
    assert health.runner.wait_idle(PATIENCE)


def answer_of(health, probe):
    found = health.snapshot()
    return answer(ProbeRequest(probe, None, None, False), None, found.readings, found.circumstances)


def ready(health):
    return answer_of(health, "combine_health_ready")


def test_each_state_has_a_response(make):
    health = make(Check("database", lambda _: True, words=WORDS))
    assert answer_of(health, "combine_health").body == b'{"status": "healthy"}'
    assert answer_of(health, "combine_health_startup").body == b'{"status": "started"}'
    assert ready(health).status == 503
    assert ready(health).body == b'{"status": "starting", "database": "unknown"}'
    step(health)
    answer = ready(health)
    assert (answer.status, answer.retry_after) == (200, None)
    assert answer.body == b'{"status": "ready", "database": "connected"}'
    assert dict(answer.headers) == {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "Vary": "Accept",
    }


def test_the_same_object_until_something_changes(make, time):
    answers = [True, True, False]
    health = make(Check("database", lambda _: answers.pop(0), words=WORDS, interval=2.0))
    step(health)
    first = health.snapshot()
    assert health.snapshot() is first
    time.advance(2)
    step(health)  # it passes again without a change
    assert health.snapshot() is first
    time.advance(2)
    step(health)
    assert ready(health).status == 503


def test_a_result_that_is_not_renewed_expires(make, time):
    health = make(Check("database", lambda _: True, words=WORDS, interval=2.0))
    step(health)
    assert ready(health).status == 200
    time.advance(6.0)
    assert ready(health).status == 200
    time.advance(0.1)
    assert ready(health).status == 503
    assert ready(health).body == b'{"status": "unavailable", "database": "unknown"}'


def test_a_failure_that_is_not_renewed_expires(make, time):
    health = make(Check("database", lambda _: False, words=WORDS, interval=2.0))
    step(health)
    assert ready(health).body == b'{"status": "unavailable", "database": "disconnected"}'
    time.advance(6.1)
    assert ready(health).body == b'{"status": "unavailable", "database": "unknown"}'


def test_a_hung_check_stays_failing(make, time):
    gate = Gate()
    health = make(Check("database", gate, words=WORDS, timeout=1.0, interval=2.0))
    health.runner.run_due()
    assert gate.entered.acquire(timeout=PATIENCE)
    assert ready(health).body == b'{"status": "starting", "database": "unknown"}'
    for _ in range(50):
        time.advance(2)
        health.runner.run_due()
        assert ready(health).body == b'{"status": "unavailable", "database": "disconnected"}'
    assert gate.started == 1
    gate.open.set()


def test_a_hung_check_does_not_stay_healthy_when_the_scheduler_is_dead(make, time):
    gate = Gate()
    health = make(Check("database", gate, words=WORDS, timeout=1.0, interval=2.0))
    gate.open.set()
    step(health)
    gate.open.clear()
    gate.entered.acquire()
    time.advance(2)
    health.runner.run_due()
    assert gate.entered.acquire(timeout=PATIENCE)
    time.advance(100)  # there is no tick
    assert ready(health).body == b'{"status": "unavailable", "database": "unknown"}'
    gate.open.set()


def test_draining_is_shown_at_once(make):
    health = make()
    assert ready(health).status == 200
    health.draining = True
    assert ready(health).body == b'{"status": "draining"}'
    assert answer_of(health, "combine_health").status == 200
    health.draining = False
    assert ready(health).status == 200


def test_maintenance_starts_when_read_and_ends_on_time(make, time):
    health = make()
    assert ready(health).status == 200
    until = time.clock().wall() + timedelta(seconds=30)
    write_file(health.settings.maintenance_path, Maintenance("r", "o", until))
    health.maintenance.update()
    assert ready(health).body == b'{"status": "maintenance"}'
    time.advance(29.9)
    assert ready(health).status == 503
    time.advance(0.2)
    assert ready(health).status == 200


def test_the_worker_threads_are_read_once_a_second(make, time):
    health = make(saturated_after=60)
    asked = []
    since = time.now

    def read():
        asked.append(1)
        return Saturation(4, 4, 1, since, since)

    health.read_saturation = read
    for _ in range(10):
        assert ready(health).status == 200
    assert len(asked) == 1
    time.advance(60 + LONGEST)
    assert ready(health).status == 503


def test_reading_takes_no_lock(make):
    health = make(Check("database", lambda _: True))
    step(health)
    observing, go_on, found = threading.Event(), threading.Event(), []

    def read():
        if threading.current_thread() is observer:  # this holds the lock of the observers
            observing.set()
            go_on.wait(PATIENCE)
        return Saturation(1, 0, 0)

    def look():  # while this thread holds the lock of the runner
        thread = threading.Thread(target=lambda: found.append(ready(health)), daemon=True)
        thread.start()
        thread.join(PATIENCE)
        return True

    health.read_saturation = read
    observer = threading.Thread(target=health.observe, daemon=True)
    observer.start()
    assert observing.wait(PATIENCE)
    health.runner.wait_until(look, PATIENCE)
    go_on.set()
    assert [answer.status for answer in found] == [200]


def test_a_change_during_creation_invalidates_the_snapshot(make):
    health = make()

    def read():  # it is called after the flag was read
        if not health.draining:
            health.draining = True
        return Saturation(1, 0, 0)

    health.read_saturation = read
    assert ready(health).status == 200
    health.read_saturation = None
    assert ready(health).body == b'{"status": "draining"}'


def test_the_startup_probe_follows_the_startup_checks(make, time):
    answers = [False, True]
    health = make(Check("warm", lambda _: answers.pop(0), kind=CheckKind.STARTUP))
    step(health)
    assert answer_of(health, "combine_health_startup").status == 503
    time.advance(2)
    step(health)
    assert answer_of(health, "combine_health_startup").status == 200
    time.advance(10_000)
    assert answer_of(health, "combine_health_startup").status == 200


def test_no_snapshot_exists_if_checks_run_on_request(make):
    assert make(background=False).snapshot() is None


def test_ten_thousand_probes_of_a_hung_check_start_no_thread(make, time, monkeypatch):
    gate = Gate()
    health = make(Check("database", gate, words=WORDS, timeout=1.0, interval=2.0))
    health.runner.run_due()
    assert gate.entered.acquire(timeout=PATIENCE)
    time.advance(1)
    health.runner.run_due()
    health.snapshot()
    # Count the threads where they start, because other tests have threads in this process too.
    started = []
    start = threading.Thread.start

    def counted(thread):
        started.append((threading.current_thread(), thread))
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", counted)
    snapshots = {id(health.snapshot())}
    for number in range(10_000):
        if number % 100 == 0:
            time.advance(0.5)
            health.runner.run_due()
        assert ready(health).status == 503
        snapshots.add(id(health.snapshot()))
    by_probes = [thread for starter, thread in started if starter is threading.current_thread()]
    assert len(by_probes) <= 1  # the thread of the chores
    assert gate.started == 1
    assert len(snapshots) < 10  # reused, not created again
    gate.open.set()
