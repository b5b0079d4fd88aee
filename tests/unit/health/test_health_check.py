"""Tests the rejection of invalid checks and results, each with its error."""

import pytest

from combine_health.engine.check import Check, HealthResult, Status

ODD_NAMES = ["", "Redis", "1redis", "re dis", "a/b", "a.b", "<b>", "é", "a" * 65, "status", None, 7]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_invalid_names_are_rejected(name):
    with pytest.raises(ValueError, match="name"):
        Check(name, lambda _: True)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"function": "not one"}, "callable"),
        ({"kind": "sometimes"}, "kind must be one of live, ready, startup, info"),
        ({"critical": "yes"}, "critical"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"interval": float("inf")}, "interval"),
        ({"interval": "2"}, "interval"),
        ({"fall": 0}, "fall"),
        ({"fall": 1.5}, "fall"),
        ({"rise": 101}, "rise"),
        ({"words": "up"}, "words"),
        ({"words": ("up", "")}, "words"),
        ({"words": ("up", "down", "odd")}, "words"),
        ({"remedies": {"two words": "x"}}, "the cause 'two words' of a remedy"),
    ],
)
def test_invalid_declarations_are_rejected(declared, said):
    with pytest.raises(ValueError, match="health check 'redis'") as caught:
        Check(**{"name": "redis", "function": lambda _: True, **declared})
    assert said in str(caught.value)


def test_all_errors_are_named_together():
    with pytest.raises(ValueError, match=r"name .*timeout .*fall "):
        Check("A", lambda _: True, timeout=-1, fall=0)


@pytest.mark.parametrize("status", ["unknown", "starting", "up", None, True])
def test_a_check_may_return_only_some_states(status):
    with pytest.raises(ValueError, match="status"):
        HealthResult(status)


@pytest.mark.parametrize("cause", ["", "two words", "x" * 65, "é", 7])
def test_a_cause_must_be_a_code(cause):
    with pytest.raises(ValueError, match="cause"):
        HealthResult("failing", cause)


def test_data_must_be_a_mapping():
    with pytest.raises(ValueError, match="data"):
        HealthResult("healthy", data=[1])


def test_results_have_short_constructors():
    assert HealthResult.healthy(n=1) == HealthResult(Status.HEALTHY, data={"n": 1})
    assert HealthResult.degraded("slow", "very") == HealthResult("degraded", "slow", "very")
    assert HealthResult.failing("refused", port=1).data == {"port": 1}
