"""The load: connections that each send the next request when the last one is answered.

``python load.py PORT PATH CONNECTIONS SECONDS MOST STATUS FRESH`` prints one line of JSON; it ends
after ``SECONDS`` or ``MOST`` requests. With ``FRESH`` 1 each request has a connection of its own.
Loopback only.
"""

import json
import select
import socket
import sys
import time
from dataclasses import dataclass, field

PATIENCE = 30
END = b"\r\n\r\n"


@dataclass
class Client:
    """One connection."""

    socket: socket.socket
    began: float = 0.0
    received: bytes = b""


@dataclass
class Load:
    """What is sent, and how long each answer took."""

    port: int
    path: str
    status: int
    fresh: bool
    latencies: list[float] = field(default_factory=list)

    def connect(self) -> Client:
        """A new connection."""
        made = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Client(made)

    @property
    def request(self) -> bytes:
        """As a kubelet asks, which closes after each probe; balancers do not."""
        close = "Connection: close\r\n" if self.fresh else ""
        return (
            f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: kube-probe/1.31\r\n"
            f"Accept: */*\r\n{close}\r\n"
        ).encode()

    def size(self) -> int:
        """The length of an answer; all have the same."""
        client = self.connect()
        with client.socket:
            client.socket.sendall(self.request)
            data = b""
            while not is_whole(data):
                data += client.socket.recv(65536)
        self.check(data)
        return len(data)

    def check(self, data: bytes) -> None:
        """Raise `AssertionError` unless the answer has the expected status."""
        assert data.startswith(f"HTTP/1.1 {self.status} ".encode()), data

    def run(self, connections: int, seconds: float, most: int) -> float:
        """Send; returns the seconds it took."""
        return (
            self.run_fresh(seconds, most)
            if self.fresh
            else self.run_kept(connections, seconds, most)
        )

    def run_fresh(self, seconds: float, most: int) -> float:
        """One after the other, from connect to the end of the connection."""
        start = time.perf_counter()
        while time.perf_counter() - start < seconds and len(self.latencies) < most:
            began = time.perf_counter()
            client = self.connect()
            with client.socket:
                client.socket.sendall(self.request)
                data = b"".join(iter(lambda c=client: c.socket.recv(65536), b""))
            self.latencies.append(time.perf_counter() - began)
            self.check(data)
        return time.perf_counter() - start

    def run_kept(self, connections: int, seconds: float, most: int) -> float:
        """All connections at once."""
        request, size = self.request, self.size()
        clients = {}
        poll = select.poll()
        for _ in range(connections):
            client = self.connect()
            clients[client.socket.fileno()] = client
            poll.register(client.socket, select.POLLIN)
        start = time.perf_counter()
        for client in clients.values():
            client.began = time.perf_counter()
            client.socket.sendall(request)
        while time.perf_counter() - start < seconds and len(self.latencies) < most:
            for descriptor, _ in poll.poll(PATIENCE * 1000):
                client = clients[descriptor]
                client.received += client.socket.recv(65536)
                if len(client.received) < size:
                    assert client.received, "the server closed"
                    continue
                now = time.perf_counter()
                self.latencies.append(now - client.began)
                self.check(client.received)
                client.received = b""
                client.began = now
                client.socket.sendall(request)
        took = time.perf_counter() - start
        for client in clients.values():
            client.socket.close()
        return took


def is_whole(data: bytes) -> bool:
    """Whether the answer has come in full."""
    head, end, body = data.partition(END)
    _, _, rest = head.lower().partition(b"content-length: ")
    return bool(end) and len(body) >= int(rest.split(b"\r\n")[0])


def main() -> None:
    """Run what the command line says."""
    port, path, connections, seconds, most, status, fresh = sys.argv[1:]
    load = Load(int(port), path, int(status), fresh == "1")
    took = load.run(int(connections), float(seconds), int(most))
    found = sorted(load.latencies)
    result = {
        "requests": len(found),
        "rate": len(found) / took,
        **{f"p{share}": found[len(found) * share // 100] * 1000 for share in (50, 99)},
        "max": found[-1] * 1000,
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
