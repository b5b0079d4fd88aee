"""Tests a service in a control group with little memory: uploads do not kill it, and kills are logged."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import repeat
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from combine_auth.tokens.service import create_token
from combine_core.database import load_models
from combine_core.projects import create_project
from combine_core.settings.database_url import parse_database_url
from combine_core.users import get_or_create_user
from tests.conftest import Service, StartService

PATIENCE_S = 120
LIMIT = 240 * 2**20
ROOM = 64 * 2**20
UPLOADS = 6
LINE = "The oven runs at 180 °C from Monday, says the meeting. 😀\n"


class Group:
    """A control group for memory."""

    def __init__(self, root: Path, limit_file: str) -> None:
        self.folder = root / f"combine-test-{os.getpid()}-{secrets.token_hex(4)}"
        self.folder.mkdir()
        self._limit = self.folder / limit_file

    def limit(self, size: int) -> None:
        self._limit.write_text(str(size))

    def used(self) -> int:
        """Return the bytes that the processes use, without the file cache of the kernel."""
        lines = (self.folder / "memory.stat").read_text().splitlines()
        values = {name: int(value) for name, _, value in map(str.partition, lines, repeat(" "))}
        return values.get("anon", 0) + values.get("rss", 0)

    def take(self, pid: int) -> None:
        (self.folder / "cgroup.procs").write_text(str(pid))

    def remove(self) -> None:
        """Remove the group after its processes have ended."""
        deadline = time.monotonic() + 60
        while self.folder.exists() and time.monotonic() < deadline:
            with suppress(OSError):  # the kernel is still cleaning up after the last process
                self.folder.rmdir()
            time.sleep(0.05)


@pytest.fixture
def group() -> Iterator[Group]:
    for root, file in (
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ("/sys/fs/cgroup", "memory.max"),
    ):
        with suppress(OSError):
            made = Group(Path(root), file)
            try:
                made.limit(LIMIT)
            except OSError:
                made.remove()
                continue
            yield made
            made.remove()
            return
    pytest.skip("needs root and a writable control group for memory")


def wait_for(condition: Callable[[], bool], service: Service) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, service.log()
        time.sleep(0.05)


@pytest.fixture
def token_and_path(database_url: str) -> tuple[str, str]:
    load_models()
    engine = create_engine(parse_database_url(database_url).get_secret_value())
    with sessionmaker(engine).begin() as session:
        user = get_or_create_user(session, "ada@example.com")
        token, _ = create_token(session, user.id, "test")
        path = f"/api/v1/projects/{create_project(session, 'Ovens', user.id).slug}/sources"
    engine.dispose()
    return token, path


@pytest.mark.slow
def test_parallel_uploads_are_rejected_and_do_not_kill_the_service(
    group: Group, start_service: StartService, token_and_path: tuple[str, str]
) -> None:
    token, path = token_and_path
    environment = {"ENVIRONMENT": "production", "SECRET_KEY": secrets.token_hex(32)}
    service = start_service(environment, ini="production.ini", wait=False)
    group.take(service.process.pid)
    service.wait_until_healthy()
    assert "memory: limit 240 MiB (container)" in service.log()
    # There is memory for one upload, but not for two.
    group.limit(group.used() + ROOM)
    text = LINE * (4 * 2**20 // len(LINE.encode()) - 1)
    body = json.dumps({"name": "a.md", "text": text}, ensure_ascii=False).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def upload(_number: int) -> tuple[int, str | None, dict[str, object]]:
        host = service.url.removeprefix("http://")
        with closing(http.client.HTTPConnection(host, timeout=PATIENCE_S)) as connection:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Retry-After"), json.loads(answer.read())

    with ThreadPoolExecutor(UPLOADS) as pool:
        answers = [answer for _ in range(3) for answer in pool.map(upload, range(UPLOADS))]

    assert service.process.poll() is None, service.log()
    assert {status for status, _, _ in answers} <= {201, 503}, answers
    assert [status for status, _, _ in answers].count(201) >= 3
    for status, retry_after, problem in answers:
        if status == 503:
            assert int(retry_after or 0) > 0
            assert problem["type"] == "urn:combine:problem:memory-short"
    assert "killed" not in service.log()

    # Another process that needs too much is killed, and the service reports it.
    beside = subprocess.Popen(
        [sys.executable, "-c", "input(); x = b'x' * 400_000_000; input()"],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    # The kernel kills this process before the service.
    Path(f"/proc/{beside.pid}/oom_score_adj").write_text("1000")
    group.take(beside.pid)
    beside.communicate(b"\n")
    wait_for(lambda: "memory ran out: the kernel has killed processes" in service.log(), service)
