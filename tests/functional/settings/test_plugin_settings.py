"""Tests the settings of health plugins in the table and in the ``.env`` file."""

import pytest

from combine_core.settings.load import check_all

PLUGIN = """
from combine_health import hookimpl

@hookimpl
def combine_health_declare_settings(declare):
    declare("smtp_host", str, "The mail server.", "localhost")
    declare("smtp_port", int, "Its port.", 25)
    declare("smtp_password", str, "The password.", secret=True)
"""


@pytest.fixture
def ini_path(tmp_path, monkeypatch):
    """An ini file beside a ``.env`` file, with the plugin installed as pip would."""
    monkeypatch.syspath_prepend(tmp_path)
    info = tmp_path / "smtp_for_test-1.0.dist-info"
    info.mkdir()
    (tmp_path / "smtp_for_test.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: smtp-for-test\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[combine_health]\nsmtp = smtp_for_test\n")
    (tmp_path / ".env").write_text("COMBINE_HEALTH_SMTP_PORT=587\n")
    return tmp_path / "development.ini"


def test_plugin_settings_are_in_the_table(ini_path):
    ini = {"pyramid.includes": "combine_health", "combine_health.smtp_password": "c4n4ry"}
    environ = {"ENVIRONMENT": "development", "COMBINE_HEALTH_SMTP_HOST": "mail.example"}
    outcome = check_all(ini, ini_path, environ)
    found = {
        row.variable.removeprefix("COMBINE_HEALTH_SMTP_"): (row.value_shown, row.source)
        for row in outcome.loaded.rows()
        if row.variable.startswith("COMBINE_HEALTH_SMTP_")
    }
    assert found == {
        "HOST": ("mail.example", "environment"),
        "PORT": ("587", ".env"),
        "PASSWORD": ("********", "ini"),
    }
    said = " ".join(map(str, [*outcome.problems, *outcome.warnings]))
    assert "SMTP" not in said.upper()


def test_an_invalid_value_is_a_problem(ini_path):
    environ = {"ENVIRONMENT": "development", "COMBINE_HEALTH_SMTP_PORT": "many"}
    outcome = check_all({"pyramid.includes": "combine_health"}, ini_path, environ)
    assert "COMBINE_HEALTH_SMTP_PORT" in " ".join(map(str, outcome.problems))


@pytest.mark.parametrize("key", ["disabled_plugins", "load_entry_points"])
def test_settings_of_an_unloaded_plugin_are_allowed(ini_path, key):
    off = {"disabled_plugins": "smtp", "load_entry_points": "false"}[key]
    ini = {
        "pyramid.includes": "combine_health",
        f"combine_health.{key}": off,
        "combine_health.smtp_host": "mail.example",
    }
    outcome = check_all(ini, ini_path, {"ENVIRONMENT": "development"})
    assert "smtp" not in " ".join(map(str, [*outcome.problems, *outcome.warnings]))
