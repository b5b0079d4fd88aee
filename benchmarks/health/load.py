"""Send requests over several connections. Each sends the next request after the last response.

``python load.py PORT PATH CONNECTIONS SECONDS MOST STATUS FRESH`` prints one line of JSON. It ends
after ``SECONDS`` seconds or ``MOST`` requests. If ``FRESH`` is 1, each request opens a connection.
It connects to loopback only.
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
    """A connection."""

    socket: socket.socket
    began: float = 0.0
    received: bytes = b""


@dataclass
class Load:
    """The requests that are sent, and the time of each response."""

    port: int
    path: str
    status: int
    fresh: bool
    latencies: list[float] = field(default_factory=list)

    def connect(self) -> Client:
        """Open a connection."""
        made = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Client(made)

    @property
    def request(self) -> bytes:
        """Return the request. A kubelet closes the connection after each probe; a load balancer keeps it."""
        close = "Connection: close\r\n" if self.fresh else ""
        return (
            f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: kube-probe/1.31\r\n"
            f"Accept: */*\r\n{close}\r\n"
        ).encode()

    def size(self) -> int:
        """Return the length of a response. All responses have the same length."""
        client = self.connect()
        with client.socket:
            client.socket.sendall(self.request)
            data = b""
            while not is_whole(data):
                data += client.socket.recv(65536)
        self.check(data)
        return len(data)

    def check(self, data: bytes) -> None:
        """Raise `AssertionError` unless the response has the expected status."""
        assert data.startswith(f"HTTP/1.1 {self.status} ".encode()), data

    def run(self, connections: int, seconds: float, most: int) -> float:
        """Send the requests and return the seconds that they took."""
        return (
            self.run_fresh(seconds, most)
            if self.fresh
            else self.run_kept(connections, seconds, most)
        )

    def run_fresh(self, seconds: float, most: int) -> float:
        """Send one request after another, each on a new connection."""
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
        """Send requests on all connections in parallel."""
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
                    assert client.received, "the server closed the connection"
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
    """Return whether the response is complete."""
    head, end, body = data.partition(END)
    _, _, rest = head.lower().partition(b"content-length: ")
    return bool(end) and len(body) >= int(rest.split(b"\r\n")[0])


def main() -> None:
    """Run with the arguments of the command line."""
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
