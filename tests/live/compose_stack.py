"""A checkout on a container engine, and the commands that an operator types in it."""

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
    """A checkout with its .env, and the commands of the runbook in it."""

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
        """A clean checkout of what is committed."""
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
        return cls(folder)

    def remove(self) -> None:
        """Take everything away that the engine holds of it."""
        self.sh("docker-compose down --volumes --timeout 3 --rmi local", check=False)

    def write_env(self, **values: str) -> None:
        """.env from the example: its two lines filled, but for what the test wants otherwise."""
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

    def lay_on_top(self, name: str, text: str) -> None:
        """One more Compose file, for all commands from now on."""
        file = self.folder.parent / f"{self.folder.name}-{name}.yml"
        file.write_text(text)
        self.environment["COMPOSE_FILE"] += f"{os.pathsep}{file}"

    def sh(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command as an operator types it."""
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
        """Status, headers and JSON body of an answer."""
        try:
            request = urllib.request.Request(self.url + path, headers=headers or {})
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, error.headers, json.load(error)

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers that run."""
        return sorted(self.sh(f"docker-compose ps -q {service}").stdout.split())

    def until_ready(self, seconds: float = 300) -> None:
        """Return once the balancer's answer is ready."""
        until(seconds, lambda: self.get("/health/ready")[0] == 200, self.logs)

    def until_replicas(self, count: int) -> None:
        """Return once the balancer shares the requests out among so many replicas."""
        until(300, lambda: self.replicas() == count, self.logs)

    def replicas(self) -> int:
        """How many the balancer shares the requests out among."""
        ask = (
            "exec 3<>/dev/tcp/127.0.0.1/8001"
            r" && printf 'GET /replicas;csv HTTP/1.0\r\n\r\n' >&3 && cat <&3"
        )
        said = self.sh(f'docker-compose exec -T lb bash -c "{ask}"', check=False).stdout
        return len(re.findall(r"(?m)^ready,app\d+,.*,UP,", said))

    def logs(self) -> str:
        """The last lines of all."""
        return self.sh("docker-compose ps -a; docker-compose logs --tail=30", check=False).stdout

    def rows(self, statement: str) -> str:
        """What the database answers, without decoration."""
        command = f'docker-compose exec -T db psql -U combine -d combine -Atc "{statement}"'
        return self.sh(command).stdout.strip()

    def kill(self, container: str) -> None:
        """End it as the kernel does when memory runs out; after `docker kill` nothing comes back.

        Return when the engine has started it again, and the balancer knows that it was gone.
        """
        in_use = self.replicas()
        restarts = f"docker inspect --format '{{{{.RestartCount}}}}' {container}"
        before = int(self.sh(restarts).stdout)
        self.sh(f"docker exec {container} sh -c 'kill -9 -1'", check=False)
        until(30, lambda: self.replicas() < in_use, self.logs)
        until(30, lambda: int(self.sh(restarts).stdout) == before + 1, self.logs)

    def freeze(self, container: str) -> None:
        """Let its processes stand still; connections to it stay open, and nothing answers."""
        self.sh(f"docker exec {container} sh -c 'kill -STOP -1'")

    def thaw(self, container: str) -> None:
        """Let them go on."""
        self.sh(f"docker exec {container} sh -c 'kill -CONT -1'")

    def token(self) -> str:
        """The token of somebody who may call the API."""
        user = "docker-compose exec -T app combine user create -c production.ini --admin"
        self.sh(f"{user} ann@example.com", check=False)
        command = "docker-compose exec -T app combine token create -c production.ini"
        return self.sh(f"{command} --user ann@example.com").stdout.split()[-1]


def until(seconds: float, holds: Any, or_else: Any) -> None:
    """Ask until it holds; fail with what `or_else` says."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except (OSError, http.client.HTTPException, ValueError):
            pass  # the balancer itself is not up yet
        if time.monotonic() > deadline:
            pytest.fail(or_else())
        time.sleep(0.2)
