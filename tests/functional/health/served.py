"""A real server process, and a client that sends exactly the given bytes."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

PATIENCE = 60
ROOT = Path(__file__).resolve().parents[3]
END = b"\r\n\r\n"

APP = """
    import threading
    import time
    from pathlib import Path
    from pyramid.config import Configurator
    from pyramid.response import Response

    NEVER = threading.Event()

    def hold(request):
        # Opening a named pipe waits for the other side, so the test knows when this line runs.
        with open(Path(request.registry.settings["gates"], request.params["gate"]), "rb") as gate:
            gate.read()
        return Response("held")

    def hung(registry):
        NEVER.wait()

    def checked(seconds):
        def check(registry):
            time.sleep(seconds)  # as a slow database does
        return check

    def main(global_conf, **settings):
        with Configurator(settings=settings) as config:
            config.include("combine_health")
            hangs = settings.get("hang")
            config.add_health_check(
                "database",
                hung if hangs else checked(float(settings.get("slow", 0))),
                words=("connected", "disconnected"),
                groups="web",
                interval=0.5,
                timeout=0.2 if hangs else 10,
            )
            for name, view in {
                "hold": hold,
                "echo": lambda request: Response(f"{request.method} {len(request.body)}"),
                "big": lambda request: Response(b"x" * int(request.params["n"])),
                "threads": lambda request: Response(
                    json=sorted(thread.name for thread in threading.enumerate())
                ),
            }.items():
                config.add_route(name, "/" + name)
                config.add_view(view, route_name=name)
            return config.make_wsgi_app()
"""

INI = """
    {around}

    [app:{name}]
    use = call:served_app:main
    gates = {gates}
    combine_health.load_entry_points = false
    {app}

    [server:main]
    {server}
"""

OURS = """\
paste.server_factory = combine_health.server.waitress:server_factory
listen = 127.0.0.1:0
threads = 2
drain_seconds = 0
stop_timeout = 1
"""


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def serving(wsgi):
    """Serve a WSGI application on a thread of this process, without waitress. Yield its URL."""
    with make_server("127.0.0.1", 0, wsgi, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(PATIENCE)


class Served:
    """A pserve process on its own port."""

    def __init__(self, folder, *, app="", server="", base=OURS, port=None, around=""):
        """``around`` contains the ini sections that mount the application ``inner``."""
        (folder / "served_app.py").write_text(textwrap.dedent(APP))
        self.folder = folder
        keys = dict(line.split(" = ", 1) for line in (base + server).splitlines() if line)
        ini = textwrap.dedent(INI).format(
            around=textwrap.dedent(around),
            name="inner" if around else "main",
            gates=folder,
            app=app,
            server="\n".join(f"{key} = {value}" for key, value in keys.items()),
        )
        path = folder / f"served-{time.monotonic_ns()}.ini"
        path.write_text(ini)
        clean = {k: v for k, v in os.environ.items() if k not in {"PORT", "LISTEN"}}
        self.errors = path.with_suffix(".err")
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from pyramid.scripts.pserve import main; main()", path],
                env={
                    **clean,
                    "PYTHONPATH": f"{folder}:{ROOT}",
                    "PYTHONUNBUFFERED": "1",
                    "PYTHONWARNINGS": "ignore",  # this warning comes from pkg_resources in Pyramid
                },
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.port = port or self._read_port()

    def _read_port(self):
        line = self.process.stdout.readline()
        assert line, f"the process ended: {self.log}"
        return int(re.search(r":(\d+)$", line).group(1))

    @property
    def log(self):
        return self.errors.read_text()

    def connect(self):
        return Connection(self.port)

    def ask(self, path, method="GET", **headers):
        with self.connect() as connection:
            connection.send(request(path, method, Connection="close", **headers))
            return connection.answer(method)

    def wait_for(self, path, status):
        until(lambda: self.ask(path).status == status)

    @contextmanager
    def held(self, count=2, path="/hold"):
        """Occupy ``count`` worker threads with one request each for the block."""
        connections = [self.connect() for _ in range(count)]
        pipes = []
        try:
            for connection in connections:
                gate = self.folder / f"gate-{time.monotonic_ns()}"
                os.mkfifo(gate)
                connection.send(request(f"{path}?gate={gate.name}"))
                pipes.append(os.open(gate, os.O_WRONLY))  # wait for the thread
            yield connections
        finally:
            for pipe in pipes:
                os.close(pipe)
            for connection in connections:
                connection.close()

    def end(self, number=signal.SIGTERM):
        """Send the signal and return the exit status. Raise an error after `PATIENCE` seconds."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Answer:
    def __init__(self, head, body):
        self.head = head
        self.body = body
        lines = head.decode("latin-1").split("\r\n")
        self.version, status, _ = lines[0].split(" ", 2)
        self.status = int(status)
        self.headers = dict(line.split(": ", 1) for line in lines[1:])

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def undated(self):
        return re.sub(rb"Date: [^\r]*", b"Date: -", self.head), self.body


class Connection:
    """A TCP connection with a timeout of `PATIENCE`."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.rest = b""

    @classmethod
    def of(cls, held):
        """Return a connection for a connected socket."""
        found = cls.__new__(cls)
        found.socket, found.rest = held, b""
        held.settimeout(PATIENCE)
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def answer(self, method="GET"):
        while END not in self.rest:
            self._more()
        head, _, self.rest = self.rest.partition(END)
        found = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        length = int(found.group(1)) if found and method != "HEAD" else 0
        while len(self.rest) < length:
            self._more()
        body, self.rest = self.rest[:length], self.rest[length:]
        return Answer(head, body)

    def _more(self):
        data = self.socket.recv(65536)
        assert data, f"the connection ended after {self.rest!r}"
        self.rest += data

    def read_all(self):
        """Return all bytes until the server closes the connection."""
        data = self.rest
        while chunk := self.socket.recv(65536):
            data += chunk
        return data

    def silent(self, seconds=0.3):
        """Return whether no byte arrives within this time."""
        self.socket.settimeout(seconds)
        try:
            return not self.rest and not self.socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)

    def ended(self):
        """Return whether the server closes the connection without sending another byte."""
        return self.rest == b"" and self.socket.recv(1) == b""


def request(path, method="GET", version="1.1", body=b"", **headers):
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + END + body


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
