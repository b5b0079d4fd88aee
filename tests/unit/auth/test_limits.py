"""Tests rate limits in memory."""

import threading

import pytest
from limits import parse

from combine_auth.limits import RULES, Limiter, RateLimited, client_key
from combine_auth.limits.limiter import MemoryStorage, rules
from combine_auth.setting_values import LIMITED


class Clock:
    """A clock that moves only when the test moves it."""

    def __init__(self):
        self.now = 1_000_000.0

    def time(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
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


def test_an_address_has_a_limit(limiter):
    assert allowed(limiter, "sign-in", "192.0.2.1") == RULES["sign-in"].address.amount


def test_another_address_has_its_own_limit(limiter):
    allowed(limiter, "sign-in", "192.0.2.1")
    limiter.check("sign-in", "192.0.2.2")


def test_another_kind_of_request_is_counted_separately(limiter):
    allowed(limiter, "sign-in", "192.0.2.1")
    limiter.check("callback", "192.0.2.1")


def test_the_given_wait_is_long_enough(limiter, clock):
    allowed(limiter, "sign-in", "192.0.2.1")
    clock.now += 10.5
    with pytest.raises(RateLimited) as caught:
        limiter.check("sign-in", "192.0.2.1")
    assert caught.value.wait_seconds == 50
    assert caught.value.headers["Retry-After"] == "50"
    assert caught.value.status_int == 429
    clock.now += 50
    limiter.check("sign-in", "192.0.2.1")


def test_a_flood_from_one_address_does_not_affect_others(limiter):
    for _ in range(RULES["report"].everybody.amount * 2):
        allowed(limiter, "report", "192.0.2.1", 1)
    limiter.check("report", "192.0.2.2")


def test_all_addresses_share_a_total_limit(limiter):
    most = RULES["report"].everybody.amount
    admitted = sum(allowed(limiter, "report", f"2001:db8:{n:x}::1", 1) for n in range(most + 500))
    assert admitted == most
    assert len(limiter.storage) == most + 1


def test_a_key_has_a_limit(limiter):
    for _ in range(RULES["device-code"].key.amount):
        limiter.hit("device-code", "WDJB-MJHT")
    with pytest.raises(RateLimited):
        limiter.hit("device-code", "WDJB-MJHT")
    limiter.hit("device-code", "XXXX-XXXX")


def test_keys_are_stored_as_short_hashes(limiter):
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


def test_expired_counters_are_dropped_first(clock):
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


def test_storage_is_cleared(clock):
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
def test_a_client_is_an_ipv4_address_or_an_ipv6_network(address, client):
    assert client_key(address) == client


@pytest.mark.parametrize("name", RULES)
def test_a_single_client_cannot_use_up_the_total(name):
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
