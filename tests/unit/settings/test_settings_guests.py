"""Add-ons that read their own settings: combine_health, which may not import ours."""

from types import SimpleNamespace

import pytest

import combine_health.settings
from combine_core.settings import CoreSettings, judge_all
from combine_core.settings.addons import Installed, SettingsModule, included, installed

USED = Installed((CoreSettings,), {"combine_health": combine_health.settings})
DEVELOPMENT = {"ENVIRONMENT": "development"}


def rows(outcome):
    return {row.variable: row for row in outcome.loaded.rows()}


def test_the_health_add_on_is_a_guest():
    assert isinstance(combine_health.settings, SettingsModule)
    assert installed().modules["combine_health"] is combine_health.settings


def test_its_settings_are_in_the_table(tmp_path):
    path = tmp_path / "x.ini"
    path.write_text("[app:main]\n[server:main]\nlisten = 127.0.0.1:8001\n")
    environ = {**DEVELOPMENT, "COMBINE_HEALTH_BACKGROUND": "false", "PORT": "8123"}
    shown = rows(judge_all({"combine_health.details": "never"}, path, environ, USED))
    details = shown["COMBINE_HEALTH_DETAILS"]
    assert (details.value_shown, details.source, details.addon) == (
        "never",
        "ini",
        "combine_health",
    )
    background = shown["COMBINE_HEALTH_BACKGROUND"]
    assert (background.value_shown, background.source) == ("false", "environment")
    assert (shown["PORT"].value_shown, shown["PORT"].source) == ("8123", "environment")
    assert (shown["LISTEN"].value_shown, shown["LISTEN"].source) == ("127.0.0.1:8001", "ini")
    assert shown["LISTEN"].ini_key == "listen in [server:main]"


def test_what_the_env_file_says_is_handed_on(tmp_path):
    (tmp_path / ".env").write_text(
        "COMBINE_HEALTH_DETAILS=never\nCOMBINE_HEALTH_BACKGROUND=false\n"
    )
    environ = {**DEVELOPMENT, "COMBINE_HEALTH_BACKGROUND": "true"}
    outcome = judge_all({}, tmp_path / "x.ini", environ, USED)
    assert outcome.loaded.overlay == {"combine_health.details": "never"}
    assert rows(outcome)["COMBINE_HEALTH_DETAILS"].source == ".env"
    assert rows(outcome)["COMBINE_HEALTH_BACKGROUND"].source == "environment"
    health = combine_health.settings.read_settings(outcome.loaded.overlay, environ)
    assert (health.details, health.background) == ("never", True)


def test_its_problems_are_among_the_others():
    ini = {"combine_health.details": "canary", "combine_health.detials": "local"}
    outcome = judge_all(ini, None, {"ENVIRONMENT": "test"}, USED)
    assert [(p.variable, p.what) for p in outcome.problems] == [
        ("DATABASE_URL", "is not set"),
        ("COMBINE_HEALTH_DETAILS", "has an unusable value"),
        ("combine_health.detials", "is no setting"),
    ]
    assert "write one of never, local" in outcome.problems[1].remedy
    assert "canary" not in str(outcome.problems)
    assert rows(outcome)["COMBINE_HEALTH_DETAILS"].value_shown == "(unusable)"


def test_a_secret_of_a_guest_is_masked():
    token = SimpleNamespace(
        name="combine_guest.token",
        variable="COMBINE_GUEST_TOKEN",
        type="text",
        default=None,
        help="A token.",
        section="app:main",
        secret=True,
    )
    guest = SimpleNamespace(
        declared=lambda: [token],
        resolve=lambda ini, environ, server: [
            SimpleNamespace(
                declared=token, value=environ[token.variable], source="environment", problem=None
            )
        ],
    )
    used = Installed((CoreSettings,), {"combine_guest": guest})
    row = rows(judge_all({}, None, {**DEVELOPMENT, "COMBINE_GUEST_TOKEN": "canary"}, used))
    assert row["COMBINE_GUEST_TOKEN"].value_shown == "********"


@pytest.fixture
def broken_add_ons(tmp_path, monkeypatch):
    """Installed distributions whose settings cannot be loaded, each in its own way."""
    for name, code in (
        ("combine_lacking", "import a_package_that_nobody_has"),
        ("combine_faulty", "raise RuntimeError('canary')"),
        ("combine_wrong", "settings = 1"),
    ):
        (tmp_path / f"{name}.py").write_text(code)
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[combine.settings]\n{name} = {name}\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("broken_add_ons")
def test_an_add_on_that_cannot_be_loaded_stops_only_those_who_include_it():
    assert judge_all({}, None, DEVELOPMENT).problems == ()
    ini = {"pyramid.includes": "combine_core combine_lacking combine_faulty combine_wrong"}
    found = {
        p.variable: f"{p.what}: {p.remedy}" for p in judge_all(ini, None, DEVELOPMENT).problems
    }
    assert "a_package_that_nobody_has" in found["combine_lacking"]
    assert "install combine_lacking with all its dependencies" in found["combine_lacking"]
    assert "RuntimeError" in found["combine_faulty"]
    assert "declares no settings" in found["combine_wrong"]
    assert "canary" not in str(found)


def test_keys_for_each_check_are_known():
    ini = {"combine_health.check.redis.timeout": "2", "combine_health.check.a.b.interval": "2"}
    assert judge_all(ini, None, DEVELOPMENT, USED).problems == ()
    (problem,) = judge_all(
        {"combine_health.check.redis.tiemout": "2"}, None, DEVELOPMENT, USED
    ).problems
    assert problem.what == "is no setting"


def test_the_add_ons_of_an_ini():
    ini = {"pyramid.includes": "combine_health\ncombine_core combine_core.health\n combine_auth"}
    assert included(ini) == {"combine_health", "combine_core", "combine_auth"}
    assert included({}) == {"combine_core"}
    assert list(installed().only(included({})).modules) == []
