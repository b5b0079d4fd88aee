"""Fixtures for the pages with a browser: cookies, CSRF tokens, forms."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import undefer
from webtest import TestApp, TestResponse
from webtest.forms import Form

from combine_auth.sessions import start_session
from combine_core.app import main
from combine_core.database import engine_of, session_factory
from combine_core.documents import DocumentVersion, Origin, write_version
from combine_core.evidence import SourceText, judge_answer
from combine_core.lines import find_line, store_version
from combine_core.llm import providers_of
from combine_core.projects import Project, create_project
from combine_core.runs import Run, Step, start_run
from combine_core.sources import Source, add_source
from combine_core.users import Membership, Role, get_or_create_user

DEVELOPMENT = {"combine_core.environment": "development", "combine_auth.local_sign_in": "true"}
OVEN = """# Oven 3

The oven runs at 180 °C from Monday.
We decided to replace the door seal by Friday.
Who pays for the new seal?
Anna must order the seal before Wednesday.
"""


def _build(database_url: str, settings: dict[str, str]):
    return main(
        {},
        **{
            "pyramid.includes": "combine_health combine_core combine_core.health combine_auth",
            "combine_core.database_url": database_url,
            **DEVELOPMENT,
            **settings,
        },
    )


@dataclass(frozen=True)
class Visitor:
    """A user with a browser."""

    user_id: uuid.UUID
    client: TestApp

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, **options)


class Place:
    """The service, and methods that add data to its database."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.registry = app.registry
        self.sessions = session_factory(app.registry)

    def stranger(self) -> TestApp:
        """Return a browser without cookies, on the machine of the service."""
        environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8000"}
        # With its lint, WebTest passes on bodies that WebOb must copy to files that are never
        # closed.
        return TestApp(self.app, extra_environ=environ, lint=False)

    def visitor(self, email: str = "ada@example.com") -> Visitor:
        """Return a browser with a session of this user."""
        with self.sessions.begin() as session:
            user = get_or_create_user(session, email)
            cookie = start_session(session, user.id)
        client = self.stranger()
        client.set_cookie("combine_session", cookie)
        return Visitor(user.id, client)

    def project(self, owner: Visitor, name: str = "Ovens") -> str:
        """Create a project and return its slug."""
        with self.sessions.begin() as session:
            return create_project(session, name, owner.user_id).slug

    def join(self, slug: str, visitor: Visitor, role: Role) -> None:
        with self.sessions.begin() as session:
            project_id = self._project_id(session, slug)
            session.add(Membership(project_id=project_id, user_id=visitor.user_id, role=role))

    def source(self, slug: str, owner: Visitor, text: str = OVEN, name: str = "oven.md") -> Source:
        with self.sessions.begin() as session:
            project_id = self._project_id(session, slug)
            added = add_source(session, project_id, name, text, owner.user_id)
            return session.get_one(Source, added.id, options=[undefer(Source.text)])

    def run(self, slug: str, owner: Visitor, *sources: Source) -> Run:
        """Start a run, which waits for a worker."""
        with self.sessions.begin() as session:
            return start_run(
                session,
                self._project_id(session, slug),
                "brief",
                [source.id for source in sources],
                owner.user_id,
                model="extract",
                providers=providers_of(self.registry),
            )

    def steps(self, session: Any, run: Run) -> list[Step]:
        """Return the steps of the run in order."""
        found = select(Step).where(Step.run_id == run.id).order_by(Step.position)
        return list(session.scalars(found))

    def write(
        self, run: Run, answer: dict[str, Any], sources: dict[str, Source], *, used_llm: bool = True
    ) -> DocumentVersion:
        """Store a version of the brief with ``answer`` as the model returned it. Missing sections
        are empty."""
        line = find_line("brief")
        keys = line.step("brief").answer_schema["required"]
        answer = {key: [] for key in keys} | answer
        with self.sessions.begin() as session:
            origin = Origin(
                run_id=run.id,
                line=line,
                line_version_id=store_version(session, line),
                step=line.step("brief"),
                model="anthropic/claude-sonnet-4-5" if used_llm else "extract",
                used_llm=used_llm,
            )
            judge_answer(answer, {label: SourceText(one.text) for label, one in sources.items()})
            return write_version(session, run.project_id, answer, sources, origin)

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """Record the SQL statements of the block."""
        engine = engine_of(self.registry)
        sent: list[str] = []

        def note(_connection, _cursor, statement, *_rest):
            sent.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        try:
            yield sent
        finally:
            event.remove(engine, "before_cursor_execute", note)

    @staticmethod
    def _project_id(session: Any, slug: str) -> uuid.UUID:
        return session.scalars(select(Project.id).where(Project.slug == slug)).one()


@pytest.fixture(scope="session")
def _pages_application(worker_database: str):
    application = _build(worker_database, {})
    yield application
    engine_of(application.registry).dispose()


@pytest.fixture
def app(_pages_application, database_url: str):
    """The service in development, with an empty database."""
    return _pages_application


@pytest.fixture
def place(app) -> Place:
    return Place(app)


@pytest.fixture
def make_place(database_url: str) -> Iterator[Callable[..., Place]]:
    """``make_place({"combine_core.max_request_body_size": "1k"})``: a service with other settings."""
    made: list[Place] = []

    def make(settings: dict[str, str] | None = None, *, url: str = database_url) -> Place:
        made.append(Place(_build(url, settings or {})))
        return made[-1]

    yield make
    for place in made:
        engine_of(place.registry).dispose()


@pytest.fixture
def ada(place: Place) -> Visitor:
    return place.visitor("ada@example.com")


@pytest.fixture
def slug(place: Place, ada: Visitor) -> str:
    """The project of Ada."""
    return place.project(ada)


FormOf = Callable[..., Form]


@pytest.fixture
def form_of() -> FormOf:
    """``form_of(page, "paste")``: the form with this name in its hidden field."""

    def find(page: TestResponse, name: str) -> Form:
        forms = [form for key, form in page.forms.items() if isinstance(key, int)]
        for form in forms:
            if "form" in form.fields and form["form"].value == name:
                return form
        raise AssertionError(f"no form {name} on {page.request.path}")

    return find
