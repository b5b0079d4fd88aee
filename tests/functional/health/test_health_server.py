"""Tests ``egg:pyramid-combine#waitress`` under pserve, with real processes and sockets."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap

import pytest

from tests.functional.health.served import PATIENCE, ROOT, until

APP = """
    from pyramid.config import Configurator
    from pyramid.response import Response

    class Filter:
        def __init__(self, app):
            self.app = app

        def __call__(self, environ, start_response):
            return self.app(environ, start_response)

    def main(global_conf, **settings):
        open(settings["mark"], "w").close()
        with Configurator(settings=settings) as config:
            config.include("combine_health")
            config.add_health_check("database", lambda _: True, words=("connected", "gone"))
            config.add_route("size", "/size")
            config.add_view(lambda request: Response(str(len(request.body))), route_name="size")
            return Filter(config.make_wsgi_app())
"""

INI = """
    [app:main]
    use = call:served_app:main
    mark = {mark}
    combine_health.load_entry_points = false

    [server:main]
    paste.server_factory = combine_health.server.waitress:server_factory
    {listen}
    threads = 2
    drain_seconds = 0
    stop_timeout = 1
    port_hint = make run PORT={{port}}
    {more}
"""


class Served:
    """A pserve process. `wait_for_banner` sets its port."""

    def __init__(self, process):
        self.process = process
        self.lines = []
        self.port = None

    def wait_for_banner(self, lines=4):
        while len(self.lines) < lines:
            line = self.process.stdout.readline()
            assert line, f"the process ended: {self.process.communicate()}"
            self.lines.append(line.rstrip("\n"))
        self.port = int(re.search(r":(\d+)$", self.lines[0]).group(1))
        return self

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        # pserve itself prints this.
        err = re.sub(r"^Starting server in PID \d+\.\n", "", err)
        return self.process.returncode, out, err


@pytest.fixture
def serve(tmp_path):
    (tmp_path / "served_app.py").write_text(textwrap.dedent(APP))
    started = []

    def serve(more="", listen="listen = 127.0.0.1:0", **environ):
        ini = INI.format(
            mark=tmp_path / "loaded",
            listen=listen,
            more=textwrap.dedent(more),
        )
        path = tmp_path / "served.ini"
        path.write_text(re.sub(r"(?m)^    ", "", ini))
        clean = {k: v for k, v in os.environ.items() if k not in {"PORT", "LISTEN"}}
        process = subprocess.Popen(
            [sys.executable, "-c", "from pyramid.scripts.pserve import main; main()", str(path)],
            env={
                **clean,
                "PYTHONPATH": f"{tmp_path}:{ROOT}",
                "PYTHONUNBUFFERED": "1",
                "PYTHONWARNINGS": "ignore",  # this warning comes from pkg_resources in Pyramid
                **environ,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return Served(process)

    serve.mark = tmp_path / "loaded"
    yield serve
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_the_server_serves_and_exits_cleanly(serve):
    server = serve("banner =\n        Sign in: {url}/sign-in\n        as dev@localhost")
    server.wait_for_banner(6)
    url = f"http://localhost:{server.port}"
    assert server.lines == [
        f"Serving on {url}",
        f"  {url}/health",
        f"  {url}/health/ready",
        f"  {url}/health/detailed",
        f"Sign in: {url}/sign-in",
        "as dev@localhost",
    ]
    assert server.request("GET", "/health")[:2] == (200, '{"status": "healthy"}')
    # No request has run the check, so the server found the application behind the filter.
    until(lambda: server.request("GET", "/health/ready")[0] == 200)
    ready = '{"status": "ready", "database": "connected"}'
    assert server.request("GET", "/health/ready")[:2] == (200, ready)
    assert server.request("HEAD", "/health/ready")[1] == ""
    status, _, headers = server.request("BREW", "/health")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert '"version"' in server.request("GET", "/health/detailed")[1]
    code, _, err = server.end()
    assert (code, err) == (0, "")


@pytest.mark.slow
def test_sigint_stops_the_server(serve):
    server = serve().wait_for_banner()
    code, _, err = server.end(signal.SIGINT)
    assert (code, err) == (0, "")


def test_port_and_listen_win_over_the_ini_file(serve):
    with socket.create_server(("127.0.0.1", 0)) as lent:
        port = lent.getsockname()[1]
    server = serve(PORT=str(port), LISTEN="127.0.0.2").wait_for_banner()
    assert server.lines[0] == f"Serving on http://127.0.0.2:{port}"
    with socket.create_connection(("127.0.0.2", port), timeout=PATIENCE):
        pass


def test_the_server_listens_on_a_unix_socket(serve, tmp_path):
    path = tmp_path / "socket"
    server = serve(listen=f"unix_socket = {path}")
    assert server.process.stdout.readline() == f"Serving on unix:{path}\n"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.endswith(b'{"status": "healthy"}')
    assert server.end()[0] == 0


@pytest.mark.slow
def test_waitress_options_are_passed_on(serve):
    server = serve("max_request_body_size = 100").wait_for_banner()
    assert server.request("POST", "/size", b"x" * 99)[:2] == (200, "99")
    assert server.request("POST", "/size", b"x" * 101)[0] == 413


def refused(serve, *args, **environ):
    server = serve(*args, **environ)
    out, err = server.process.communicate(timeout=PATIENCE)
    assert server.process.returncode == 1
    assert "Traceback" not in out + err
    assert not serve.mark.exists()  # the application was not loaded
    return err


def test_a_used_port_is_reported(serve):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = refused(serve, PORT=str(port))
    assert f"port {port} on 127.0.0.1 is taken by " in said
    assert f"(process {os.getpid()})" in said
    [line] = [line for line in said.splitlines() if not line.startswith("Starting server")]
    assert re.search(r"For another port: make run PORT=\d+$", line)


def test_the_env_file_is_read_and_the_environment_wins(serve, tmp_path):
    pytest.importorskip("dotenv", reason="python-dotenv is not installed")
    env_file = tmp_path / ".env"
    env_file.write_text("COMBINE_HEALTH_STOP_TIMEOUT=soon\n")
    assert "COMBINE_HEALTH_STOP_TIMEOUT is 'soon'" in refused(serve)
    env_file.write_text("PORT=eighty\n")
    assert "PORT is 'eighty': write a number from 1 to 65535" in refused(serve)
    server = serve(PORT="0").wait_for_banner()
    assert server.request("GET", "/health")[0] == 200
    assert server.end()[0] == 0


@pytest.mark.slow
def test_the_server_listens_on_all_ipv6_addresses(serve):
    """`localhost` may have only an IPv4 address, where nothing listens."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = serve(LISTEN="[::]:0").wait_for_banner()
    assert server.lines[0] == f"Serving on http://[::1]:{server.port}"
    assert f"  http://[::1]:{server.port}/health/ready" in server.lines
    probe = subprocess.run(
        [sys.executable, "-m", "combine_health", "probe"],
        env={**os.environ, "LISTEN": f"[::]:{server.port}", "PORT": "9"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (probe.returncode, probe.stderr) == (0, "")
    assert server.end()[0] == 0


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"PORT": "eighty"}, "PORT is 'eighty': write a number from 1 to 65535"),
        ({"PORT": '"8000"'}, "PORT is '\"8000\"'"),
        ({"LISTEN": "no-such-host.invalid:80"}, "no-such-host.invalid:80"),
        ({"LISTEN": "192.0.2.1:8000"}, "192.0.2.1 is not an address of this machine"),
    ],
)
@pytest.mark.slow
def test_an_unusable_address_is_reported(serve, environ, named):
    assert named in refused(serve, **environ)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("thraeds = 4", "Unknown adjustment 'thraeds'"),
        ("channel_timeout = many", "many"),
        ("trusted_proxy_headers = x-forwarded-for", "trusted_proxy"),
    ],
)
def test_an_invalid_option_is_reported(serve, line, named):
    said = refused(serve, line)
    assert named in said
    assert "[server:main]" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.slow
def test_a_signal_during_loading_stops_the_server(serve, tmp_path, number):
    app = textwrap.dedent(APP).replace(
        "with Conf", "import threading\n    threading.Event().wait(60)\n    with Conf"
    )
    (tmp_path / "served_app.py").write_text(app)
    server = serve()
    until(serve.mark.exists)
    code, _, err = server.end(number)
    assert (code, err) == (0, "")
