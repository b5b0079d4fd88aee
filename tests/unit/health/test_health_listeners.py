"""Tests logged transitions, and the listeners of plugins: isolated, in order, without delays."""

import logging
import os
import threading
from datetime import UTC, datetime

import pytest

from combine_health.engine.check import Check
from combine_health.engine.listeners import LIMIT, Listener, Outbox, Outboxes, log_change
from combine_health.engine.redaction import Redactor
from combine_health.engine.state import KEPT, KEPT_PER_CHECK, Change, CheckRun
from combine_health.engine.verdict import Saturation

PATIENCE = 60


def change(before="healthy", after="failing", **given):
    return Change(
        **{
            "check": "a",
            "before": before,
            "after": after,
            "cause": "refused",
            "detail": "no answer",
            "remedy": "Start it.",
            "at": datetime(2026, 1, 1, tzinfo=UTC),
            **given,
        }
    )


class Ear:
    """A listener that collects events. `wait` returns when it has received the given number."""

    def __init__(self, name="ear", event=Change):
        self.heard = []
        self.threads = set()
        self.came = threading.Condition()
        self.listener = Listener(name, event, self)

    def __call__(self, event):
        with self.came:
            self.heard.append(event)
            self.threads.add(threading.current_thread())
            self.came.notify_all()

    def wait(self, number, about=""):
        """Return all events of one kind, after waiting for this number."""

        def heard():
            return [one for one in self.heard if about in str(one)]

        with self.came:
            self.came.wait_for(lambda: len(heard()) >= number, PATIENCE)
            return heard()


class Lines(logging.Handler, Ear):
    def __init__(self):
        logging.Handler.__init__(self)
        Ear.__init__(self)

    def emit(self, record):
        self(f"{record.levelname} {record.getMessage()}")


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "combine_health")
    handler = Lines()
    logging.getLogger("combine_health").addHandler(handler)
    yield handler
    logging.getLogger("combine_health").removeHandler(handler)


def step(health):
    health.runner.run_due()
    assert health.runner.wait_idle(PATIENCE)
    health.observe()


def test_transitions_are_logged_once_with_cause_and_remedy(make, time, lines):
    answers = [True, False, False, True]
    health = make(Check("only-here", lambda _: answers.pop(0), remedy="Start it."))
    for _ in range(4):
        step(health)
        time.advance(2)
    # Threads of other tests may log lines, too.
    assert lines.wait(4, about="only-here") == [
        "INFO health check only-here: starting -> healthy",
        "WARNING health check only-here: healthy -> failing, cause failed:"
        " the check returned False. Remedy: Start it.",
        "ERROR health service: healthy -> unavailable, cause only-here.failed:"
        " the check returned False. Remedy: Start it.",
        "INFO health check only-here: failing -> healthy",
    ]
    assert "INFO health service: unavailable -> healthy" in lines.wait(1, "unavailable -> healthy")


def test_the_status_of_the_service_changes_without_a_check(make, time):
    health = make(saturated_after=60)
    ear = Ear()
    health.outboxes.add(ear.listener)
    step(health)
    health.draining = True
    health.draining = False
    health.read_saturation = lambda: Saturation(4, 4, 9, since=time.now - 61)
    step(health)
    assert [(one.before, one.after, one.cause) for one in ear.wait(4)] == [
        ("starting", "healthy", None),
        ("healthy", "draining", "draining"),
        ("draining", "healthy", None),
        ("healthy", "unavailable", "worker_saturation"),
    ]


def test_a_chore_notices_expired_results(make, time):
    health = make(saturated_after=60)
    ear = Ear()
    health.outboxes.add(ear.listener)
    health.runner.run_due()
    assert health.runner.wait_idle(PATIENCE)
    since = time.now
    health.read_saturation = lambda: Saturation(4, 4, 9, since=since)
    time.advance(61)
    health.runner.run_due()
    assert health.runner.wait_idle(PATIENCE)
    assert [event.after for event in ear.wait(2)] == ["healthy", "unavailable"]


def test_a_check_is_reported_before_the_service(make, time, monkeypatch):
    health = make(Check("a", lambda _: True))
    ear = Ear()
    health.outboxes.add(ear.listener)
    tell = health.outboxes.send
    others = []

    def look_meanwhile(events):
        if (
            not others
        ):  # the first thread is delayed after the change; another one already sees the new state
            others.append(threading.Thread(target=health.observe))
            others[0].start()
            others[0].join(0.5)
        tell(events)

    monkeypatch.setattr(health.outboxes, "send", look_meanwhile)
    step(health)
    others[0].join(PATIENCE)
    assert [event.check for event in ear.wait(2)] == ["a", None]


def test_events_of_two_threads_keep_their_order(make, time, monkeypatch):
    second = threading.Event()
    answers = {"a": lambda _: True, "b": lambda _: second.wait(PATIENCE)}
    health = make(*(Check(name, answer, timeout=PATIENCE) for name, answer in answers.items()))
    ear = Ear()
    health.outboxes.add(ear.listener)
    tell = health.outboxes.send
    held_up = []

    def hold_up(events):
        if not held_up and any(isinstance(event, Change) for event in events):
            held_up.append(events)
            second.set()  # b ends and is reported while a is still waiting
            threading.Event().wait(0.5)
        tell(events)

    monkeypatch.setattr(health.outboxes, "send", hold_up)
    step(health)
    assert [event.check for event in ear.wait(3)] == ["a", "b", None]


def test_the_number_of_stored_events_is_limited(make, time):
    number = iter(range(10_000))
    health = make(Check("a", lambda _: next(number) % 2 == 0))
    for _ in range(KEPT + 9):
        step(health)
        time.advance(2)
    recent = health.runner.reading("a").state.recent
    assert len(recent) == KEPT_PER_CHECK
    assert len(health.recent) == KEPT
    assert health.transitions == KEPT + 9
    assert health.recent[-1].at > health.recent[0].at
    assert {event.check for event in recent} == {"a"}
    assert {event.check for event in health.recent} == {None}


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), KeyboardInterrupt()])
def test_a_listener_that_raises_is_logged_and_called_again(lines, error):
    heard = []

    def broken(event):
        heard.append(event)
        raise error

    redactor = Redactor()
    redactor.add("c4n4ry")
    boxes = Outboxes(redactor)
    boxes.add(Listener("broken", Change, broken))
    good = Ear()
    boxes.add(good.listener)
    boxes.send([change(detail=f"d{n}") for n in range(3)])
    assert [event.detail for event in good.wait(3)] == ["d0", "d1", "d2"]
    said = lines.wait(3, about="listener broken")
    assert len(said) == len(heard) == 3
    assert type(error).__name__ in said[0]
    assert boxes.errors == 3


def test_a_listener_that_hangs_delays_only_itself():
    gate, entered = threading.Event(), threading.Event()

    def hang(_event):
        entered.set()
        # There is no time limit: the rest of the test takes as long as the machine needs.
        gate.wait()

    good = Ear()
    hung, other = (
        Outbox(Listener("hung", Change, hang), Redactor()),
        Outbox(good.listener, Redactor()),
    )
    hung.put(change())
    assert entered.wait(PATIENCE)
    for number in range(LIMIT + 10):
        for box in (hung, other):
            box.put(change())
        if number % 100 == 0:
            good.wait(number + 1)
    assert len(good.wait(LIMIT + 10)) == LIMIT + 10
    assert (hung.dropped, other.dropped) == (10, 0)
    gate.set()


def test_a_caller_can_wait_for_the_delivery():
    gate, heard = threading.Event(), []
    boxes = Outboxes(Redactor())
    boxes.wait_until_delivered(PATIENCE)
    boxes.add(Listener("slow", Change, lambda event: gate.wait(PATIENCE) and heard.append(event)))
    boxes.send([change(), change()])
    boxes.wait_until_delivered(0)
    assert heard == []
    gate.set()
    boxes.wait_until_delivered(PATIENCE)
    assert len(heard) == 2


def test_each_listener_has_one_thread():
    one, other = Ear("one"), Ear("other")
    boxes = [Outbox(ear.listener, Redactor()) for ear in (one, other)]
    for _ in range(50):
        for box in boxes:
            box.put(change())
    one.wait(50)
    other.wait(50)
    assert len(one.threads) == len(other.threads) == 1
    assert one.threads != other.threads
    assert {thread.name for thread in one.threads} == {"health: one"}
    assert all(thread.daemon for thread in one.threads)


def test_a_listener_receives_only_its_kind_of_event():
    runs = Ear("runs", CheckRun)
    boxes = Outboxes(Redactor())
    boxes.add(runs.listener)
    run = CheckRun("a", "healthy", None, None, {}, 0.1, datetime.now(UTC))
    boxes.send([change(), run, change()])
    assert runs.wait(1) == [run]


def test_starting_a_thread_is_retried(monkeypatch):
    seen = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_value))
    ear = Ear()
    box = Outbox(ear.listener, Redactor())

    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        box.put(change())
    assert [str(error) for error in seen] == ["can't start new thread"]
    box.put(change())
    assert len(ear.wait(2)) == 2


def test_a_log_handler_that_raises_stops_nothing(make, time, monkeypatch):
    class Broken(logging.Handler):
        def emit(self, record):
            raise OSError("no space left on device")

    seen = threading.Semaphore(0)
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.release())
    logger = logging.getLogger("combine_health")
    handler = Broken()
    logger.addHandler(handler)
    ear = Ear()
    try:
        answers = [False, True, False, True]
        health = make(Check("a", lambda _: answers.pop(0)))
        health.outboxes.add(ear.listener)
        for _ in range(4):
            step(health)
            time.advance(2)
        assert seen.acquire(timeout=PATIENCE)
        assert len(ear.wait(8)) == 8
    finally:
        logger.removeHandler(handler)


def test_a_transition_may_have_no_cause_detail_or_remedy(lines):
    log_change(change(check=None, after="degraded", cause=None, detail=None, remedy=None))
    said = "WARNING health service: healthy -> degraded, cause not named: no detail."
    assert said in lines.heard


@pytest.mark.parametrize(
    ("check", "before", "after", "level"),
    [
        (None, "healthy", "unavailable", "ERROR"),
        (None, "starting", "unavailable", "ERROR"),
        (None, "unavailable", "degraded", "WARNING"),
        (None, "unavailable", "healthy", "INFO"),
        (None, "healthy", "draining", "INFO"),
        (None, "healthy", "maintenance", "WARNING"),
        ("database", "healthy", "failing", "WARNING"),
        ("database", "failing", "healthy", "INFO"),
    ],
)
def test_transitions_have_log_levels(caplog, check, before, after, level):
    caplog.set_level(logging.INFO, "combine_health")
    log_change(change(check=check, before=before, after=after))
    what = "service" if check is None else f"check {check}"
    # Runners of other tests may still log in their own threads.
    (record,) = [one for one in caplog.records if one.thread == threading.get_ident()]
    assert record.levelname == level
    assert record.getMessage().startswith(f"health {what}: {before} -> {after}")


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_works_while_a_listener_hangs():
    gate = threading.Event()
    entered = threading.Semaphore(0)

    def hang(_event):
        entered.release()
        gate.wait(PATIENCE)

    box = Outbox(Listener("hung", Change, hang), Redactor())
    box.put(change())
    assert entered.acquire(timeout=PATIENCE)
    child = os.fork()
    if child == 0:
        try:
            box.put(change())
            os._exit(0 if entered.acquire(timeout=PATIENCE) else 1)
        finally:
            os._exit(2)
    _, code = os.waitpid(child, 0)
    gate.set()
    assert os.waitstatus_to_exitcode(code) == 0
