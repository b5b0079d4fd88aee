"""Tests the settings that plugins declare, from ini file and environment."""

import types

import pytest
from pyramid.exceptions import ConfigurationError

from combine_health import HealthEnvironmentError, HealthResult, hookimpl
from combine_health.settings import declared_by_plugins, resolve
from combine_health.testing import HealthApp

SMTP = """
@hookimpl
def combine_health_declare_settings(declare):
    declare("smtp_host", str, "The mail server.", "localhost")
    declare("smtp_port", int, "Its port.", 25)
    declare("smtp_tls", bool, "Whether it speaks TLS.", False)
    declare("smtp_patience", float, "Seconds.", 1.5)
    declare("smtp_users", tuple, "Who may send.", ())
    declare("smtp_password", str, "The password.", secret=True)

@hookimpl
def combine_health_register_checks(register, settings):
    from combine_health import HealthResult
    names = ("host", "port", "tls", "patience", "users")
    data = {name: settings[f"combine_health.smtp_{name}"] for name in names}
    password = settings["combine_health.smtp_password"]
    register("smtp", lambda _: HealthResult.healthy(f"logged in with {password}", **data))
"""


def app(*plugins, **settings):
    named = {f"combine_health.{name}": value for name, value in settings.items()}
    return HealthApp(*plugins, settings={"combine_health.load_entry_points": "true", **named})


def test_a_setting_has_a_default(install):
    install("health-smtp", SMTP, entry="smtp")
    assert app().run("smtp").data == {
        "host": "localhost",
        "port": 25,
        "tls": False,
        "patience": 1.5,
        "users": [],
    }


def test_the_environment_wins_over_the_ini_file(install, monkeypatch):
    install("health-smtp", SMTP, entry="smtp")
    monkeypatch.setenv("COMBINE_HEALTH_SMTP_HOST", "mail.example")
    monkeypatch.setenv("COMBINE_HEALTH_SMTP_TLS", "yes")
    monkeypatch.setenv("COMBINE_HEALTH_SMTP_PASSWORD", "c4n4ry-pw")
    seen = app(smtp_host="other.example", smtp_port="587", smtp_users="anna, ben").run("smtp")
    assert dict(seen.data) == {
        "host": "mail.example",
        "port": 587,
        "tls": True,
        "patience": 1.5,
        "users": ["anna", "ben"],
    }
    assert seen.detail == "logged in with ***"


def test_plugin_settings_are_listed(install):
    install("health-smtp", SMTP, entry="smtp")
    rows = {row.declared.name: row for row in resolve({"combine_health.smtp_port": "587"}, {})}
    port = rows["combine_health.smtp_port"]
    assert (port.value, port.source, port.declared.type) == (587, "ini", "int")
    assert port.declared.variable == "COMBINE_HEALTH_SMTP_PORT"
    assert rows["combine_health.smtp_password"].declared.secret


def test_invalid_plugin_settings_are_reported_with_all_others(install, monkeypatch):
    install("health-smtp", SMTP, entry="smtp")
    monkeypatch.setenv("COMBINE_HEALTH_SMTP_PORT", "many")
    with pytest.raises(HealthEnvironmentError) as caught:
        app(smtp_hots="mail.example", details="everyone")
    said = str(caught.value)
    assert "COMBINE_HEALTH_SMTP_PORT is 'many': write a whole number" in said
    assert (
        "combine_health.smtp_hots is not a setting; did you mean combine_health.smtp_host?" in said
    )
    assert "combine_health.details is 'everyone'" in said


def test_an_invalid_secret_is_not_printed(install):
    install(
        "health-smtp",
        """
        @hookimpl
        def combine_health_declare_settings(declare):
            declare("smtp_key", lambda text: int(text), "The key.", secret=True)
        """,
    )
    with pytest.raises(HealthEnvironmentError, match=r"smtp_key is \*{8}: this value") as caught:
        app(smtp_key="c4n4ry")
    assert "c4n4ry" not in str(caught.value)


@pytest.mark.parametrize(
    "setting", [{"disabled_plugins": "smtp"}, {"load_entry_points": "false"}], ids=str
)
def test_settings_of_an_unloaded_plugin_are_allowed(install, monkeypatch, setting):
    install("health-smtp", "1 / 0", entry="smtp")
    monkeypatch.setenv("COMBINE_HEALTH_SMTP_HOST", "mail.example")
    assert app(smtp_port="587", **setting).get("/health/ready")[0] == 200
    with pytest.raises(HealthEnvironmentError, match="smpt_port is not a setting"):
        app(smpt_port="587", **setting)


def test_a_broken_plugin_declares_no_settings(install):
    install("health-bad", "1 / 0")
    assert declared_by_plugins({}, {}) == []
    assert app().run("plugin-health-bad").cause == "plugin_broken"


def plugin(name, *settings):
    module = types.ModuleType(name)

    @hookimpl
    def combine_health_declare_settings(declare):
        for setting in settings:
            declare(setting, int, "A number.", 1)

    @hookimpl
    def combine_health_register_checks(register, settings):
        seen = {key: settings[f"combine_health.{key}"] for key in declared}
        register(name, lambda _: HealthResult.healthy(**seen))

    declared = settings
    module.combine_health_declare_settings = combine_health_declare_settings
    module.combine_health_register_checks = combine_health_register_checks
    return module


def test_a_plugin_added_by_directive_declares_settings(monkeypatch):
    monkeypatch.setenv("COMBINE_HEALTH_SMTP_PORT", "587")
    one = app(plugin("smtp", "smtp_port", "smtp_size"), smtp_size="7")
    assert one.run("smtp").data == {"smtp_port": 587, "smtp_size": 7}
    monkeypatch.setenv("COMBINE_HEALTH_SMTP_PORT", "x")
    with pytest.raises(HealthEnvironmentError, match="SMTP_PORT is 'x': write a whole number"):
        app(plugin("smtp", "smtp_port"))


def test_a_misspelt_name_is_an_error_at_startup(monkeypatch):
    monkeypatch.setenv("COMBINE_HEALTH_SMTP_PROT", "587")
    with pytest.raises(HealthEnvironmentError, match="did you mean COMBINE_HEALTH_SMTP_PORT"):
        app(plugin("smtp", "smtp_port"))


@pytest.mark.parametrize(
    "name", ["details", "check.a.timeout", "group.web", "stop_timeout", "Odd", "a b", ""]
)
def test_invalid_and_used_names_break_the_plugin(name):
    seen = app(plugin("smtp", name)).run("plugin-smtp")
    assert seen.cause == "plugin_broken"
    assert "the name is taken, or has characters other" in seen.detail


def test_a_setting_of_two_plugins_is_an_error_at_startup():
    with pytest.raises(
        ConfigurationError, match=r"another plugin also declares the setting .*\.port"
    ):
        app(plugin("one", "port"), plugin("two", "port"))


def test_a_misspelt_argument_is_an_error_at_startup():
    module = types.ModuleType("smtp")

    @hookimpl
    def combine_health_declare_settings(declaer):
        raise AssertionError

    module.combine_health_declare_settings = combine_health_declare_settings
    with pytest.raises(ConfigurationError, match="declaer"):
        app(module)


def test_a_setting_of_a_missing_plugin_is_an_error(monkeypatch):
    monkeypatch.setenv("COMBINE_HEALTH_SMTP_HOST", "mail.example")
    with pytest.raises(HealthEnvironmentError) as caught:
        app()
    assert "SMTP_HOST is not a setting of combine_health or of an installed plugin" in str(
        caught.value
    )
    assert "did you mean" not in str(caught.value)
