"""Counting requests in memory."""

import threading

import pytest
from limits import parse

from combine_auth.limits import RULES, Limiter, RateLimited, client_key
from combine_auth.limits import storage as memory_module
from combine_auth.limits.limiter import rules
from combine_auth.limits.storage import MemoryStorage
from combine_auth.setting_values import LIMITED


class Clock:
    """A clock that stands still until told otherwise."""

    def __init__(self):
        self.now = 1_000_000.0

    def time(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(memory_module, "time", clock)
    monkeypatch.setattr("combine_auth.limits.limiter.time.time", clock.time)
    return clock


@pytest.fixture
def limiter(clock):
    return Limiter(MemoryStorage())


def allowed(limiter, name, address, most=10_000):
    for count in range(most):
        try:
            limiter.check(name, address)
        except RateLimited:
            return count
    return most


def test_an_address_may_do_it_as_often_as_the_rule_says(limiter):
    assert allowed(limiter, "sign-in", "192.0.2.1") == RULES["sign-in"].address.amount


def test_another_address_has_a_share_of_its_own(limiter):
    allowed(limiter, "sign-in", "192.0.2.1")
    limiter.check("sign-in", "192.0.2.2")


def test_another_kind_of_request_is_counted_apart(limiter):
    allowed(limiter, "sign-in", "192.0.2.1")
    limiter.check("callback", "192.0.2.1")


def test_it_says_how_long_to_wait_and_that_is_enough(limiter, clock):
    allowed(limiter, "sign-in", "192.0.2.1")
    clock.now += 10.5
    with pytest.raises(RateLimited) as caught:
        limiter.check("sign-in", "192.0.2.1")
    assert caught.value.wait_seconds == 50
    assert caught.value.headers["Retry-After"] == "50"
    assert caught.value.status_int == 429
    clock.now += 50
    limiter.check("sign-in", "192.0.2.1")


def test_a_flood_from_one_address_uses_up_nobody_elses_share(limiter):
    for _ in range(RULES["report"].everybody.amount * 2):
        allowed(limiter, "report", "192.0.2.1", 1)
    limiter.check("report", "192.0.2.2")


def test_all_addresses_together_are_limited_and_make_no_more_counters_than_that(limiter):
    most = RULES["report"].everybody.amount
    let_in = sum(allowed(limiter, "report", f"2001:db8:{n:x}::1", 1) for n in range(most + 500))
    assert let_in == most
    assert len(limiter.storage) == most + 1


def test_a_key_is_counted_too(limiter):
    for _ in range(RULES["device-code"].key.amount):
        limiter.hit("device-code", "WDJB-MJHT")
    with pytest.raises(RateLimited):
        limiter.hit("device-code", "WDJB-MJHT")
    limiter.hit("device-code", "XXXX-XXXX")


def test_a_key_takes_no_more_room_than_another_and_is_not_kept(limiter):
    for key in ("WDJB-MJHT", "x" * 1_000_000, "\ud800", ""):
        limiter.hit("device-code", key)
    kept = list(limiter.storage._counters)
    assert len(kept) == 4
    assert max(map(len, kept)) < 200
    assert not any("WDJB" in key for key in kept)


def test_memory_is_bounded(clock):
    storage = MemoryStorage(max_keys=100)
    for number in range(1000):
        storage.incr(f"key{number}", 60)
    assert len(storage) <= 100
    assert storage.get("key999") == 1


def test_what_is_over_goes_first(clock):
    storage = MemoryStorage(max_keys=10)
    storage.incr("long", 3600)
    for number in range(9):
        storage.incr(f"short{number}", 60)
    clock.now += 61
    storage.incr("new", 60)
    assert storage.get("long") == 1
    assert len(storage) == 2


def test_threads_lose_no_count():
    storage = MemoryStorage()
    gate = threading.Barrier(8)

    def count():
        gate.wait()
        for _ in range(500):
            storage.incr("key", 60)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert storage.get("key") == 4000


def test_storage_forgets_when_told(clock):
    storage = MemoryStorage()
    storage.incr("one", 60)
    storage.incr("two", 60)
    storage.clear("one")
    assert (storage.get("one"), storage.get("two")) == (0, 1)
    assert storage.reset() == 1
    assert storage.check()
    assert storage.get_expiry("two") == clock.now


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::1", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        (None, "unknown"),
        ("", "unknown"),
        ("localhost", "unknown"),
    ],
)
def test_a_client_is_an_address_or_the_network_that_it_gets(address, client):
    assert client_key(address) == client


@pytest.mark.parametrize("name", RULES)
def test_a_single_client_cannot_use_up_what_all_have(name):
    rule = RULES[name]
    assert rule.address.amount * 10 <= rule.everybody.amount
    assert (
        rule.address.get_expiry() == rule.everybody.get_expiry() == parse("1/minute").get_expiry()
    )


def test_each_limit_of_an_address_can_be_set(clock):
    assert set(RULES) == set(LIMITED)
    limiter = Limiter(MemoryStorage(), rules(["sign-in=5", "callback=4000"]))
    assert allowed(limiter, "sign-in", "192.0.2.1") == 5
    assert allowed(limiter, "callback", "192.0.2.1") == 4000
    assert allowed(limiter, "report", "192.0.2.1") == RULES["report"].address.amount
