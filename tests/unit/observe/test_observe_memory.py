"""Tests when memory is logged, and the content of the lines."""

import logging
from dataclasses import replace

import pytest

from combine_core.observe.memory import LoggedKills, MemoryWatch, Reading, read_memory

MIB = 2**20


class Machine:
    """Memory and time under control of the test."""

    def __init__(self):
        self.now = 1000.0
        self.reading = Reading(100 * MIB, 1000 * MIB, "container", 80 * MIB, 12)
        self.watch = MemoryWatch(lambda: 7, lambda: self.reading, lambda: self.now)

    def check(self, percent=None, rss=None, after=5.0):
        self.now += after
        if percent is not None:
            self.reading = replace(self.reading, used=int(percent * 10 * MIB))
        if rss is not None:
            self.reading = replace(self.reading, rss=rss * MIB)
        self.watch.check()


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, logger="combine_core.observe.memory")

    def said(least=logging.WARNING):
        return [record for record in caplog.records if record.levelno >= least]

    return said


def test_the_limit_is_logged_once_at_the_start(machine, said):
    machine.check()
    machine.check()
    (first,) = said(logging.INFO)
    assert first.getMessage() == "memory: limit 1000 MiB (container), 100 MiB in use"


def test_each_threshold_is_logged(machine, said):
    for percent in (69.9, 70, 71, 84.9, 85, 94, 95, 99):
        machine.check(percent)
    assert [r.memory_percent for r in said()] == [70.0, 85.0, 95.0]
    assert [r.levelno for r in said()] == [logging.WARNING, logging.WARNING, logging.ERROR]


def test_several_thresholds_at_once_are_one_line(machine, said):
    machine.check(50)
    machine.check(97)
    machine.check(97)
    assert [r.memory_percent for r in said()] == [97.0]


def test_small_changes_at_a_threshold_are_one_line(machine, said):
    for percent in (70, 69, 70, 66, 71, 65.1, 70):
        machine.check(percent)
    assert len(said()) == 1


def test_a_threshold_is_logged_again_after_a_real_decrease(machine, said):
    for percent in (72, 64.9, 72):
        machine.check(percent)
    assert len(said()) == 2


def test_a_decrease_resets_only_the_passed_thresholds(machine, said):
    for percent in (96, 88, 96):
        machine.check(percent)
    assert [r.memory_percent for r in said()] == [96.0, 96.0]


def test_growth_is_not_logged_during_the_warm_up(machine, said):
    machine.check(10, rss=80)
    machine.check(75, rss=200, after=299)
    assert "growth not known yet" in said()[0].getMessage()
    assert said()[0].rss_growth_per_hour is None


def test_growth_per_hour_is_logged(machine, said):
    machine.check(10, rss=80)
    machine.check(75, rss=110, after=1800)
    assert "growth +60 MiB/h" in said()[0].getMessage()
    assert said()[0].rss_growth_per_hour == 60 * MIB


def test_growth_is_measured_over_the_last_hour(machine, said):
    for minute in range(180):
        # A hundred each minute for two hours, then none.
        machine.check(10, rss=80 + 100 * min(minute, 120), after=60)
    machine.check(75, after=60)
    assert "growth +0 MiB/h" in said()[0].getMessage()


def test_a_line_contains_usage_and_limit(machine, said):
    machine.check(10)
    machine.check(87)
    (line,) = said()
    assert line.getMessage() == (
        "memory at 87 %: 870 of 1000 MiB in use (limit of the container); this process: rss 80 MiB,"
        " growth not known yet, 7 database connections, 12 threads. Increase the limit in"
        " docker-compose, check for connection leaks, review recent code changes"
    )
    assert (line.database_connections, line.threads, line.rss) == (7, 12, 80 * MIB)


def test_the_process_is_compared_with_the_machine_without_a_limit(tmp_path):
    reading = read_memory(tmp_path)
    assert reading.of == "machine"
    assert reading.relief == "Free memory of the machine"
    assert reading.used == reading.rss > MIB
    assert reading.limit > reading.used
    assert reading.threads >= 1


def test_the_group_is_compared_with_its_limit(tmp_path):
    for path, text in {
        "proc/self/cgroup": "0::/",
        "proc/self/mountinfo": "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
        "sys/fs/cgroup/memory.max": str(512 * MIB),
        "sys/fs/cgroup/memory.current": str(384 * MIB),
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    reading = read_memory(tmp_path)
    assert (reading.of, reading.percent) == ("container", 75.0)


def killed(machine, kills, group="/docker/abc"):
    machine.reading = replace(machine.reading, group=group, kills=kills)
    machine.watch.check()


def test_a_killed_process_is_logged_once_after_the_restart(machine, said, tmp_path):
    for kills, lines in ((2, 1), (2, 0), (3, 1)):
        # Each process starts with a new watch and the files of the earlier one.
        machine.watch = MemoryWatch(
            lambda: 7, lambda: machine.reading, lambda: machine.now, LoggedKills(tmp_path)
        )
        before = len(said())
        killed(machine, kills)
        killed(machine, kills)
        assert len(said()) == before + lines
    assert said()[0].getMessage().startswith("memory ran out: the kernel has killed processes")
    assert [line.oom_kills for line in said()] == [2, 1]


def test_a_kill_of_another_process_is_logged(machine, said):
    killed(machine, 0)
    killed(machine, 1)
    assert [line.oom_kills for line in said()] == [1]


def test_each_container_has_its_own_counter(machine, said, tmp_path):
    for group, kills in (("/docker/abc", 2), ("/docker/xyz", 0), ("/docker/abc", 2)):
        machine.watch = MemoryWatch(
            lambda: 7, lambda: machine.reading, lambda: machine.now, LoggedKills(tmp_path)
        )
        killed(machine, kills, group)
    assert len(said()) == 1


def test_a_new_container_counts_from_zero(machine, said, tmp_path):
    for kills in (5, 0, 1):
        machine.watch = MemoryWatch(
            lambda: 7, lambda: machine.reading, lambda: machine.now, LoggedKills(tmp_path)
        )
        killed(machine, kills)
    assert [line.oom_kills for line in said()] == [5, 1]


def test_the_kills_of_a_group_are_read(tmp_path):
    for path, text in {
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
        "sys/fs/cgroup/memory.max": str(512 * MIB),
        "sys/fs/cgroup/memory.current": str(384 * MIB),
        "sys/fs/cgroup/memory.events": "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert read_memory(tmp_path).kills == 2
