"""A Pyramid application that includes only the health add-on."""

import sys
import textwrap

import pytest
from pyramid.config import Configurator
from webtest import TestApp

from combine_health.engine.registry import health_of
from combine_health.testing import FakeClock
from tests.functional.health.served import Served


@pytest.fixture
def make_app(tmp_path):
    """Make an application with its own maintenance file. Its checks run on request."""
    made = []

    def make_app(setup=lambda config: None, **settings):
        given = {
            "combine_health.background": "false",
            "combine_health.load_entry_points": "false",
            "combine_health.maintenance_file": str(tmp_path / "maintenance.json"),
            **{f"combine_health.{name}": value for name, value in settings.items()},
        }
        with Configurator(settings=given) as config:
            config.include("combine_health")
            setup(config)
            app = config.make_wsgi_app()
        made.append(health_of(app.registry).runner)
        return TestApp(app)

    yield make_app
    for runner in made:
        runner.stop()


class Switch:
    """A check whose result the test sets."""

    def __init__(self, answer=True):
        self.answer = answer

    def __call__(self, _registry):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def make_switch():
    """Make a check whose result the test sets: ``switch.answer = ...``."""
    return Switch


@pytest.fixture
def database():
    """A check that passes until the test sets another result."""
    return Switch()


@pytest.fixture
def time():
    return FakeClock()


@pytest.fixture
def serve(tmp_path):
    """Serve an application in a process of its own, and wait until this probe succeeds."""
    started = []

    def serve(probe="/health/ready", **keys):
        server = Served(tmp_path, **keys)
        started.append(server)
        server.wait_for(probe, 200)
        return server

    yield serve
    for server in started:
        server.kill()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install distributions with one entry point each, like pip: metadata on ``sys.path``."""
    monkeypatch.syspath_prepend(tmp_path)
    modules = set(sys.modules)

    def install(name, code, entry=None):
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(
            "from combine_health import hookimpl\n" + textwrap.dedent(code)
        )
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[combine_health]\n{entry or name} = {module}\n")

    yield install
    for added in set(sys.modules) - modules:
        if getattr(sys.modules[added], "__file__", None) and str(tmp_path) in str(
            sys.modules[added].__file__
        ):
            del sys.modules[added]
