"""Tests that background tasks continue after errors."""

import threading

from combine_core.observe.background import repeat


def test_a_task_continues_after_errors_and_logs_the_first(caplog):
    calls = []
    enough = threading.Event()

    def look():
        calls.append(threading.current_thread().name)
        if len(calls) >= 7:
            enough.set()
        if len(calls) in {2, 3, 5}:
            raise OSError("cannot look")

    repeat("test-errors", look, 0.001)
    assert enough.wait(10)
    assert set(calls) == {"test-errors"}
    failures = [r for r in caplog.records if "test-errors failed" in r.getMessage()]
    assert len(failures) == 2
    assert failures[0].exc_info[0] is OSError


def test_a_name_has_one_thread():
    looked = threading.Event()
    others = []
    repeat("test-single", looked.set, 60)
    repeat("test-single", lambda: others.append(1), 60)
    assert looked.wait(10)
    threads = [t for t in threading.enumerate() if t.name == "test-single"]
    assert len(threads) == 1
    assert threads[0].daemon
    assert others == []
