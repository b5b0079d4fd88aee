"""Fixtures for a small application on combine_auth without the rest of the service."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pyramid.authorization import Allow, Authenticated, Everyone
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPConflict
from sqlalchemy import event, text
from sqlalchemy.orm import Session
from webtest import TestApp, TestResponse

from combine_auth.sessions import start_session
from combine_auth.settings import AuthSettings
from combine_auth.tokens.service import create_token
from combine_core.cli import main
from combine_core.database import engine_of, session_factory
from combine_core.observe.context import request_id
from combine_core.settings import SETTINGS_KEY, CoreSettings, load_all
from combine_core.users import User, get_or_create_user

DEVELOPMENT = {"combine_core.environment": "development", "combine_auth.local_sign_in": "true"}
PRODUCTION = {
    "combine_core.environment": "production",
    "combine_core.secret_key": "0f3b9a7c5d1e8246a9b0c7d3e5f18264",
    "combine_core.public_url": "https://combine.example.com",
}
COOKIE = "combine_session"


class Shared:
    """The context of the views of the application."""

    def __init__(self, request: Any) -> None:
        mine = f"user:{request.identity.user_id}" if request.identity else "user:nobody"
        self.__acl__ = [
            (Allow, Everyone, "look"),
            (Allow, Authenticated, "write"),
            (Allow, mine, "own"),
        ]


def _whoami(request: Any) -> dict[str, Any]:
    # Read it repeatedly, as a page does.
    assert request.identity == request.identity
    proof = request.proof
    return {
        "email": request.identity and request.identity.email,
        "admin": request.identity and request.identity.is_admin,
        "userid": request.authenticated_userid,
        "kind": proof and proof.kind,
        "may": [may for may in ("look", "write", "own") if request.has_permission(may)],
    }


def _refuse(request: Any) -> Any:
    assert request.identity is not None
    raise HTTPConflict


class Service:
    """The application and its database."""

    def __init__(self, ini: dict[str, str]) -> None:
        loaded = load_all(ini, None, {}, [CoreSettings, AuthSettings])
        with Configurator(settings={**ini, SETTINGS_KEY: loaded}) as config:
            config.include("combine_core.settings")
            config.include("combine_core.database")
            config.include("combine_core.pages")
            config.include("combine_auth")
            # combine_core.observe provides this in the complete service.
            config.add_request_method(request_id, "request_id", reify=True)
            for path in ("/whoami", "/health/whoami", "/docs/whoami"):
                config.add_route(path, path, factory=Shared)
                config.add_view(_whoami, route_name=path, renderer="json")
            config.add_route("refuse", "/refuse")
            config.add_view(_refuse, route_name="refuse")
            self.app = config.make_wsgi_app()
        self.registry = config.registry
        self.engine = engine_of(config.registry)

    def client(self, **environ: str) -> TestApp:
        """Return a browser on this machine."""
        return TestApp(
            self.app,
            extra_environ={"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8000", **environ},
        )

    @contextmanager
    def session(self) -> Iterator[Session]:
        with session_factory(self.registry).begin() as session:
            yield session

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """Record the SQL statements of the block."""
        sent: list[str] = []

        def note(_connection, _cursor, statement, *_rest):
            sent.append(statement)

        event.listen(self.engine, "before_cursor_execute", note)
        try:
            yield sent
        finally:
            event.remove(self.engine, "before_cursor_execute", note)

    def execute(self, statement: str, **values: Any) -> Any:
        """Run one statement and return the rows."""
        with self.session() as session:
            result = session.execute(text(statement), values)
            return list(result) if result.returns_rows else None

    def user(self, email: str = "ann@example.com", *, disabled: bool = False) -> User:
        with self.session() as session:
            user = get_or_create_user(session, email)
        if disabled:
            self.execute("UPDATE users SET disabled_at = now() WHERE id = :id", id=user.id)
        return user

    def cookie(self, user: User) -> str:
        """Start a session and return the value of its cookie."""
        with self.session() as session:
            return start_session(session, user.id)

    def token(self, user: User, days: int = 90) -> str:
        """Return a new personal access token."""
        with self.session() as session:
            return create_token(session, user.id, "test", days)[0]


MakeService = Callable[..., Service]


@pytest.fixture(scope="session")
def _services(worker_database: str) -> Iterator[dict[tuple[str, ...], Service]]:
    """The applications of this process. They keep nothing in memory, so tests may share them."""
    made: dict[tuple[str, ...], Service] = {}
    yield made
    for service in made.values():
        service.engine.dispose()


@pytest.fixture
def make_service(database_url: str, _services: dict[tuple[str, ...], Service]) -> MakeService:
    """``make_service(ini)``: the application with these settings."""

    def make(ini: dict[str, str] = DEVELOPMENT, url: str = database_url) -> Service:
        key = (url, *(f"{name}={value}" for name, value in sorted(ini.items())))
        if key not in _services:
            _services[key] = Service({**ini, "combine_core.database_url": url})
        return _services[key]

    return make


@pytest.fixture
def service(make_service: MakeService) -> Service:
    """The application in development, with local sign-in."""
    return make_service()


@pytest.fixture
def client(service: Service) -> TestApp:
    """A browser on this machine."""
    return service.client()


@pytest.fixture
def ini_file(tmp_path: Path, database_url: str) -> Path:
    """An ini file of the development service."""
    path = tmp_path / "development.ini"
    keys = {**DEVELOPMENT, "combine_core.database_url": database_url.replace("%", "%%")}
    lines = [f"{key} = {value}" for key, value in keys.items()]
    includes = "pyramid.includes = combine_core combine_auth"
    path.write_text("\n".join(["[app:main]", "use = egg:pyramid-combine", includes, *lines, ""]))
    return path


@pytest.fixture
def combine(ini_file: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """``combine("user create", "ann@example.com")``: run the command on the service of ``ini_file``."""
    for name in ("ENVIRONMENT", "DATABASE_URL", "COMBINE_CORE_DATABASE_URL", "COMBINE_INI"):
        monkeypatch.delenv(name, raising=False)

    def run(line: str, *words: str, ini: Path = ini_file, typed: str = "") -> Result:
        return CliRunner().invoke(main, [*line.split(), *words, "-c", str(ini)], input=typed)

    return run


@pytest.fixture
def signed_in(service: Service, client: TestApp) -> TestApp:
    """A browser with a session of Ann."""
    client.set_cookie(COOKIE, service.cookie(service.user()))
    return client


def at_once(call: Callable[[Any], Any], values: Iterable[Any]) -> list[Any]:
    """Call it with each of the values, in threads that start together, and return the results."""
    values = list(values)
    gate = threading.Barrier(len(values))

    def run(value: Any) -> Any:
        gate.wait(60)
        return call(value)

    with ThreadPoolExecutor(len(values)) as pool:
        return list(pool.map(run, values))


def find_form(page: TestResponse, path: str) -> Any:
    """Return the only form of the page whose action matches this pattern."""
    [found] = [form for form in page.forms.values() if re.search(path, form.action)]
    return found


@pytest.fixture
def browser(app):
    """``browser(person)``: a browser with a session of this user."""

    def make(person):
        with session_factory(app.registry).begin() as session:
            cookie = start_session(session, person.user_id)
        client = TestApp(app, lint=False, extra_environ={"wsgi.url_scheme": "https"})
        client.extra_environ["HTTP_COOKIE"] = f"__Host-combine_session={cookie}"
        return client

    return make
