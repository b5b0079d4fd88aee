"""Tests that the health lane of a real server answers probes even if all worker threads are busy."""

import itertools
import resource
import socket
import time
from pathlib import Path

import psutil
import pytest

from tests.functional.health.served import END, PATIENCE, Connection, Served, request, until

PATHS = ["/health", "/health/ready", "/health/startup"]
STOCK = """\
paste.server_runner = waitress:serve_paste
threads = 2
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    server = Served(tmp_path_factory.mktemp("served"))
    server.wait_for("/health/ready", 200)
    yield server
    server.kill()


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """The same application on unmodified waitress."""
    with socket.create_server(("127.0.0.1", 0)) as lent:
        port = lent.getsockname()[1]
    base = f"{STOCK}listen = 127.0.0.1:{port}\n"
    server = Served(tmp_path_factory.mktemp("stock"), base=base, port=port)
    until(lambda: is_listening(port))
    server.wait_for("/health/ready", 200)
    yield server
    server.kill()


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def talk(server, data):
    with server.connect() as connection:
        connection.send(data)
        return connection.answer(data.split(b" ")[0].decode("latin-1"))


PLAIN = [
    request(path, method, version, **headers)
    for path, method, version, headers in itertools.product(
        PATHS,
        ["GET", "HEAD"],
        ["1.0", "1.1"],
        [
            {},
            {"Connection": "close"},
            {"Connection": "Keep-Alive"},
            {"Accept": "*/*", "User-Agent": "kube-probe/1.31"},
            {"Accept": "text/html,*/*;q=0.8", "Accept-Encoding": "gzip, br", "Cookie": "a=b"},
            {"X-Forwarded-For": "192.0.2.7", "X-Request-ID": "0123456789"},
            {"Authorization": "Bearer x", "If-None-Match": "*", "Range": "bytes=0-1"},
        ],
    )
]


def name_of(data):
    return data.decode("latin-1").replace("\r\n", "|")


def test_lane_and_views_return_identical_bytes(served):
    for data in PLAIN:
        aside = data.replace(END, b"\r\nUpgrade: nothing" + END)
        assert talk(served, data).undated == talk(served, aside).undated, name_of(data)


def test_unmodified_waitress_returns_the_same(served, stock):
    for data in PLAIN:
        assert talk(served, data).undated == talk(stock, data).undated, name_of(data)


def test_probes_respond_while_every_worker_is_blocked(served):
    with served.held():
        for data in PLAIN:
            assert talk(served, data).status == 200, name_of(data)
        with served.connect() as other:
            other.send(request("/echo"))
            assert other.silent()
    assert served.ask("/echo").body == b"GET 0"


VARIED = {
    "a query": request("/health?x=1"),
    "an empty query": request("/health?"),
    "a query that is not UTF-8": request("/health?x=%ff&%&=&check[]=1"),
    "an encoded path": request("/he%61lth"),
    "an empty body": request("/health", Content_Length="0"),
    "the IETF's type": request("/health/ready", Accept="application/health+json"),
    "the IETF's type among others": request("/health", Accept="text/html, Application/Health+JSON"),
    "the IETF's type, but rather not": request(
        "/health", Accept="application/json, application/health+json;q=0.1"
    ),
    "a malformed Accept": request("/health", Accept="application/health+json;;q=x, ,"),
    "a group": request("/health/ready/web"),
    "an encoded group": request("/health/ready/we%62?x"),
    "a check": request("/health/ready?check=database"),
    "a check of a group as the IETF's type": request(
        "/health/ready/web?check=database&check=%64atabase", Accept="application/health+json"
    ),
}


def test_varied_probes_respond_while_every_worker_is_blocked(served, stock):
    with served.held():
        found = {name: talk(served, data) for name, data in VARIED.items()}
    for name, data in VARIED.items():
        aside = data.replace(END, b"\r\nUpgrade: nothing" + END)
        assert found[name].undated == talk(served, aside).undated, name
        assert found[name].undated == talk(stock, data).undated, name
        assert found[name].status == 200, name


UNUSUAL = {
    "an unknown check": request("/health/ready?check=nobody"),
    "an unknown group": request("/health/ready/nobody"),
    "a group that is not UTF-8": request("/health/ready/%ff"),
    "the full status": request("/health/detailed/schema"),
    "a fragment": request("/health#x"),
    "an absolute target": request("http://localhost/health"),
    "two slashes": request("//health"),
    "a slash at the end": request("/health/"),
    "another case": request("/Health"),
    "another method": request("/health", "DELETE"),
    "an odd method": request("/health", "BREW"),
    "options": request("/health", "OPTIONS"),
    "post": request("/health", "POST", Content_Length="3", body=b"abc"),
    "a body": request("/health", Content_Length="3", body=b"abc"),
    "a chunked body": request(
        "/health", Transfer_Encoding="chunked", body=b"3\r\nabc\r\n0\r\n\r\n"
    ),
    "chunked in 1.0": request("/health", version="1.0", Transfer_Encoding="chunked"),
    "an unknown expectation": request("/health", Expect="200-ok"),
    "an upgrade": request("/health", Upgrade="h2c", Connection="Upgrade"),
    "an odd Connection": request("/health", Connection="keep-alive, TE"),
    "two Connections": request("/health", Connection="close", connection="close"),
    "no version": b"GET /health" + END,
    "version 0.9": request("/health", version="0.9"),
    "version 2": request("/health", version="2.0"),
}


@pytest.mark.parametrize("data", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_unusual_requests_get_the_same_response_from_the_views(served, stock, data):
    with served.held(), served.connect() as connection:
        connection.send(data)
        assert connection.silent()
    answer = talk(served, data)
    assert answer.undated == talk(stock, data).undated
    assert answer.status < 500


MALFORMED = {
    "no colon": b"GET /health HTTP/1.1\r\nHost" + END,
    "a bare line feed": b"GET /health HTTP/1.1\nHost: x" + END,
    "two spaces": b"GET  /health HTTP/1.1\r\nHost: x" + END,
    "a lower-case method": b"get /health HTTP/1.1\r\nHost: x" + END,
    "a line that is no header": b"GET /health HTTP/1.1\r\nHost: x\r\n\x00\x01" + END,
    "a folded line first": b"GET /health HTTP/1.1\r\n folded\r\nHost: x" + END,
    "a length that is no number": request("/health", Content_Length="many"),
    "two lengths": request("/health", Content_Length="0", content_length="1"),
    "an unknown coding": request("/health", Transfer_Encoding="gzip"),
    "a header of 300 kB": request("/health", X_Big="x" * 300_000),
    "10,000 headers": request("/health", **{f"X-{i}": "x" * 20 for i in range(10_000)}),
    "garbage": b"\xff\xfe\x00" * 10 + END,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + END,
    "a bad chunk": request("/health", Transfer_Encoding="chunked", body=b"zz\r\n"),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_requests_get_the_response_of_waitress(served, stock, data):
    answer = talk(served, data)
    assert answer.undated == talk(stock, data).undated
    assert answer.status in {400, 413, 431, 501}
    assert served.ask("/health").status == 200


def test_a_request_with_two_lengths_of_its_body_ends_the_connection(served):
    smuggled = request("/echo", "POST", Content_Length="4", Transfer_Encoding="chunked")
    with served.connect() as connection:
        connection.send(smuggled + b"0\r\n\r\n" + request("/health"))
        assert connection.answer().status == 400
        assert connection.ended()


def test_a_server_without_free_descriptors_logs_once_and_recovers(served):
    server, kind = served.process.pid, resource.RLIMIT_NOFILE
    used = max(int(one.name) for one in Path(f"/proc/{server}/fd").iterdir())
    before = resource.prlimit(server, kind)
    logged = len(served.log)
    with served.connect() as first, served.connect() as second:
        # The limit that a process meets is the number of the next descriptor.
        resource.prlimit(server, kind, (used + 1, before[1]))
        waiting = [served.connect() for _ in range(8)]
        for connection in waiting:
            connection.send(request("/health"))
        time.sleep(1)
        resource.prlimit(server, kind, before)
        first.close()
        second.close()
    for connection in waiting:
        with connection:
            assert connection.answer().status == 200
    assert 1 <= served.log[logged:].count("LimitNOFILE") <= 2
    assert "Traceback" not in served.log[logged:]


def test_expect_continue_without_a_body_does_not_hang(served):
    with served.connect() as connection:
        connection.send(request("/health", Expect="100-continue") + request("/health/ready"))
        assert connection.answer().body == b'{"status": "healthy"}'
        assert b"connected" in connection.answer().body


def test_expect_continue_works_behind_a_probe(served):
    post = request("/echo", "POST", Content_Length="5", Expect="100-continue")
    for before in (
        b"",
        request("/health"),
        request("/echo"),
        request("/echo") + request("/health"),
    ):
        with served.connect() as connection:
            connection.send(before + post)
            for _ in range(before.count(END)):
                assert connection.answer().status == 200
            assert connection.answer().head == b"HTTP/1.1 100 Continue"
            connection.send(b"12345")
            assert connection.answer().body == b"POST 5"


def test_a_too_large_body_is_rejected_before_it_is_sent(serve):
    server = serve(server="max_request_body_size = 10")
    post = request("/echo", "POST", Content_Length="50", Expect="100-continue")
    assert talk(server, post).status == 413


def test_pipelined_requests_get_responses_in_order(served):
    with served.held(), served.connect() as connection:
        pipe = [
            request("/echo"),
            request("/health"),
            request("/echo", "PUT"),
            request("/health/ready"),
        ]
        connection.send(request("/health") + b"".join(pipe * 3))
        assert connection.answer().body == b'{"status": "healthy"}'
        assert (
            connection.silent()
        )  # The next request needs a thread, and no response may overtake it.
    # The workers are free again.
    bodies = []
    with served.connect() as connection:
        connection.send(b"".join(pipe * 3))
        bodies = [connection.answer().body for _ in pipe * 3]
    one = [b"GET 0", b'{"status": "healthy"}', b"PUT 0"]
    assert [body for body in bodies if b"ready" not in body] == one * 3
    assert all(b"connected" in body for body in bodies[3::4])


def test_delayed_requests_get_responses_in_order(served):
    with served.held(), served.connect() as connection:
        connection.send(request("/echo") + request("/health") * 3 + request("/echo", "PUT"))
        assert connection.silent()
        # Leaving the block frees the threads, but it closes this connection. Keep its socket.
        held = connection.socket.dup()
    with held:
        again = Connection.of(held)
        bodies = [again.answer().body for _ in range(5)]
    assert bodies == [b"GET 0", *[b'{"status": "healthy"}'] * 3, b"PUT 0"]


def test_no_response_is_sent_after_close(served):
    with served.connect() as connection:
        connection.send(
            request("/health", Connection="close") + request("/health") * 5 + request("/echo")
        )
        assert connection.answer().headers["Connection"] == "close"
        assert connection.ended()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.slow
def test_keep_alive_works_for_ten_thousand_requests(served, version):
    process = psutil.Process(served.process.pid)
    data = request("/health", version=version, Connection="keep-alive")
    with served.connect() as connection:
        for turn in range(10_000):
            connection.send(data)
            answer = connection.answer()
            assert (answer.status, answer.body) == (200, b'{"status": "healthy"}')
            if turn == 1_000:
                before = (
                    process.memory_info().rss,
                    process.num_fds(),
                    names_of_permanent_threads(served),
                )
        after = process.memory_info().rss, process.num_fds(), names_of_permanent_threads(served)
    assert after[0] - before[0] < 2_000_000
    assert after[1:] == before[1:]


def names_of_permanent_threads(server):
    """Return the names of all threads except short-lived ones (checks and the log)."""
    names = server.ask("/threads").json
    passing = [name for name in names if name in {"health check", "health: log"}]
    assert len(passing) <= len(["database", "maintenance", "observe", "log"])
    lasting = [name for name in names if name not in passing]
    assert "health" in lasting  # the scheduler
    return lasting


def test_a_probe_may_arrive_byte_by_byte(served):
    with served.held(), served.connect() as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request("/health") * 3:
            connection.send(bytes([byte]))
        for _ in range(3):
            assert connection.answer().body == b'{"status": "healthy"}'


def test_incomplete_requests_and_resets_are_harmless(served):
    data = request("/health/ready")
    with served.held():
        half = []
        for cut in range(1, len(data), 3):
            half.append(served.connect())
            half[-1].send(data[:cut])
        assert served.ask("/health").status == 200
        for connection in half[::2]:
            # Reset the connection instead of closing it.
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
        for cut, connection in list(zip(range(1, len(data), 3), half, strict=True))[1::2]:
            connection.send(data[cut:])
            assert connection.answer().status == 200
            connection.close()
        assert served.ask("/health").status == 200


def test_a_client_that_stops_sending_gets_the_response(served):
    with served.held(), served.connect() as connection:
        connection.send(request("/health"))
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.read_all().endswith(b'{"status": "healthy"}')


@pytest.mark.slow
def test_a_slow_reader_delays_no_other_client(served):
    """A client that does not read its responses delays no other client."""
    data = request("/health") * 300
    slow = []
    with served.held():
        for _ in range(40):
            connection = served.connect()
            connection.socket.setblocking(False)
            sent = 0
            try:
                while sent < 50_000_000:
                    sent += connection.socket.send(data[sent % len(data) :])
            except BlockingIOError:
                pass
            slow.append((connection, sent))
            assert served.ask("/health").status == 200
        connection, sent = slow[0]
        connection.socket.settimeout(PATIENCE)
        for _ in range(min(sent // len(request("/health")), 2_000)):
            assert connection.answer().body == b'{"status": "healthy"}'
    for connection, _ in slow:
        connection.close()
    assert served.ask("/echo").status == 200


@pytest.mark.slow
def test_a_thousand_idle_connections_are_accepted(served):
    waiting = []
    with served.held():
        try:
            for _ in range(150):  # this exceeds the default limit of waitress, which is 100
                waiting.append(served.connect())
                waiting[-1].send(request("/echo"))
            waiting += [served.connect() for _ in range(850)]
            assert served.ask("/health").status == 200
            assert served.ask("/health/ready").status == 200
        finally:
            keep = waiting[:150]
            for connection in waiting[150:]:
                connection.close()
    for connection in keep:
        assert connection.answer().body == b"GET 0"
        connection.close()


@pytest.mark.slow
def test_ten_thousand_probes_respond_despite_a_hung_check(tmp_path):
    server = Served(tmp_path, app="hang = yes")
    try:
        until(lambda: server.ask("/health/ready").json.get("status") == "unavailable")
        process = psutil.Process(server.process.pid)
        readings = []
        with server.connect() as connection:
            for turn in range(10_000):
                connection.send(request("/health/ready"))
                answer = connection.answer()
                assert answer.status == 503
                assert answer.json["database"] == "disconnected"
                assert int(answer.headers["Retry-After"]) >= 1
                if turn in {1_000, 9_999}:
                    readings.append(
                        (
                            process.num_fds(),
                            process.memory_info().rss,
                            names_of_permanent_threads(server),
                        )
                    )
        (fds, rss, threads), (fds_then, rss_then, threads_then) = readings
        assert (fds_then, threads_then) == (fds, threads)
        assert rss_then - rss < 3_000_000
        assert server.end() == 0
    finally:
        server.kill()


def test_the_lane_is_unused_if_checks_run_on_request(serve):
    server = serve(app="combine_health.background = false")
    with server.held(), server.connect() as connection:
        connection.send(request("/health"))
        assert connection.silent()
    assert server.ask("/health").status == 200


def test_probes_log_nothing(served):
    before = served.log
    for path in PATHS:
        assert served.ask(path).status == 200
    assert served.log == before
