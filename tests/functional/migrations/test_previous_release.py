"""Tests that the newest release runs on a schema that the current code has migrated and used.

The rollback in the runbook depends on it, and so does every rolling update, in which both run. The
tests run two installations with their own web processes and workers.
"""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests
from bs4 import BeautifulSoup

from combine_core.database.revisions import head_revision
from tests.conftest import MakeDatabase, Service
from tests.functional.migrations.installed import (
    INI,
    Installation,
    install_current_code,
    install_previous_release,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # this installs the older release

PATIENCE_S = 60
# The user of the development sign-in button.
SOMEBODY = "local@localhost"
ADA = "ada@example.com"
KINDS = ("sources", "runs", "documents")
TEXT = """# Oven 3

The oven runs at 180 degrees from Monday.
We decided to replace the door seal by Friday.
Who pays for the new seal?
"""


class Client:
    """A client of a web process, with a token or with the session of a browser."""

    def __init__(self, service: Service, session: requests.Session) -> None:
        self._service = service
        self._session = session

    def page(self, path: str) -> str:
        return self._ask("GET", path).text

    def get(self, path: str) -> Any:
        return self._ask("GET", f"/api/v1{path}").json()

    def post(self, path: str, body: object) -> Any:
        return self._ask("POST", f"/api/v1{path}", json=body).json()

    def add_source(self, project: str, name: str) -> str:
        return self.post(f"/projects/{project}/sources", {"name": name, "text": TEXT})["id"]

    def start_run(self, project: str, *sources: str) -> str:
        order = {"line": "brief", "sources": sources}
        return self.post(f"/projects/{project}/runs", order)["id"]

    def version_of(self, run: str) -> str:
        """Return the path of the version that a run creates, after a worker has executed it."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := self.get(f"/runs/{run}"))["state"] == "running":
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        assert found["state"] == "succeeded", found
        [written] = found["documents"]
        return _path(written)

    def _ask(self, method: str, path: str, **body: Any) -> requests.Response:
        answer = self._session.request(method, self._service.url + path, timeout=30, **body)
        assert answer.ok, f"{answer.status_code} {answer.text}\n{self._service.log()}"
        return answer


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return install_previous_release(tmp_path_factory.mktemp("older"))


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return install_current_code(tmp_path_factory.mktemp("newer") / "home")


@pytest.fixture
def url(make_database: MakeDatabase) -> str:
    return make_database()


def test_the_older_installation_contains_no_current_code(older: Installation, url: str) -> None:
    code = older.code(url)
    assert all(Path(one).is_relative_to(older.python.parents[1]) for one in code.folders)
    assert code.entry_points == [code.version]


def test_both_versions_work_on_the_newer_schema(
    older: Installation, newer: Installation, url: str
) -> None:
    """In a rolling update and its rollback, web processes and workers of both versions start and stop."""
    with newer.serving(url) as new_web, older.serving(url) as old_web:
        _until_ready(old_web)
        assert _detailed(old_web)["version"] == older.code(url).version
        position = "at head" if _head(older, url) == head_revision() else "ahead"
        assert _schema_revision(old_web) == position

        token = _make_token(newer, url)
        new, old = _program(new_web, token), _program(old_web, token)
        new.post("/projects", {"name": "Bakery"})
        from_new = new.add_source("bakery", "from-new.md")
        # The current code has created this user.
        adas_token = _make_token(newer, url, ADA)
        ada = _program(old_web, adas_token)
        link = new.post("/projects/bakery/invitations", {"role": "writer"})["link"]
        invitation = {"token": link.partition("token=")[2]}
        _program(new_web, adas_token).post("/invitations/accept", invitation)
        from_old = ada.add_source("bakery", "from-old.md")
        made = []
        for one in (older, newer):
            # No worker runs yet, so that this one works on the runs of both versions.
            by_new, by_old = (asked.start_run("bakery", from_new, from_old) for asked in (new, old))
            with one.working(url):
                # Each shows the run that the other has started.
                made.append(new.version_of(by_old))
                if one is older:
                    # The older release cannot read the format of this line.
                    left = by_new
                    assert new.get(f"/runs/{left}")["state"] == "running"
                else:
                    made += [old.version_of(by_new), new.version_of(left)]

        assert len(set(made)) == 4
        for path in ("/projects", *(f"/projects/bakery/{kind}" for kind in KINDS)):
            assert _ids(old.get(path)) == _ids(new.get(path)) != []
        for source in (from_new, from_old):
            path = f"/projects/bakery/sources/{source}"
            assert old.get(path)["text"] == new.get(path)["text"] == TEXT
        for path in made:
            _assert_the_same(old.get(path), new.get(path))


def test_both_versions_accept_a_session(older: Installation, newer: Installation, url: str) -> None:
    with newer.serving(url) as new_web, older.serving(url) as old_web:
        for session in (_sign_in(new_web), _sign_in(old_web)):
            for web in (new_web, old_web):
                assert "Local developer" in Client(web, session).page("/projects")
        tokens = [_make_token(one, url) for one in (newer, older)]
        for token in tokens:
            for web in (new_web, old_web):
                assert _program(web, token).get("/me")["email"] == SOMEBODY


def test_the_older_version_undoes_the_migrations(
    older: Installation, newer: Installation, url: str
) -> None:
    """The last step of the rollback in the runbook is `alembic downgrade -1` for each newer revision."""
    token = _make_token(newer, url)
    # Add rows to the tables that will be dropped.
    words = ("client", "create", "Timer", "--service", "--owner", SOMEBODY, "-c", INI)
    newer.run(url, "combine", *words)
    with newer.serving(url) as service:
        new = _program(service, token)
        new.post("/projects", {"name": "Bakery"})
        source = new.add_source("bakery", "notes.md")
        run = new.start_run("bakery", source)
        with newer.working(url):
            before = new.get(new.version_of(run))

    head = _head(older, url)
    while _revision(url) != head:
        older.run(url, "alembic", "downgrade", "-1")
    with older.serving(url) as service:
        _until_ready(service)
        assert _schema_revision(service) == "at head"
        old = _program(service, token)
        _assert_the_same(old.get(_path(before)), before)
        run = old.start_run("bakery", source, old.add_source("bakery", "more.md"))
        with older.working(url):
            after = old.get(old.version_of(run))

    # Upgrade again, with the data that was added in the meantime.
    newer.run(url, "alembic", "upgrade", "head")
    with newer.serving(url) as service:
        _until_ready(service)
        new = _program(service, token)
        for written in (before, after):
            _assert_the_same(written, new.get(_path(written)))


def _program(service: Service, token: str) -> Client:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    return Client(service, session)


def _make_token(installation: Installation, url: str, user: str = SOMEBODY) -> str:
    words = ("token", "create", "-c", INI, "--user", user)
    return installation.run(url, "combine", *words).strip().splitlines()[-1]


def _sign_in(service: Service) -> requests.Session:
    """Return a browser after a press of the development sign-in button."""
    session = requests.Session()
    page = BeautifulSoup(session.get(f"{service.url}/auth/sign-in", timeout=30).text, "html.parser")
    [form] = (form for form in page.find_all("form") if form["action"].endswith("/local"))
    fields = {field["name"]: field["value"] for field in form.find_all("input")}
    session.post(f"{service.url}{form['action']}", data=fields, timeout=30).raise_for_status()
    return session


def _detailed(service: Service) -> Any:
    return requests.get(f"{service.url}/health/detailed", timeout=10).json()


def _schema_revision(service: Service) -> str:
    """Return the revision of the schema, as the service reports it."""
    return _detailed(service)["checks"]["migrations"]["data"]["position"]


def _until_ready(service: Service) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = requests.get(f"{service.url}/health/ready", timeout=10)
        if answer.status_code == 200:
            return
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)


def _path(version: Any) -> str:
    return f"/documents/{version['id']}/versions/{version['version']}"


def _assert_the_same(version: Any, other: Any) -> None:
    """Check that two responses about a version agree. Newer code may return more fields."""
    assert "We decided to replace the door seal by Friday." in str(version["content"])
    for key in ("content", "sha256", "flagged", "run_id", "created_at"):
        assert version[key] == other[key], key
    for one, same in zip(version["inputs"], other["inputs"], strict=True):
        assert one.items() <= same.items() or one.items() >= same.items()


def _ids(page: Any) -> list[str]:
    return [item["id"] for item in page["items"]]


def _head(installation: Installation, url: str) -> str:
    """Return the newest revision that an installation has a file of."""
    return installation.run(url, "alembic", "heads").split()[0]


def _revision(url: str) -> str:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT version_num FROM alembic_version")
        [(revision,)] = cursor.fetchall()
    return revision
