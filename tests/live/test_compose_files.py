"""Tests the contents of the Dockerfile and of the Compose files."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from combine_core.yaml_files import load_yaml
from combine_health.settings import read_server

ROOT = Path(__file__).parents[2]
BASE = load_yaml((ROOT / "docker-compose.yml").read_text())
STAGING = load_yaml((ROOT / "docker-compose.staging.yml").read_text())
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def _revision(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "deploy" / "revision.py"), *words]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    "files",
    [
        {"HEAD": COMMIT},
        {"HEAD": "ref: refs/heads/a/b\n", "refs/heads/a/b": f"{COMMIT}\n"},
        {
            "HEAD": "ref: refs/heads/a",
            "packed-refs": f"# x\n{'f' * 40} refs/b\n{COMMIT} refs/heads/a",
        },
    ],
    ids=["detached", "branch", "packed"],
)
def test_the_revision_is_read_from_git(tmp_path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert _revision(str(tmp_path)).stdout == "+g0123456789ab"
    assert _revision(str(tmp_path), "feedfeedfeedfeed").stdout == "+gfeedfeedfeed"


def test_a_missing_revision_is_empty_and_a_wrong_one_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "HEAD").write_text("ref: refs/heads/unborn")
    for folder in (tmp_path, tmp_path / "absent"):
        done = _revision(str(folder))
        assert (done.returncode, done.stdout) == (0, "")
    done = _revision(str(tmp_path), "main; rm")
    assert done.returncode != 0
    assert "is not a git commit" in done.stderr


def test_the_requirements_equal_those_of_setup_py() -> None:
    command = [sys.executable, "deploy/requirements.py", "all"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    names = {re.split(r"[^\w.-]", line)[0].lower() for line in done.stdout.splitlines()}
    assert {"pyramid", "setuptools", "sqlalchemy", "procrastinate", "prometheus-client"} <= names
    assert "pytest" not in names


@pytest.mark.parametrize("name", BASE["services"])
def test_each_service_is_restricted_and_limited(name: str) -> None:
    service = BASE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["deploy"]["resources"]["limits"]["memory"]
    staging = STAGING["services"][name]
    assert staging["deploy"]["resources"]["limits"] == {"cpus": "1", "memory": "1G"}
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}


def test_only_the_balancer_has_a_port_and_it_waits_for_no_service() -> None:
    services: dict[str, Any] = BASE["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["lb"]
    assert services["lb"]["ports"] == ["${LISTEN:-127.0.0.1}:${PORT:-8000}:8000"]
    assert [name for name, service in services.items() if "depends_on" in service] == ["migrate"]
    assert "version" not in BASE
    assert "version" not in STAGING


def test_all_services_except_the_migration_restart_with_the_engine() -> None:
    policies = {name: service["restart"] for name, service in BASE["services"].items()}
    # With `on-failure`, containers that the engine had to stop would stay down.
    assert policies.pop("migrate") == "on-failure:5"
    assert set(policies.values()) == {"unless-stopped"}
    assert not [name for name, service in STAGING["services"].items() if "restart" in service]


def test_the_service_trusts_only_the_balancer() -> None:
    believed = [
        name
        for name, service in BASE["services"].items()
        if "COMBINE_HEALTH_TRUSTED_PROXY" in service.get("environment", {})
    ]
    assert believed == ["app"]
    app = BASE["services"]["app"]["environment"]
    assert app["COMBINE_HEALTH_TRUSTED_PROXY"] == "lb"
    assert app["COMBINE_HEALTH_BEHIND_PROXY"] == "true"


def test_the_grace_period_is_longer_than_the_drain() -> None:
    ini = configparser.RawConfigParser()
    ini.read(ROOT / "production.ini")
    server = read_server(dict(ini["server:main"]), {})
    grace = int(BASE["services"]["app"]["stop_grace_period"].removesuffix("s"))
    assert grace > server["drain_seconds"] + server["stop_timeout"]


def test_private_files_are_ignored_by_git_and_docker() -> None:
    for name in (".env", "backup.sql", "app.log"):
        done = subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT)
        assert done.returncode == 0, name
    # Everything is ignored except the named files.
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert not {"!.env", "!backup.sql", "!app.log", "!.git", "!."} & set(rules)
