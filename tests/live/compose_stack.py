"""A checkout on a container engine, with the commands that an operator types in it."""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from combine_core.database.revisions import head_revision
from tests.conftest import free_port

ROOT = Path(__file__).parents[2]
HEAD = head_revision()
ON_TOP = os.environ.get("COMBINE_TEST_COMPOSE_FILE", "")

NEWER = f'''"""A colour for each project.

Revision ID: new1
"""

import sqlalchemy as sa
from alembic import op

revision = "new1"
down_revision = {HEAD!r}


def upgrade():
    op.add_column("projects", sa.Column("colour", sa.Text(), server_default="red"))


def downgrade():
    op.drop_column("projects", "colour")
'''


def engine_answers() -> bool:
    if shutil.which("docker") is None or shutil.which("docker-compose") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, timeout=30).returncode == 0


class Stack:
    """A checkout with its .env file, with the commands of the runbook."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.environment = {
            **{
                name: os.environ[name]
                for name in ("PATH", "HOME", "DOCKER_HOST")
                if name in os.environ
            },
            "COMPOSE_PROJECT_NAME": f"combine-test-{secrets.token_hex(3)}",
            "COMPOSE_FILE": os.pathsep.join(filter(None, ["docker-compose.yml", ON_TOP])),
            "GIT_AUTHOR_NAME": "Test",
            "GIT_AUTHOR_EMAIL": "test@example.com",
            "GIT_COMMITTER_NAME": "Test",
            "GIT_COMMITTER_EMAIL": "test@example.com",
        }
        self.write_env()

    @classmethod
    def clone(cls, folder: Path) -> Stack:
        """Make a clean checkout of the committed files."""
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
        return cls(folder)

    def remove(self) -> None:
        """Remove everything that the engine stores of the stack."""
        self.sh("docker-compose down --volumes --timeout 3 --rmi local", check=False)

    def write_env(self, **values: str) -> None:
        """Write .env from the example, with its two values and the changes of the test."""
        filled = {
            "POSTGRES_PASSWORD": "a" + "1b2c3d4e5f" * 4,
            "SECRET_KEY": "0f1e2d3c4b5a69788796a5b4c3d2e1f0" * 2,
            **values,
        }
        text = (self.folder / ".env.example").read_text()
        for name, value in filled.items():
            text, count = re.subn(rf"(?m)^{name}=$", f"{name}={value}", text)
            assert count == 1
        (self.folder / ".env").write_text(f"{text}\nPORT={self.port}\n")

    def add_compose_file(self, name: str, text: str) -> None:
        """Add a Compose file to all later commands."""
        file = self.folder.parent / f"{self.folder.name}-{name}.yml"
        file.write_text(text)
        self.environment["COMPOSE_FILE"] += f"{os.pathsep}{file}"

    def sh(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command as an operator types it."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any, Any]:
        """Return the status, the headers and the JSON body of a response."""
        try:
            request = urllib.request.Request(self.url + path, headers=headers or {})
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, error.headers, json.load(error)

    def containers(self, service: str) -> list[str]:
        """Return the ids of the running containers of a service."""
        return sorted(self.sh(f"docker-compose ps -q {service}").stdout.split())

    def until_ready(self, seconds: float = 300) -> None:
        """Wait until the balancer reports that the service is ready."""
        until(seconds, lambda: self.get("/health/ready")[0] == 200, self.logs)

    def until_replicas(self, count: int) -> None:
        """Wait until the balancer distributes requests to this number of replicas."""
        until(300, lambda: self.replicas() == count, self.logs)

    def replicas(self) -> int:
        """Return the number of replicas that the balancer uses."""
        ask = (
            "exec 3<>/dev/tcp/127.0.0.1/8001"
            r" && printf 'GET /replicas;csv HTTP/1.0\r\n\r\n' >&3 && cat <&3"
        )
        said = self.sh(f'docker-compose exec -T lb bash -c "{ask}"', check=False).stdout
        return len(re.findall(r"(?m)^ready,app\d+,.*,UP,", said))

    def logs(self) -> str:
        """Return the last log lines of all services."""
        return self.sh("docker-compose ps -a; docker-compose logs --tail=30", check=False).stdout

    def rows(self, statement: str) -> str:
        """Return the output of a query, without formatting."""
        command = f'docker-compose exec -T db psql -U combine -d combine -Atc "{statement}"'
        return self.sh(command).stdout.strip()

    def kill(self, container: str) -> None:
        """Kill the container like the kernel when memory runs out. `docker kill` would not restart
        it.

        Return when the engine has restarted it, and the balancer has seen it down.
        """
        in_use = self.replicas()
        restarts = f"docker inspect --format '{{{{.RestartCount}}}}' {container}"
        before = int(self.sh(restarts).stdout)
        self.sh(f"docker exec {container} sh -c 'kill -9 -1'", check=False)
        until(30, lambda: self.replicas() < in_use, self.logs)
        until(30, lambda: int(self.sh(restarts).stdout) == before + 1, self.logs)

    def freeze(self, container: str) -> None:
        """Pause its processes. Connections to it stay open and get no response."""
        self.sh(f"docker exec {container} sh -c 'kill -STOP -1'")

    def thaw(self, container: str) -> None:
        """Resume its processes."""
        self.sh(f"docker exec {container} sh -c 'kill -CONT -1'")

    def token(self) -> str:
        """Return the token of a user of the API."""
        user = "docker-compose exec -T app combine user create -c production.ini --admin"
        self.sh(f"{user} ann@example.com", check=False)
        command = "docker-compose exec -T app combine token create -c production.ini"
        return self.sh(f"{command} --user ann@example.com").stdout.split()[-1]


def until(seconds: float, holds: Any, or_else: Any) -> None:
    """Repeat a check until it succeeds. Fail with the result of `or_else`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except (OSError, http.client.HTTPException, ValueError):
            pass  # the balancer itself is not running yet
        if time.monotonic() > deadline:
            pytest.fail(or_else())
        time.sleep(0.2)
