"""Tests the reports about connection holders: possible leaks and an exhausted pool."""

import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import TimeoutError as PoolTimeout

from combine_core.database import pool
from combine_core.database.pool import LeakWatch
from combine_core.observe.context import working_at


@pytest.fixture
def clock(monkeypatch):
    """The clock of the pool, which the test sets."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(pool, "time", clock)
    return clock


def test_a_request_that_keeps_its_connection_is_reported(serve, lines, clock):
    kept = []
    served = serve(lambda request: kept.append(request.registry and served.engine.connect()))
    watch = LeakWatch(30, lambda: [served.engine.pool])
    served.get("leak-1234")
    clock.now += 29.9
    watch.check()
    assert lines.json("leak") == []
    clock.now += 1.1
    watch.check()
    watch.check()
    (line,) = lines.json("possible connection leak")
    assert line["message"].startswith(
        "possible connection leak: a database connection is held by route api.v1.view"
        " (request leak-1234, thread "
    )
    assert line["message"].endswith(") for 31.0 s")
    assert (line["route"], line["request_id"]) == ("api.v1.view", "leak-1234")
    assert line["duration"] == 31_000
    kept.pop().close()
    watch.check()
    assert len(lines.json("leak")) == 1


def test_another_leak_of_the_same_connection_is_reported(make, lines, clock):
    engine = make(pool_size=1)
    watch = LeakWatch(30, lambda: [engine.pool])
    for _ in range(2):
        with engine.connect():
            clock.now += 40
            watch.check()
        watch.check()
    assert len(lines.json("leak")) == 2


def test_a_returned_connection_is_not_a_leak(make, lines, clock):
    engine = make()
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    clock.now += 100
    LeakWatch(30, lambda: [engine.pool]).check()
    assert lines.json("leak") == []
    assert engine.pool.holders() == []


def test_a_broken_or_detached_connection_is_not_held(make):
    engine = make()
    with engine.connect() as connection:
        connection.invalidate()
        assert engine.pool.holders() == []
    with engine.connect() as connection:
        connection.detach()
        assert engine.pool.holders() == []


def test_a_recreated_pool_is_counted_separately(make):
    engine = make()
    before = engine.pool
    engine.dispose()
    assert engine.pool is not before
    with engine.connect():
        assert len(engine.pool.holders()) == 1
        assert before.holders() == []


def test_the_watch_keeps_no_pool_alive(make):
    engine = make()
    watch = LeakWatch(30)
    watch.check()
    gone = weakref.ref(engine.pool)
    engine.dispose(close=False)
    while gone() is not None:
        import gc

        gc.collect()
    watch.check()


def test_an_exhausted_pool_names_the_connection_holders(make, lines):
    engine = make(pool_size=1)
    engine.pool._timeout = 0.01
    with (
        working_at("api.v1.runs", "holds-it-1"),
        engine.connect(),
        ThreadPoolExecutor(1) as others,
        pytest.raises(PoolTimeout),
    ):
        others.submit(engine.connect).result()
    (line,) = lines.json("pool timeout")
    assert line["message"].startswith(
        "pool timeout: no database connection came free within 0.01 s; all 1 are out,"
        " the longest held by route api.v1.runs (request holds-it-1, thread MainThread) for 0."
    )
    assert line["level"] == "WARNING"


def test_open_connections_of_all_pools_are_counted(make):
    before = pool.open_connections()
    one, other = make(), make()
    with one.connect(), one.connect(), other.connect():
        assert pool.open_connections() == before + 3
    assert pool.open_connections() == before + 3  # idle in the pool
    one.dispose()
    other.dispose()
    assert pool.open_connections() == before


def test_opening_a_connection_does_not_count_as_waiting(make):
    engine = make(pool_size=1, max_overflow=0)
    readings = []

    def look(*_given):
        readings.append(engine.pool.reading())

    event.listen(engine, "do_connect", look)
    with engine.connect():
        pass
    assert [(one.checked_out, one.waiting) for one in readings] == [(1, 0)]
    assert engine.pool.reading().waiting == 0
