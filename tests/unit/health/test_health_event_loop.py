"""Tests that async checks share one event loop, so that they can keep a client."""

import asyncio
import gc
import os
import threading
import weakref

import pytest
from pyramid.threadlocal import get_current_registry

from combine_health import current_check
from combine_health.engine import event_loop
from combine_health.engine.check import Check, CheckKind, HealthResult, Status
from combine_health.engine.event_loop import CheckLoop
from combine_health.engine.redaction import Redactor
from combine_health.engine.runner import Runner
from combine_health.testing import HealthApp, run_check

PATIENCE = 60
ASYNC = "health check (async)"


class Client:
    """Belongs to the loop of its first use, like the pools of asyncio libraries."""

    def __init__(self):
        self.loop = None
        self.uses = 0

    async def ping(self):
        self.loop = self.loop or asyncio.get_running_loop()
        if self.loop is not asyncio.get_running_loop():
            raise RuntimeError("attached to a different loop")
        await asyncio.sleep(0)
        self.uses += 1


def runner_of(*functions, timeout=PATIENCE, registry=None):
    checks = [Check(f"c{number}", one, timeout=timeout) for number, one in enumerate(functions)]
    return Runner(checks, registry, Redactor(), background=False)


def statuses(runner):
    runner.refresh(tuple(CheckKind))
    return [one.status for one in runner.readings()]


def loop_threads():
    return [thread for thread in threading.enumerate() if thread.name == ASYNC]


def test_a_kept_client_works_in_every_run_of_every_check():
    client = Client()

    async def check(_registry):
        await client.ping()

    runner = runner_of(check, check)
    for _ in range(3):
        assert statuses(runner) == [Status.HEALTHY] * 2
    assert client.uses == 6


def test_a_kept_client_works_in_an_application():
    async def mirror(registry):
        await registry.client.ping()

    app = HealthApp(setup=lambda config: config.add_health_check("mirror", mirror))
    app.wsgi.registry.client = Client()
    assert [app.get("/health/ready")[0] for _ in range(3)] == [200] * 3


def test_a_kept_client_works_in_tests_of_a_check():
    client = Client()

    async def check(_registry):
        await client.ping()

    assert [run_check(check, times=2).status for _ in range(2)] == ["healthy"] * 2


def test_the_client_survives_a_deadline():
    client = Client()
    cancelled = threading.Event()
    hangs = [True]

    async def check(_registry):
        await client.ping()
        if hangs.pop():
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    runner = runner_of(check, timeout=0.05)
    assert statuses(runner) == [Status.FAILING]
    assert runner.reading("c0").cause == "timeout"
    assert cancelled.wait(PATIENCE)
    assert runner.wait_idle(PATIENCE)
    hangs.append(False)
    runner.refresh(tuple(CheckKind))
    assert client.uses == 2


@pytest.mark.parametrize("kind", ["plain", "async", "thread"])
def test_a_check_can_read_its_application_and_timeout(kind):
    def look():
        return [get_current_registry().settings["mark"], current_check().timeout]

    def plain(_registry):
        return HealthResult.healthy(seen=look())

    async def asynchronous(_registry):
        await asyncio.sleep(0)
        return HealthResult.healthy(seen=look())

    async def in_thread(_registry):
        return HealthResult.healthy(seen=await asyncio.to_thread(look))

    check = {"plain": plain, "async": asynchronous, "thread": in_thread}[kind]
    app = HealthApp(
        settings={"mark": "ours", "combine_health.check.a.timeout": "7"},
        setup=lambda config: config.add_health_check("a", check),
    )
    assert app.run("a").data == {"seen": ["ours", 7.0]}


def test_no_check_is_current_outside_of_a_check():
    with pytest.raises(LookupError):
        current_check()


def test_two_applications_have_separate_loops():
    async def check(_registry):
        await asyncio.sleep(0)
        return HealthResult.healthy(seen=get_current_registry().settings["mark"])

    apps = [
        HealthApp(settings={"mark": mark}, setup=lambda c: c.add_health_check("a", check))
        for mark in ("one", "two")
    ]
    assert [app.run("a").data["seen"] for app in apps] == ["one", "two"]


def test_a_check_that_blocks_the_loop_does_not_affect_others(monkeypatch, caplog):
    monkeypatch.setattr(event_loop, "PATIENCE", 0.05)
    go_on, blocked = threading.Event(), threading.Event()
    blocks = [True]

    async def bad(_registry):
        if blocks and blocks.pop():
            blocked.set()
            go_on.wait(PATIENCE)

    async def good(_registry):
        await asyncio.sleep(0)

    runner = Runner(
        [Check("bad", bad, timeout=0.05), Check("good", good, timeout=0.5)],
        None,
        Redactor(),
        background=False,
    )
    runner.refresh(tuple(CheckKind), {"bad"})
    assert blocked.wait(PATIENCE)
    runner.refresh(tuple(CheckKind), {"good"})
    assert runner.reading("good").cause == "timeout"
    assert runner.wait_until(lambda: runner.reading("good").running_for is None, PATIENCE)
    assert "the health check bad blocks the event loop" in caplog.text
    assert runner.reading("bad").running_for is not None  # it is not started again in the meantime

    def good_passes():
        runner.refresh(tuple(CheckKind), {"good"})
        assert runner.wait_until(lambda: runner.reading("good").running_for is None, PATIENCE)
        return runner.reading("good").state.latest.status is Status.HEALTHY

    assert any(good_passes() for _ in range(20))
    go_on.set()
    assert runner.wait_idle(PATIENCE)


def test_a_task_that_exits_does_not_end_the_loop(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda _args: None)
    client = Client()

    async def leave():
        raise SystemExit(1)

    async def check(_registry):
        await client.ping()
        task = asyncio.create_task(leave())
        await asyncio.wait([task])
        assert isinstance(task.exception(), SystemExit)

    runner = runner_of(check)
    assert statuses(runner) == [Status.HEALTHY]
    assert statuses(runner) == [Status.HEALTHY]
    assert client.uses == 2


@pytest.mark.parametrize("end", ["stop", "free"])
def test_the_thread_ends_with_the_runner(end):
    async def check(_registry):
        await asyncio.sleep(0)

    before = set(loop_threads())
    runner = runner_of(check)
    assert statuses(runner) == [Status.HEALTHY]
    (thread,) = set(loop_threads()) - before
    gone = weakref.ref(runner)
    if end == "stop":
        runner.stop()
    else:
        assert runner.wait_idle(PATIENCE)
        del runner
        gc.collect()
        assert gone() is None
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert thread.loop.is_closed()


def test_a_run_in_progress_ends_before_the_loop():
    entered = threading.Event()
    go_on = asyncio.Event()

    async def check(_registry):
        loops.append(asyncio.get_running_loop())
        entered.set()
        await go_on.wait()

    loops = []
    runner = runner_of(check)
    probe = threading.Thread(target=runner.refresh, args=(tuple(CheckKind),), daemon=True)
    probe.start()
    assert entered.wait(PATIENCE)
    runner.stop()
    loops[0].call_soon_threadsafe(go_on.set)
    probe.join(PATIENCE)
    assert runner.reading("c0").status is Status.HEALTHY


def test_background_tasks_of_a_client_are_cancelled_when_the_loop_ends():
    ended = threading.Event()
    tasks = set()

    async def background():
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def check(_registry):
        tasks.add(asyncio.create_task(background()))
        await asyncio.sleep(0)

    runner = runner_of(check)
    assert statuses(runner) == [Status.HEALTHY]
    assert runner.wait_idle(PATIENCE)
    runner.stop()
    assert ended.wait(PATIENCE)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_gets_its_own_loop():
    async def check(_registry):
        await asyncio.sleep(0.001)  # this goes through the selector

    runner = runner_of(check)
    assert statuses(runner) == [Status.HEALTHY]
    child = os.fork()
    if child == 0:
        try:
            fine = statuses(runner) == [Status.HEALTHY]
            runner.stop()
            gc.collect()
            os._exit(0 if fine else 1)
        finally:
            os._exit(2)
    _, code = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(code) == 0
    assert statuses(runner) == [Status.HEALTHY]


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_coroutine_that_forks_leaves_no_second_service():
    children = []

    async def check(_registry):
        child = os.fork()
        if child:
            children.append(child)

    assert run_check(check, timeout=PATIENCE).status is Status.HEALTHY
    _, code = os.waitpid(children[0], 0)
    assert os.waitstatus_to_exitcode(code) == 1


def test_a_stopped_loop_can_be_used_again():
    loop = CheckLoop()

    async def check(_registry):
        await asyncio.sleep(0)

    runner = Runner([Check("a", check)], None, Redactor(), background=False, loop=loop)
    assert statuses(runner) == [Status.HEALTHY]
    loop.stop()
    assert statuses(runner) == [Status.HEALTHY]
