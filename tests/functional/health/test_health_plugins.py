"""Tests plugins: by entry point, by directive, broken or misspelt."""

import types

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationConflictError, ConfigurationError
from webtest import TestApp

from combine_health import hookimpl

LOCAL = {"REMOTE_ADDR": "127.0.0.1"}


def make(setup=lambda config: None, **settings):
    with Configurator(settings={"combine_health.background": "false", **settings}) as config:
        config.include("combine_health")
        setup(config)
        app = config.make_wsgi_app()
    return TestApp(app)


def checks(app):
    return app.get("/health/detailed", extra_environ=LOCAL).json["checks"]


GOOD = """
@hookimpl
def combine_health_register_checks(register, settings):
    register("cache", lambda registry: settings["cache.up"] == "yes", words=("up", "down"))
"""


def test_an_installed_plugin_is_loaded(install):
    install("health-good", GOOD)
    app = make(**{"cache.up": "yes"})
    assert app.get("/health/ready").json == {"status": "ready", "cache": "up"}


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import no_such_module", "ModuleNotFoundError"),
        ("raise SystemExit(1)", "SystemExit"),
        ("def broken(:", "SyntaxError"),
        (
            "@hookimpl\ndef combine_health_register_checks(register):\n    1 / 0",
            "ZeroDivisionError",
        ),
        (
            "@hookimpl\ndef combine_health_register_checks(register):\n    register('Odd', print)",
            "ConfigurationError",
        ),
    ],
)
def test_a_broken_plugin_is_a_failing_check_and_hides_no_other(install, code, error):
    install("health-bad", code)
    install("health-good", GOOD)
    app = make(**{"cache.up": "yes"})
    assert app.get("/health/ready").json == {"status": "ready", "cache": "up"}
    broken = checks(app)["plugin-health-bad"]
    assert (broken["status"], broken["critical"]) == ("failing", False)
    assert broken["cause"] == "plugin_broken"
    assert broken["detail"].startswith(error)
    assert "health-bad" in broken["remedy"]
    assert app.get("/health/detailed", extra_environ=LOCAL).json["status"] == "degraded"


def test_checks_registered_before_a_failure_stay(install):
    install(
        "health-half",
        """
        @hookimpl
        def combine_health_register_checks(register, settings):
            register("first", lambda registry: True)
            register("second", 1)
        """,
    )
    assert set(checks(make())) == {"first", "plugin-health-half"}


def test_broken_plugins_with_similar_names_are_both_shown(install):
    install("health-one", "1 / 0", entry="a.b")
    install("health-two", "1 / 0", entry="a-b")
    assert set(checks(make())) == {"plugin-a-b", "plugin-a-b-2"}


def test_plugins_can_be_disabled(install):
    install("health-bad", "1 / 0")
    assert checks(make(**{"combine_health.disabled_plugins": "health-bad"})) == {}
    assert checks(make(**{"combine_health.load_entry_points": "false"})) == {}


def test_a_secret_in_a_plugin_error_is_masked(install, caplog):
    install("health-bad", "raise ValueError('redis://:c4n4ry-pw@cache/0')")
    app = make()
    assert "c4n4ry" not in app.get("/health/detailed", extra_environ=LOCAL).text
    assert "c4n4ry" not in caplog.text
    assert "health-bad" in caplog.text


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("def combine_health_register_cheks(register): pass", "combine_health_register_cheks"),
        ("def combine_health_register_checks(regster): pass", "regster"),
    ],
)
def test_a_misspelt_hook_is_an_error_at_startup(install, code, named):
    install("health-bad", f"@hookimpl\n{code}")
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert named in str(caught.value)
    assert "health-bad" in str(caught.value)


def plugin(name, answer=True):
    module = types.ModuleType(f"plugin_{name}_{answer}")

    @hookimpl
    def combine_health_register_checks(register):
        register(name, lambda registry: answer)

    module.combine_health_register_checks = combine_health_register_checks
    return module


def test_a_plugin_is_added_by_directive():
    app = make(lambda config: config.add_health_plugin(plugin("cache")))
    assert set(checks(app)) == {"cache"}


def test_the_application_overrides_a_plugin():
    def setup(config):
        config.add_health_plugin(plugin("cache", answer=False))
        config.add_health_check("cache", lambda registry: True)

    assert make(setup).get("/health/ready").json == {"status": "ready"}


def test_a_check_of_two_plugins_is_an_error_at_startup():
    def setup(config):
        config.add_health_plugin(plugin("cache", answer=False))
        config.add_health_plugin(plugin("cache", answer=True))

    with pytest.raises(ConfigurationConflictError, match="cache"):
        make(setup)


def test_a_plugin_added_twice_is_an_error_at_startup():
    one = plugin("cache")

    def again(config):
        config.add_health_plugin(one)
        config.add_health_plugin(one)

    def renamed(config):
        config.add_health_plugin(one)
        config.add_health_plugin(one, "other")

    for setup in (again, renamed):
        with pytest.raises(ConfigurationError, match="plugin_cache"):
            make(setup)


def test_plugins_of_two_applications_are_independent():
    one = make(lambda config: config.add_health_plugin(plugin("one")))
    two = make(lambda config: config.add_health_plugin(plugin("two")))
    assert (set(checks(one)), set(checks(two))) == ({"one"}, {"two"})
