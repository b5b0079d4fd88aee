"""Tests how results become a status."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from combine_health.engine.check import FRAMEWORK_REMEDIES, Check, CheckKind, Status
from combine_health.engine.state import RunOutcome, State, read

WALL = datetime(2026, 1, 1, tzinfo=UTC)
HEALTHY, DEGRADED, FAILING = Status.HEALTHY, Status.DEGRADED, Status.FAILING


def check(**declared):
    return Check("redis", lambda _registry: True, **declared)


def outcome(status, at=0.0, cause=None):
    return RunOutcome(status, cause, None, {}, at, at)


def after(statuses, **declared):
    state = State(WALL)
    for status in statuses:
        state = state.after(outcome(status), check(**declared), WALL)
    return state


def test_a_check_is_starting_before_its_first_result():
    reading = read(check(), State(WALL), None, 5.0)
    assert reading.status is Status.STARTING
    assert reading.age is None


def test_fall_failures_in_a_row_make_a_check_failing():
    assert after([HEALTHY, FAILING, FAILING], fall=3).settled is HEALTHY
    assert after([HEALTHY, FAILING, FAILING, HEALTHY, FAILING], fall=3).settled is HEALTHY
    assert after([HEALTHY, FAILING, FAILING, FAILING], fall=3).settled is FAILING


def test_rise_passes_in_a_row_make_a_check_healthy():
    assert after([FAILING, HEALTHY, HEALTHY], rise=3).settled is FAILING
    assert after([FAILING, HEALTHY, HEALTHY, FAILING, HEALTHY], rise=3).settled is FAILING
    assert after([FAILING, HEALTHY, HEALTHY, DEGRADED], rise=3).settled is DEGRADED


def test_the_first_failures_do_not_count_as_healthy():
    assert after([FAILING, FAILING], fall=3).settled is Status.STARTING
    assert after([FAILING, FAILING, FAILING], fall=3).settled is FAILING
    assert not after([FAILING, FAILING, FAILING], fall=3).ever_healthy


def test_one_pass_is_enough_at_the_start():
    assert after([HEALTHY], rise=3).settled is HEALTHY


def test_the_old_status_is_shown_while_a_check_rises():
    state = State(WALL).after(outcome(FAILING, cause="refused"), check(rise=2), WALL)
    state = state.after(outcome(HEALTHY), check(rise=2), WALL)
    reading = read(check(rise=2), state, None, 0.1)
    assert (reading.status, reading.cause) == (FAILING, "refused")
    assert reading.detail == "passed 1 of 2 times since"


def test_a_result_older_than_three_intervals_is_unknown():
    state = after([HEALTHY])
    at_last = check(interval=2.0, timeout=1.0)
    assert read(at_last, state, None, 6.0).status is HEALTHY
    stale = read(at_last, state, None, 6.1)
    assert (stale.status, stale.cause) == (Status.UNKNOWN, "stale")
    assert stale.age == 6.1


def test_a_slow_healthy_check_does_not_flicker():
    # It may take up to 4 s, and three intervals of 1 s would end during a run.
    assert read(check(interval=1.0, timeout=4.0), after([HEALTHY]), None, 11.0).status is HEALTHY


def test_a_hung_run_is_reported_with_its_duration():
    reading = read(check(), after([FAILING]), 10.0, 47.4)
    assert (reading.cause, reading.detail) == ("timeout", "running for 37 s")


def test_a_startup_check_that_passed_does_not_expire():
    once = check(kind=CheckKind.STARTUP)
    assert read(once, after([HEALTHY]), None, 9999.0).status is HEALTHY
    assert read(once, after([FAILING]), None, 9999.0).status is Status.UNKNOWN


def test_remedies_depend_on_the_cause():
    declared = check(remedy="look", remedies={"refused": "start it"})
    assert declared.remedy_for("refused") == "start it"
    assert declared.remedy_for("other") == "look"
    assert declared.remedy_for(None) == "look"


@pytest.mark.parametrize("cause", FRAMEWORK_REMEDIES)
def test_causes_of_the_framework_have_their_own_remedies(cause):
    remedy = check(remedy="Run pending migrations").remedy_for(cause)
    assert remedy
    assert "migrations" not in remedy
    assert "{" not in remedy
    assert check(remedies={cause: "mine"}).remedy_for(cause) == "mine"


def test_the_page_for_authors_lists_the_causes_of_the_framework():
    page = (Path(__file__).parents[3] / "docs/health-plugins.md").read_text(encoding="utf-8")
    table = page.partition("### Causes of the framework")[2].partition("## The arguments")[0]
    assert re.findall(r"^\| `(\w+)` ", table, re.MULTILINE) == list(FRAMEWORK_REMEDIES)


@given(
    st.lists(st.sampled_from([HEALTHY, DEGRADED, FAILING])), st.integers(1, 4), st.integers(1, 4)
)
def test_the_status_follows_the_last_results(statuses, fall, rise):
    state = after(statuses, fall=fall, rise=rise)
    assert state.runs == len(statuses)
    if statuses[-fall:] == [FAILING] * fall:
        assert state.settled is FAILING
    if len(statuses) >= rise and FAILING not in statuses[-rise:]:
        assert state.settled is statuses[-1]
    if state.settled in {HEALTHY, DEGRADED}:
        assert state.ever_healthy
        assert FAILING not in statuses[-1:] or fall > 1


moments = st.floats(min_value=0, max_value=100, allow_nan=False)


@given(
    statuses=st.lists(st.sampled_from([HEALTHY, DEGRADED, FAILING]), max_size=5),
    finished=moments,
    running=st.none() | moments,
    now=moments,
    later=moments,
    fall=st.integers(1, 3),
    kind=st.sampled_from(CheckKind),
)
def test_a_reading_is_valid_until_its_expiry(statuses, finished, running, now, later, fall, kind):
    declared = check(fall=fall, kind=kind, timeout=1.0, interval=2.0)
    state = State(WALL)
    for status in statuses:
        state = state.after(outcome(status, finished), declared, WALL)
    now, later = sorted((now, later))
    if running is not None and running > now:
        running = None
    reading = read(declared, state, running, now)
    assert reading.good_until >= now
    if later < reading.good_until:
        after_a_while = read(declared, state, running, later)
        assert after_a_while.status is reading.status
        assert after_a_while.good_until == reading.good_until


def test_a_result_of_a_hung_check_expires_like_any_other():
    state = State(WALL).after(outcome(HEALTHY, 10.0), check(), WALL)
    assert read(check(), state, 12.0, 13.5).cause == "timeout"
    assert (
        read(check(), state, 12.0, 13.5).status is HEALTHY
    )  # the number of failures is still below fall
    assert read(check(), state, 12.0, 17.0).status is Status.UNKNOWN
    failing = State(WALL).after(outcome(FAILING, 10.0), check(), WALL)
    reading = read(check(), failing, 12.0, 5000.0)
    assert (reading.status, reading.detail) == (FAILING, "running for 4988 s")


def test_transitions_are_kept_with_cause_and_remedy():
    declared = check(remedies={"refused": "Start it."}, fall=2)
    state = State(WALL)
    for status, cause in [(HEALTHY, None), (FAILING, "other"), (FAILING, "refused")]:
        state = state.after(outcome(status, cause=cause), declared, WALL)
    assert [(c.before, c.after, c.cause, c.remedy) for c in state.recent] == [
        (Status.STARTING, HEALTHY, None, None),
        (HEALTHY, FAILING, "refused", "Start it."),
    ]
    assert {change.check for change in state.recent} == {"redis"}
