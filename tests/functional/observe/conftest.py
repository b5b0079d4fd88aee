"""Fixtures for a small application on a real database, and for its log as text and JSON."""

from __future__ import annotations

import io
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.response import Response
from sqlalchemy import Engine
from webtest import TestApp

from combine_core.database import engine_of, make_engine
from combine_core.observe import JsonFormatter, TextFormatter
from combine_core.observe.logs import RequestFilter
from combine_core.settings.database_url import parse_database_url


class Lines:
    """Log lines in both formats, from combine_core and from other loggers that a test adds."""

    def __init__(self) -> None:
        self._text, self._json = io.StringIO(), io.StringIO()
        self.handlers = [logging.StreamHandler(self._text), logging.StreamHandler(self._json)]
        self.handlers[0].setFormatter(TextFormatter())
        self.handlers[1].setFormatter(JsonFormatter())
        for handler in self.handlers:
            handler.addFilter(RequestFilter())

    def text(self, having: str = "") -> list[str]:
        """Return the text lines that contain `having`."""
        return [line for line in self._text.getvalue().splitlines() if having in line]

    def json(self, having: str = "") -> list[dict[str, Any]]:
        """Return the JSON lines whose message contains `having`."""
        lines = [json.loads(line) for line in self._json.getvalue().splitlines()]
        return [line for line in lines if having in line["message"]]

    @contextmanager
    def hearing(self, name: str) -> Iterator[None]:
        """Add the logger of this name for the block."""
        logger = logging.getLogger(name)
        level = logger.level
        logger.setLevel(logging.INFO)
        for handler in self.handlers:
            logger.addHandler(handler)
        yield
        for handler in self.handlers:
            logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.fixture
def lines() -> Iterator[Lines]:
    lines = Lines()
    with lines.hearing("combine_core"):
        yield lines


@dataclass(frozen=True)
class Served:
    """An application with one view at ``/view``, whose route is called ``api.v1.view``."""

    client: TestApp
    engine: Engine

    def get(self, request_id: str = "abcd-1234", **options: Any) -> Any:
        return self.client.get("/view", headers={"X-Request-ID": request_id}, **options)


Serve = Callable[..., Served]


@pytest.fixture
def serve(database_url: str) -> Iterator[Serve]:
    """``serve(view, slow_query_ms="1")``: the view gets the request, and the response is "ok"."""
    engines = []

    def serve(view: Callable[[Any], object], **settings: str) -> Served:
        ini = {
            "combine_core.environment": "test",
            "combine_core.database_url": database_url,
            **{f"combine_core.{name}": value for name, value in settings.items()},
        }

        def answered(request: Any) -> Response:
            view(request)
            return Response("ok")

        with Configurator(settings=ini) as config:
            config.include("combine_core.settings")
            config.include("combine_core.observe")
            config.include("combine_core.database")
            config.add_route("api.v1.view", "/view")
            config.add_view(answered, route_name="api.v1.view")
            application = config.make_wsgi_app()
        engines.append(engine_of(application.registry))
        return Served(TestApp(application), engines[-1])

    yield serve
    for engine in engines:
        engine.dispose()


@pytest.fixture
def make(database_url: str) -> Iterator[Callable[..., Engine]]:
    """``make(application_name="combine worker", pool_size=1)``: an engine outside of requests."""
    engines = []

    def make(**options: Any) -> Engine:
        url = parse_database_url(database_url).get_secret_value()
        name = f"test {uuid.uuid4().hex[:8]}"
        named = {"application_name": name, "pool_size": 2, "max_overflow": 0, **options}
        engines.append(make_engine(url, **named))
        return engines[-1]

    yield make
    for engine in engines:
        engine.dispose()
