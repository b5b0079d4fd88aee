"""Tests the checks of open files and of the clock."""

import os
import resource

import pytest

from combine_health.checks import ClockJumps, OpenFiles
from combine_health.checks.machine import EARLIEST, read_open_files, steady
from combine_health.testing import run_check


def test_open_files_are_counted():
    before, limit = read_open_files()
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(10)]
    try:
        assert read_open_files() == (before + 10, limit)
    finally:
        for descriptor in held:
            os.close(descriptor)
    assert limit == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@pytest.mark.parametrize(
    ("found", "status", "cause"),
    [
        ((79, 100), "healthy", None),
        ((80, 100), "degraded", "files_high"),
        ((95, 100), "failing", "files_exhausted"),
        ((5, 0), "failing", "files_exhausted"),
        ((5000, float("inf")), "healthy", None),
        (None, "degraded", "not_measurable"),
    ],
)
def test_open_files_near_the_limit_are_reported(found, status, cause):
    seen = run_check(OpenFiles(read=lambda: found))
    assert (seen.status, seen.cause) == (status, cause)
    if found:
        assert seen.data["open"] == found[0]


def test_open_files_of_this_process_are_counted():
    seen = run_check(OpenFiles())
    assert seen.data["open"] > 2


class Clocks:
    """A wall clock that a test can set, and a monotonic clock that it cannot."""

    def __init__(self):
        self.wall = EARLIEST + 1_000_000.0
        self.steady = 50.0
        self.check = ClockJumps(wall=lambda: self.wall, steady=lambda: self.steady)

    def after(self, seconds, *, jump=0.0):
        self.steady += seconds
        self.wall += seconds + jump
        return self.check(None)


@pytest.fixture
def clocks():
    clocks = Clocks()
    assert clocks.check(None).status == "healthy"
    return clocks


def test_a_steady_clock_is_healthy(clocks):
    for _ in range(5):
        assert clocks.after(10, jump=0.01).status == "healthy"


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 1.5, -1.5])
def test_a_clock_change_is_reported_for_some_time(clocks, jump):
    seen = clocks.after(10, jump=jump)
    assert (seen.status, seen.cause) == ("degraded", "clock_jumped")
    assert seen.data["jump_seconds"] == pytest.approx(jump)
    assert clocks.after(599).data["ago_seconds"] == 599
    assert clocks.after(2).status == "healthy"


def test_a_pause_of_the_process_is_not_a_clock_change(clocks):
    assert clocks.after(7200).status == "healthy"


def test_an_unset_clock_is_reported(clocks):
    clocks.wall = 0.0
    seen = clocks.check(None)
    assert (seen.status, seen.cause) == ("degraded", "clock_not_set")
    assert seen.data == {"shows": "1970-01-01"}


def test_the_clock_of_this_machine_is_healthy():
    assert steady() <= steady()
    assert run_check(ClockJumps()).status == "healthy"


@pytest.mark.parametrize("wrong", [{"max_jump": 0}, {"remember": -1}])
def test_invalid_arguments_are_rejected(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ClockJumps(**wrong)
