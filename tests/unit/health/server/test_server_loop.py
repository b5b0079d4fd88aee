"""Tests which connections the I/O loop polls, notifies and forgets."""

import socket
import sys

import pytest

from combine_health.server import loop as module
from combine_health.server.loop import Loop, short_switch_interval


class Peer:
    """A dispatcher like those of waitress, for one end of a socket pair."""

    accepting = False

    def __init__(self, sockets):
        self.socket, self.other = socket.socketpair()
        self.sockets = sockets
        self.descriptor = self.socket.fileno()
        sockets[self.descriptor] = self
        self.reads = True
        self.writes = False
        self.asked = 0
        self.told = []
        self.on_read = lambda: self.socket.recv(100)

    def readable(self):
        self.asked += 1
        return self.reads

    def writable(self):
        return self.writes

    def read(self):
        self.told.append("read")
        self.on_read()

    def write(self):
        self.told.append("write")

    def close(self, loop):
        loop.forget(self.descriptor)
        del self.sockets[self.descriptor]
        self.socket.close()
        self.socket = None


@pytest.fixture
def sockets():
    return {}


@pytest.fixture
def loop(sockets):
    loop = Loop(sockets, Peer.read, Peer.write)
    yield loop
    loop.close()


@pytest.fixture
def add(sockets):
    peers = []

    def add():
        peers.append(Peer(sockets))
        return peers[-1]

    yield add
    for peer in peers:
        peer.other.close()
        if peer.socket is not None:
            peer.socket.close()


def test_only_connections_with_events_are_polled(loop, add):
    quiet, busy = add(), add()
    loop.turn(0, [])
    assert (quiet.asked, busy.asked) == (1, 1)
    for _ in range(5):
        busy.other.send(b"x")
        loop.turn(0, [])
    assert quiet.asked == 1
    assert busy.told == ["read"] * 5
    loop.turn(0, [quiet])
    assert quiet.asked == 2
    loop.recheck(quiet)
    loop.turn(0, [])
    assert quiet.asked == 3


def test_the_watched_events_can_change(loop, add):
    peer = add()
    loop.turn(0, [])
    peer.reads, peer.writes = False, True
    loop.turn(0, [peer])
    assert peer.told == ["write"]
    peer.writes = False
    peer.other.send(b"x")
    loop.turn(0, [])
    loop.turn(0, [])
    assert peer.told == ["write"]
    peer.reads = True
    loop.turn(0, [peer])
    assert peer.told == ["write", "read"]


def test_a_closed_peer_does_not_wake_an_idle_connection(loop, add):
    peer = add()
    peer.reads = False
    loop.turn(0, [])
    peer.other.close()
    loop.turn(0.01, [])
    assert peer.told == []


def test_a_connection_closed_by_an_earlier_event_is_skipped(loop, add):
    first, second = add(), add()
    first.on_read = lambda: second.close(loop)
    second.on_read = lambda: first.close(loop)
    loop.turn(0, [])
    first.other.send(b"x")
    second.other.send(b"x")
    loop.turn(0, [])
    assert sorted(first.told + second.told) == ["read"]
    left = first if first.told else second
    left.on_read = lambda: left.socket.recv(100)
    loop.turn(0, [first, second])
    assert left.told == ["read", "read"]


def test_a_listener_rests_after_the_descriptors_ran_out(loop, add, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    listener = add()
    listener.accepting, listener.on_read = True, loop.pause
    listener.other.send(b"x")
    for _ in range(5):
        loop.turn(0, [])
    assert listener.told == ["read"]
    now[0] += module.PAUSE
    loop.turn(0, [])
    assert listener.told == ["read", "read"]


def test_a_reused_descriptor_is_watched(loop, add):
    peer = add()
    loop.turn(0, [])
    peer.close(loop)
    again = add()
    assert again.descriptor == peer.descriptor
    again.other.send(b"x")
    loop.turn(0, [])
    assert again.told == []  # the loop does not watch it yet
    loop.turn(0, [again])
    assert again.told == ["read"]


def test_all_connections_are_polled_periodically(loop, add, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    peer = add()
    loop.turn(0, [])
    loop.turn(0, [])
    assert peer.asked == 1
    now[0] += module.SWEEP
    loop.turn(0, [])
    assert peer.asked == 2


def test_an_iteration_accepts_many_clients_up_to_a_limit(loop, add, sockets):
    listener = add()
    listener.accepting = True
    crowd = iter(range(1, 101))

    def accept():
        number = next(crowd, None)
        if number is not None:
            sockets[-number] = listener

    listener.on_read = accept
    listener.other.send(b"x")
    loop.turn(0, [])
    assert len(sockets) == 1 + module.MOST_ACCEPTED
    loop.accept(listener, 1_000)
    assert len(sockets) == 101
    for number in range(1, 101):
        del sockets[-number]


def test_busy_threads_yield_sooner():
    before = sys.getswitchinterval()
    with short_switch_interval():
        assert sys.getswitchinterval() == pytest.approx(min(before, 0.001))
        with short_switch_interval():
            assert sys.getswitchinterval() == pytest.approx(min(before, 0.001))
    assert sys.getswitchinterval() == pytest.approx(before)
