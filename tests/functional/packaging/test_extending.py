"""Tests docs/extending.md and its example, installed with pip: each extension point works."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import psycopg2
import pytest
import requests
from bs4 import BeautifulSoup

from combine_core.database.revisions import head_revision
from tests.conftest import Service, cloned_database, starting_services

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "combine-greeter"
PAGE = (ROOT / "docs" / "extending.md").read_text()
BIN = Path(sys.executable).parent


def test_the_page_shows_the_files_of_the_example() -> None:
    shown = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```\n", PAGE, re.DOTALL))
    for name, text in shown.items():
        assert text == (EXAMPLE / name).read_text(), f"{name} differs from docs/extending.md"
    files = {str(path.relative_to(EXAMPLE)) for path in EXAMPLE.rglob("*") if path.is_file()}
    hidden = {name for name in files if "__pycache__" not in name} - set(shown)
    assert hidden == {
        "README.md",
        "src/greeter/error.jinja2",
        "src/greeter/lines/__init__.py",
        "src/greeter/migrations/__init__.py",
    }


def test_the_example_template_only_adds_lines_to_ours() -> None:
    ours = (ROOT / "combine_core/pages/error.jinja2").read_text().splitlines()
    copy = (EXAMPLE / "src/greeter/error.jinja2").read_text().splitlines()
    assert [line for line in copy if "Greta" not in line] == ours


def public(title: str) -> dict[str, list[str]]:
    """Return the names in the table below this title, grouped by the first column."""
    table = PAGE.partition(f"| {title} | Names |\n")[2].partition("\n\n")[0]
    rows = [re.match(r"\| (.*?) \| (.*) \|", line) for line in table.splitlines()[1:]]
    return {row[1].strip("`"): re.findall(r"`([^`]+)`", row[2]) for row in rows if row}


def test_public_names_exist() -> None:
    modules = public("Module")
    assert len(modules) >= 10
    missing = [
        f"{module}.{name}"
        for module, names in modules.items()
        for name in names
        if not hasattr(importlib.import_module(module), name)
    ]
    assert missing == []
    others = public("Also public")
    code = "".join(path.read_text() for path in ROOT.glob("combine_*/**/*.py"))
    assert [one for one in others["Directives"] if f'add_directive("{one}"' not in code] == []
    assert [one for one in others["Entry-point groups"] if f'"{one}"' not in code] == []


def test_the_example_uses_only_public_names() -> None:
    imported = {
        (node.module, name.name)
        for path in EXAMPLE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("combine_")
        for name in node.names
    }
    modules = public("Module")
    assert {one for one in imported if one[1] not in modules.get(str(one[0]), [])} == set()
    groups = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]
    assert set(groups) <= set(public("Also public")["Entry-point groups"])


def test_our_entry_point_groups_are_public() -> None:
    groups = {point.group for point in distribution("pyramid-combine").entry_points}
    ours = {group for group in groups if group.startswith("combine")}
    assert ours - set(public("Also public")["Entry-point groups"]) == {"combine.probes"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with the example and its metadata."""
    folder = tmp_path_factory.mktemp("greeter")
    leave = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    shutil.copytree(EXAMPLE, folder / "source", ignore=leave)
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    offline = ("--no-deps", "--no-index", "--no-build-isolation")
    done = subprocess.run(
        [*pip, *offline, "--target", folder / "site", folder / "source"],
        # The options that `make` passes to pip are not meant for this call.
        env={name: value for name, value in os.environ.items() if not name.startswith("PIP_")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def service(
    site: Path, tmp_path_factory: pytest.TempPathFactory, postgres_url: str, _template: str
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    ini = folder / "greeter.ini"
    text = (ROOT / "development.ini").read_text()
    add_on = "    combine_auth.health\n"
    assert add_on in text
    ini.write_text(text.replace(add_on, f"{add_on}    greeter\n    greeter.health\n"))
    with (
        cloned_database(postgres_url, "extending", _template) as database_url,
        starting_services(folder, lambda: database_url) as start,
    ):
        environment = {"PYTHONPATH": str(site), "GREETER_WORD": "HEY"}
        service = start(environment, ini=ini)
        combine(service, "migrate", "-c", str(ini))
        yield service


def combine(service: Service, *words: str) -> str:
    done = run_combine(service, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def run_combine(service: Service, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "combine", *words],
        env=service.environment,
        cwd=service.ini.parent,
        capture_output=True,
        text=True,
    )


def rows(service: Service, query: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(service.environment["DATABASE_URL"])
    with connection, connection.cursor() as cursor:
        cursor.execute(query)
        found = cursor.fetchall()
    connection.close()
    return found


def test_setting_command_and_health_check_work(service: Service) -> None:
    ini = str(service.ini)
    assert "GREETER_WORD" in combine(service, "settings", "-c", ini)
    assert combine(service, "greet", "-c", ini, "Ada") == "HEY, Ada!"
    doctor = combine(service, "doctor", "-c", ini)
    assert "shouting" in doctor
    assert "Set GREETER_WORD" in doctor


def test_endpoint_page_and_template_work(service: Service) -> None:
    ini = str(service.ini)
    token = combine(service, "token", "create", "-c", ini, "--user", "ada@example.org").split()[-1]
    greetings = f"{service.url}/api/v1/greetings"
    signed_in = {"Authorization": f"Bearer {token}"}
    assert requests.post(greetings, json={"name": "Bea"}, timeout=60).status_code == 401
    refused = requests.post(greetings, json={"name": ""}, headers=signed_in, timeout=60)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "name")
    method = requests.delete(greetings, headers=signed_in, timeout=60)
    assert (method.status_code, method.headers["Allow"]) == (405, "POST")
    made = requests.post(greetings, json={"name": "Bea"}, headers=signed_in, timeout=60)
    assert (made.status_code, made.json()["text"]) == (201, "HEY, Bea!")
    whose = "SELECT email FROM users JOIN greetings ON users.id = user_id WHERE text LIKE '%Bea%'"
    assert rows(service, whose) == [("ada@example.org",)]
    with requests.Session() as browser:
        form = BeautifulSoup(
            browser.get(f"{service.url}/auth/sign-in", timeout=60).text, "html.parser"
        ).select_one("form[action='/auth/local']")
        assert form is not None
        fields = {field["name"]: field.get("value", "") for field in form.select("input[name]")}
        browser.post(f"{service.url}/auth/local", data=fields, timeout=60)
        answer = browser.get(f"{service.url}/greetings", timeout=60)
    page = BeautifulSoup(answer.text, "html.parser")
    assert "HEY, Bea!" in [item.text for item in page.select("main li")]
    assert "Greetings" in [link.text for link in page.select("nav a, header a")]
    assert "extension 123" in requests.get(f"{service.url}/nowhere", timeout=60).text


def test_line_reader_and_provider_work(service: Service, tmp_path: Path) -> None:
    note = tmp_path / "kitchen.note"
    note.write_text("NOTE\nWe decided to keep the oven.\n")
    ini = ("-c", str(service.ini))
    written = combine(service, "run", *ini, "--model", "extract", "decisions", str(note))
    assert "We decided to keep the oven. [1]" in written
    assert "kitchen.note, line 3" in written
    (tmp_path / "other.note").write_text("NOTE\nWe decided to keep the table.\n")
    polite = ("--model", "polite", "brief", str(tmp_path / "other.note"))
    assert "polite" in combine(service, "run", *ini, *polite)


def test_tables_can_be_removed_and_restored(service: Service) -> None:
    history = "SELECT * FROM greeter_version"
    assert rows(service, history) == [("greeter1",)]
    remove = ("migrate", "-c", str(service.ini), "--remove")
    assert "No installed add-on named gretter" in run_combine(service, *remove, "gretter").stderr
    combine(service, *remove, "greeter")
    assert rows(service, history) == []
    assert rows(service, "SELECT to_regclass('greetings')") == [(None,)]
    assert "migrations_of_add_on" in combine(service, "doctor", "-c", str(service.ini))
    combine(service, "migrate", "-c", str(service.ini))
    assert "migrations_of_add_on" not in combine(service, "doctor", "-c", str(service.ini))
    assert rows(service, "SELECT count(*) FROM greetings") == [(0,)]
    # Our revisions are unchanged: there is one head.
    assert rows(service, "SELECT * FROM alembic_version") == [(head_revision(),)]
