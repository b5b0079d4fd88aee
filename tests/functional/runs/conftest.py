"""Fixtures for a project with a source, and for runs."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from combine_core.database import make_engine, make_sessions
from combine_core.llm import provider_registry
from combine_core.llm.registry import ProviderRegistry
from combine_core.projects import create_project
from combine_core.runs import Run, start_run
from combine_core.runs import worker as worker_module
from combine_core.settings.core import CoreSettings
from combine_core.sources import add_source
from combine_core.users import get_or_create_user

TEXT = """# Oven 3

The oven runs at 180 °C from Monday.
We decided to replace the door seal by Friday.
Who pays for the new seal?
Anna must order the seal before Wednesday.
"""


@dataclass(frozen=True)
class Place:
    """The project, user and source of the runs of a test."""

    project_id: uuid.UUID
    user_id: uuid.UUID
    source_id: uuid.UUID


@pytest.fixture
def frequent_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "SWEEP_S", 0.1)
    monkeypatch.setattr(worker_module, "POLL_S", 0.1)


@pytest.fixture
def settings(database_url: str) -> CoreSettings:
    return CoreSettings(database_url=database_url)  # type: ignore[arg-type]


@pytest.fixture
def engine(settings: CoreSettings) -> Iterator[Engine]:
    engine = make_engine(
        settings.sqlalchemy_url, application_name="test", pool_size=5, max_overflow=20
    )
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    return make_sessions(engine)


@pytest.fixture
def providers(settings: CoreSettings) -> ProviderRegistry:
    return provider_registry(settings)


@pytest.fixture
def place(sessions: sessionmaker[Session]) -> Place:
    with sessions.begin() as session:
        user = get_or_create_user(session, "anna@example.org")
        project = create_project(session, "Ovens", user.id)
        source = add_source(session, project.id, "oven.md", TEXT, user.id)
        return Place(project.id, user.id, source.id)


StartRun = Callable[..., Run]


@pytest.fixture
def start(sessions: sessionmaker[Session], place: Place, providers: ProviderRegistry) -> StartRun:
    def start_one(model: str = "extract", providers: ProviderRegistry = providers) -> Run:
        with sessions.begin() as session:
            return start_run(
                session,
                place.project_id,
                "brief",
                [place.source_id],
                place.user_id,
                model=model,
                providers=providers,
            )

    return start_one
