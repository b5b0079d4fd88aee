"""Tests the hooks for listeners in a complete application."""

import threading
import types

import pytest
from pyramid.exceptions import ConfigurationError
from pyramid.threadlocal import get_current_registry

import combine_health
from combine_health import Change, CheckRun, HealthResult, hookimpl

PATIENCE = 60
LOCAL = {"REMOTE_ADDR": "127.0.0.1"}


class Listening:
    """A plugin that collects its events."""

    def __init__(self):
        self.changes, self.results, self.registries = [], [], []
        self.came = threading.Condition()

    @hookimpl
    def combine_health_status_changed(self, change):
        with self.came:
            self.changes.append(change)
            self.came.notify_all()

    @hookimpl
    def combine_health_result(self, result):
        with self.came:
            self.results.append(result)
            self.registries.append(get_current_registry())
            self.came.notify_all()

    def wait(self, changes, results):
        with self.came:
            assert self.came.wait_for(
                lambda: len(self.changes) >= changes and len(self.results) >= results, PATIENCE
            )


@pytest.fixture
def switch(make_switch):
    return make_switch()


def test_a_plugin_receives_results_and_changes(make_app, switch):
    plugin = Listening()

    def setup(config):
        config.add_health_plugin(plugin, "ear")
        config.add_health_check("database", switch, remedy="Start it.")

    app = make_app(setup)
    app.get("/health/ready")
    switch.answer = HealthResult.failing("refused", "no answer", port=5432)
    app.get("/health/ready", status=503)
    plugin.wait(4, 2)
    assert all(isinstance(change, Change) for change in plugin.changes)
    assert [(c.check, c.before, c.after, c.cause, c.remedy) for c in plugin.changes] == [
        ("database", "starting", "healthy", None, None),
        (None, "starting", "healthy", None, None),
        ("database", "healthy", "failing", "refused", "Start it."),
        (None, "healthy", "unavailable", "database.refused", "Start it."),
    ]
    assert all(isinstance(result, CheckRun) for result in plugin.results)
    result = plugin.results[-1]
    assert (result.check, result.status, result.cause) == ("database", "failing", "refused")
    assert (result.detail, result.data) == ("no answer", {"port": 5432})
    assert result.duration >= 0
    assert result.at.tzinfo is not None
    assert all(registry is app.app.registry for registry in plugin.registries)
    monitor = app.get("/health/detailed", extra_environ=LOCAL).json["monitor"]
    assert monitor["listeners"] == [
        "log",
        "ear (combine_health_status_changed)",
        "ear (combine_health_result)",
    ]


def test_a_listener_that_raises_or_hangs_does_not_affect_the_others(make_app, switch, caplog):
    gate = threading.Event()

    class Raising:
        @hookimpl
        def combine_health_status_changed(self, change):
            raise SystemExit(f"no {change.check}")

    class Hanging:
        @hookimpl
        def combine_health_result(self):  # the argument is optional
            gate.wait(PATIENCE)

    plugin = Listening()

    def setup(config):
        config.add_health_plugin(Raising(), "raising")
        config.add_health_plugin(Hanging(), "hanging")
        config.add_health_plugin(plugin, "ear")
        config.add_health_check("database", switch)

    app = make_app(setup)
    for answer in (True, False, True):
        switch.answer = answer
        app.get("/health/ready", status="*")
    plugin.wait(6, 3)
    gate.set()
    assert [change.check for change in plugin.changes] == ["database", None] * 3


@pytest.mark.parametrize("argument", ["changed", "change, more"])
def test_a_misspelt_argument_is_an_error_at_startup(make_app, argument):
    module = types.ModuleType("listening")
    code = f"def combine_health_status_changed({argument}): pass"
    exec(code, module.__dict__)
    module.combine_health_status_changed = hookimpl(module.combine_health_status_changed)
    with pytest.raises(ConfigurationError, match="listening"):
        make_app(lambda config: config.add_health_plugin(module, "listening"))


def test_the_names_are_public():
    assert {"Change", "CheckRun", "hookimpl"} <= set(combine_health.__all__)
