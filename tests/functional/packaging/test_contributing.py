"""The examples of CONTRIBUTING.md make up an add-on that works."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import psycopg2
import pytest
import requests
from alembic import command
from alembic.config import Config
from bs4 import BeautifulSoup

from combine_core.database.migrations import head_revision, migrations_folder
from combine_core.settings.database_url import parse_database_url
from tests.conftest import MakeDatabase, Service, StartService

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```\n", PAGE, re.DOTALL))
BIN = Path(sys.executable).parent


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH that holds the add-on as an installed distribution."""
    site = tmp_path / "site"
    for name, text in EXAMPLES.items():
        if name.startswith("greeter/"):
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            (site / name).write_text(text)
    project = tomllib.loads(EXAMPLES["pyproject.toml"])["project"]
    info = site / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))
    return site


@pytest.fixture
def database(make_database: MakeDatabase, tmp_path: Path) -> str:
    """A database with the revision of the example on top of ours."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrations_folder(), folder)
    revision = EXAMPLES["revision.py"].replace("HEAD  #", f"{head_revision()!r}  #")
    (folder / "versions" / "greeter1.py").write_text(revision)
    url = make_database()
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.attributes["database_url"] = parse_database_url(url).get_secret_value()
    command.upgrade(config, "head")
    command.downgrade(config, "-1")
    command.upgrade(config, "head")
    return url


@pytest.fixture
def service(start_service: StartService, site: Path, database: str, tmp_path: Path) -> Service:
    ini = tmp_path / "greeter.ini"
    text = (ROOT / "development.ini").read_text()
    add_on = "    combine_auth.health\n"
    assert add_on in text
    ini.write_text(text.replace(add_on, f"{add_on}    greeter\n    greeter.health\n"))
    return start_service(
        {"PYTHONPATH": str(site), "DATABASE_URL": database, "GREETER_WORD": "HEY"}, ini=ini
    )


def combine(service: Service, *words: str) -> str:
    done = subprocess.run(
        [BIN / "combine", *words],
        env=service.environment,
        cwd=service.ini.parent,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_each_example_works(service: Service, database: str) -> None:
    ini = str(service.ini)
    # The setting.
    assert "GREETER_WORD" in combine(service, "settings", "-c", ini)
    # The command, with the table of the migration.
    assert combine(service, "greet", "-c", ini, "Ada") == "HEY, Ada!"
    # The endpoint: who may use it, what it refuses, what it answers.
    token = combine(service, "token", "create", "-c", ini, "--user", "ada@example.org").split()[-1]
    greetings = f"{service.url}/api/v1/greetings"
    signed_in = {"Authorization": f"Bearer {token}"}
    assert requests.post(greetings, json={"name": "Bea"}, timeout=30).status_code == 401
    refused = requests.post(greetings, json={"name": ""}, headers=signed_in, timeout=30)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "name")
    method = requests.delete(greetings, headers=signed_in, timeout=30)
    assert (method.status_code, method.headers["Allow"]) == (405, "POST")
    made = requests.post(greetings, json={"name": "Bea"}, headers=signed_in, timeout=30)
    assert (made.status_code, made.json()["text"]) == (201, "HEY, Bea!")
    with psycopg2.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT text FROM greetings ORDER BY id")
        assert cursor.fetchall() == [("HEY, Ada!",), ("HEY, Bea!",)]
    connection.close()
    # The health check and its remedy.
    doctor = combine(service, "doctor", "-c", ini)
    assert "shouting" in doctor
    assert "Set GREETER_WORD" in doctor
    # The page and its link, after a sign-in.
    with requests.Session() as browser:
        form = BeautifulSoup(
            browser.get(f"{service.url}/auth/sign-in", timeout=30).text, "html.parser"
        ).select_one("form[action='/auth/local']")
        assert form is not None
        fields = {field["name"]: field.get("value", "") for field in form.select("input[name]")}
        browser.post(f"{service.url}/auth/local", data=fields, timeout=30)
        page = BeautifulSoup(
            browser.get(f"{service.url}/greetings", timeout=30).text, "html.parser"
        )
    assert [item.text for item in page.select("main li")] == ["HEY, Bea!", "HEY, Ada!"]
    assert "Greetings" in [link.text for link in page.select("nav a, header a")]


def test_the_provider_runs_a_line(service: Service, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("We decided to keep the oven.\n")
    words = (
        "run",
        "-c",
        str(service.ini),
        "--model",
        "polite",
        "brief",
        str(tmp_path / "notes.md"),
    )
    assert "polite" in combine(service, *words)
