"""Fixtures for the complete application on a real database, with WebTest as the client."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import procrastinate
import psycopg2
import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session, sessionmaker
from webtest import TestApp

from combine_auth.tokens.service import create_token
from combine_core.app import main
from combine_core.database import engine_of, session_factory
from combine_core.llm import ProviderRegistry, providers_of
from combine_core.llm.anthropic_messages import AnthropicProvider
from combine_core.llm.extract import ExtractProvider
from combine_core.llm.openai_chat import OpenAIProvider
from combine_core.runs.execute import StepRunner
from combine_core.runs.jobs import QUEUES, TASK
from combine_core.runs.reading import read_revision
from combine_core.sources.service import READ_QUEUE, READ_TASK
from combine_core.users import Membership, Role, User, get_or_create_user
from tests.postgres_cluster import wait_for
from tests.vendor_server import Exchange, Reply, VendorServer, ok

MakeApp = Callable[..., object]

INCLUDES = "combine_health combine_core combine_core.health combine_auth combine_auth.health"


def build_application(database_url: str, settings: dict[str, str]) -> Any:
    """Build ``combine_core.app.main`` with these settings and those of all tests."""
    return main(
        {"__script__": "tests"},
        **{
            "pyramid.includes": INCLUDES,
            "combine_core.environment": "test",
            "combine_core.database_url": database_url,
            **settings,
        },
    )


@pytest.fixture(scope="session")
def _application(worker_database: str) -> Iterator[object]:
    # It is built once for each xdist worker, because reading the settings, the description and the
    # templates takes longer than most tests.
    application = build_application(worker_database, {})
    yield application
    engine_of(application.registry).dispose()


@pytest.fixture
def app(_application, database_url: str):
    """The WSGI application of ``combine_core.app.main``, with an empty database."""
    return _application


@pytest.fixture
def make_app(database_url: str) -> Iterator[MakeApp]:
    """``make_app({"combine_core.max_request_body_size": "1k"})``: an application with other settings."""
    made = []

    def make(settings: dict[str, str] | None = None, *, database_url: str = database_url):
        made.append(build_application(database_url, settings or {}))
        return made[-1]

    yield make
    for application in made:
        engine_of(application.registry).dispose()


def make_client(app, token: str | None = None) -> TestApp:
    environ = {} if token is None else {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    # The lint of WebTest hides that a body can be read twice. WebOb would then copy a large body to
    # a temporary file that is never closed.
    return TestApp(app, extra_environ=environ, lint=False)


@pytest.fixture
def testapp(app) -> TestApp:
    """A client without credentials."""
    return make_client(app)


@pytest.fixture
def dbsession(app) -> Iterator[Session]:
    """A session to prepare and check data. The test commits it."""
    with session_factory(app.registry)() as session:
        yield session


@pytest.fixture
def wait_for_lock(database_url: str) -> Callable[[], None]:
    """``wait_for_lock()``: wait until a session of the test database waits for a lock."""

    def waits() -> bool:
        # Use a separate connection: a transaction sees the same activity until its end.
        with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) > 0 FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            [(waiting,)] = cursor.fetchall()
            return bool(waiting)

    return lambda: wait_for(waits)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


@pytest.fixture
def rows_read(app, dbsession) -> Callable[[str, Callable[[], object]], int]:
    """``rows_read("documents", send)``: count the rows of a table that the statements of ``send()`` read."""

    def rows_read(table: str, send: Callable[[], object]) -> int:
        sent = []

        def note(_connection, _cursor, statement, parameters, *_) -> None:
            sent.append((statement, parameters))

        engine = engine_of(app.registry)
        event.listen(engine, "before_cursor_execute", note)
        try:
            send()
        finally:
            event.remove(engine, "before_cursor_execute", note)
        cursor = dbsession.connection().connection.cursor()
        found = 0
        for statement, parameters in sent:
            if not statement.startswith("SELECT"):
                continue
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
            [[[plan]]] = cursor.fetchall()
            found += sum(
                node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
                for node in _nodes(plan["Plan"])
                if node.get("Relation Name") == table
            )
        return found

    return rows_read


@dataclass(frozen=True)
class Person:
    """A user with a token."""

    user_id: uuid.UUID
    email: str
    token: str
    client: TestApp


SignIn = Callable[..., Person]


@pytest.fixture
def sign_in(app) -> SignIn:
    """``sign_in("ada@example.com")``: a user whose ``client`` sends a personal access token."""

    def sign_in(email: str = "ada@example.com", *, app=app) -> Person:
        with session_factory(app.registry).begin() as session:
            user = get_or_create_user(session, email)
            token, _ = create_token(session, user.id, "test")
            user_id = user.id
        return Person(user_id, email, token, make_client(app, token))

    return sign_in


@pytest.fixture
def ada(sign_in: SignIn) -> Person:
    return sign_in("ada@example.com")


@pytest.fixture
def signed_in(ada: Person) -> TestApp:
    """The client of ada@example.com."""
    return ada.client


@pytest.fixture
def sessions(app) -> sessionmaker[Session]:
    """The session factory of the application."""
    return session_factory(app.registry)


@pytest.fixture
def add_member(app) -> Callable[[uuid.UUID, uuid.UUID, Role], None]:
    """``add_member(project_id, user_id, Role.VIEWER)``: add a member to the project."""

    def add(project_id: uuid.UUID | str, user_id: uuid.UUID, role: Role) -> None:
        with session_factory(app.registry).begin() as session:
            assert session.get(User, user_id) is not None
            session.add(Membership(project_id=project_id, user_id=user_id, role=role))

    return add


@pytest.fixture
def run_jobs(app, database_url: str) -> Callable[[], None]:
    """``run_jobs()``: read the files and execute the steps in the queue until it is empty."""
    registry = app.registry

    def run_jobs() -> None:
        import threading

        runner = StepRunner(session_factory(registry), providers_of(registry), threading.Event())
        connector = procrastinate.PsycopgConnector(conninfo=database_url, min_size=1, max_size=2)
        queue = procrastinate.App(connector=connector)

        @queue.task(name=TASK, pass_context=True)
        def perform(context: procrastinate.JobContext, step_id: str) -> None:
            runner.run_step(uuid.UUID(step_id), context.job.id)

        @queue.task(name=READ_TASK)
        def read(revision_id: str) -> None:
            read_revision(session_factory(registry), uuid.UUID(revision_id))

        queue.run_worker(
            queues=[*QUEUES.values(), READ_QUEUE],
            wait=False,
            install_signal_handlers=False,
            listen_notify=False,
            delete_jobs="successful",
        )

    return run_jobs


@pytest.fixture
def vendor(app, monkeypatch: pytest.MonkeyPatch) -> Iterator[VendorServer]:
    """A server that receives the calls of runs with ``anthropic/...`` and ``openai/...``."""
    with VendorServer() as server:
        providers = ProviderRegistry()
        providers.register(ExtractProvider(), takes_model=False)
        providers.register(AnthropicProvider("sk-ant-test", server.url))
        providers.register(OpenAIProvider("sk-test", server.openai_url))
        monkeypatch.setitem(app.registry, "combine_core.llm", providers)
        yield server


def writes_brief(line: int, quote: str, **tokens: int) -> Reply:
    """Return a reply for both steps of the brief, with one decision that quotes a line of the source."""
    proof = {"source": "S1", "line_from": line, "line_to": line, "quote": quote}
    item = {"text": quote, "evidence": [proof]}
    empty = ("summary", "key_points", "numbers", "open_questions", "next_steps")

    def reply(exchange: Exchange) -> None:
        facts = {"facts": [{**item, "kind": "decision"}]}
        brief = {**{section: [] for section in empty}, "decisions": [item]}
        reads = "Collect the facts" in exchange.request.prompt
        ok(facts if reads else brief, **tokens)(exchange)

    return reply
