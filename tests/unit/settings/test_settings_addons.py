"""Tests add-ons that read their own settings, and misspelt names of settings.

A misspelt ini key is an error at startup. A misspelt variable causes a warning.
"""

from types import SimpleNamespace

import pytest

import combine_health.settings
from combine_auth.settings import AuthSettings
from combine_core.settings import CoreSettings, check_all
from combine_core.settings.addons import Installed, SettingsModule, included, installed

WITH_HEALTH = Installed((CoreSettings,), {"combine_health": combine_health.settings})
WITH_AUTH = Installed((CoreSettings, AuthSettings))
DEVELOPMENT = {"ENVIRONMENT": "development"}


def rows(outcome):
    return {row.variable: row for row in outcome.loaded.rows()}


def test_the_health_add_on_reads_its_settings():
    assert isinstance(combine_health.settings, SettingsModule)
    assert installed().modules["combine_health"] is combine_health.settings


def test_its_settings_are_in_the_table(tmp_path):
    path = tmp_path / "x.ini"
    path.write_text("[app:main]\n[server:main]\nlisten = 127.0.0.1:8001\n")
    environ = {**DEVELOPMENT, "COMBINE_HEALTH_BACKGROUND": "false", "PORT": "8123"}
    shown = rows(check_all({"combine_health.details": "never"}, path, environ, WITH_HEALTH))
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


def test_values_of_the_env_file_are_passed_on(tmp_path):
    (tmp_path / ".env").write_text(
        "COMBINE_HEALTH_DETAILS=never\nCOMBINE_HEALTH_BACKGROUND=false\n"
    )
    environ = {**DEVELOPMENT, "COMBINE_HEALTH_BACKGROUND": "true"}
    outcome = check_all({}, tmp_path / "x.ini", environ, WITH_HEALTH)
    assert outcome.loaded.overlay["combine_health.details"] == "never"
    assert "combine_health.background" not in outcome.loaded.overlay
    assert rows(outcome)["COMBINE_HEALTH_DETAILS"].source == ".env"
    assert rows(outcome)["COMBINE_HEALTH_BACKGROUND"].source == "environment"
    health = combine_health.settings.read_settings(outcome.loaded.overlay, environ)
    assert (health.details, health.background) == ("never", True)


def test_the_env_file_configures_single_checks_and_groups(tmp_path):
    (tmp_path / ".env").write_text(
        "COMBINE_HEALTH_CHECK_DATABASE_TIMEOUT=7\nCOMBINE_HEALTH_CHECK_QUEUE_A_FALL=0\n"
        "COMBINE_HEALTH_CHECK_SPACE_USE=disk\nCOMBINE_HEALTH_CHECK_SPACE_PATH=/srv\n"
        "COMBINE_HEALTH_GROUP_STORAGE=space\n"
    )
    ini = {"combine_health.check.queue-a.fall": "2"}
    outcome = check_all(ini, tmp_path / "x.ini", DEVELOPMENT, WITH_HEALTH)
    assert {str(one) for one in outcome.problems} == {
        "COMBINE_HEALTH_CHECK_QUEUE_A_FALL has an unusable value: write a whole number above 0"
    }
    assert rows(outcome)["COMBINE_HEALTH_CHECK_DATABASE_TIMEOUT"].source == ".env"
    overlay = outcome.loaded.overlay
    del overlay["combine_health.resolved"], overlay["combine_health.check.queue-a.fall"]
    health = combine_health.settings.read_settings(overlay, {})
    assert health.overrides[("DATABASE", "timeout")] == 7
    assert health.built_in["space"] == {"use": "disk", "path": "/srv"}
    assert health.groups == {"storage": ("space",)}


def test_its_settings_are_resolved_once():
    outcome = check_all({}, None, {**DEVELOPMENT, "COMBINE_HEALTH_DETAILS": "never"}, WITH_HEALTH)
    # The add-on uses the values in the table and does not read the environment again.
    later = {"COMBINE_HEALTH_DETAILS": "always"}
    health = combine_health.settings.read_settings(outcome.loaded.overlay, later)
    assert health.details == "never"


def test_its_problems_are_reported_with_the_others():
    ini = {"combine_health.details": "canary", "combine_health.detials": "local"}
    outcome = check_all(ini, None, {"ENVIRONMENT": "test"}, WITH_HEALTH)
    assert [(p.variable, p.fault) for p in outcome.problems] == [
        ("DATABASE_URL", "is not set"),
        ("COMBINE_HEALTH_DETAILS", "has an unusable value"),
        ("combine_health.detials", "is not a setting"),
    ]
    assert "write one of never, local" in outcome.problems[1].remedy
    assert "canary" not in str(outcome.problems)
    assert rows(outcome)["COMBINE_HEALTH_DETAILS"].value_shown == "(unusable)"


@pytest.mark.parametrize(
    ("variable", "declared"),
    [
        ("COMBINE_OTHER_DOOR", {"secret": True}),
        # This add-on does not declare its secrets.
        ("COMBINE_OTHER_TOKEN", {}),
        ("COMBINE_OTHER_API_KEY", {}),
    ],
)
def test_a_secret_of_such_an_add_on_is_masked(variable, declared):
    one = SimpleNamespace(
        name=variable.lower().replace("other_", "other."),
        variable=variable,
        type="text",
        default=None,
        help="Opens the door.",
        section="app:main",
        **declared,
    )
    module = SimpleNamespace(
        declared=lambda: [one],
        resolve=lambda ini, environ, server: [
            SimpleNamespace(
                declared=one, value=environ[variable], source="environment", problem=None
            )
        ],
    )
    used = Installed((CoreSettings,), {"combine_other": module})
    row = rows(check_all({}, None, {**DEVELOPMENT, variable: "canary"}, used))[variable]
    assert (row.value_shown, row.secret) == ("********", True)


@pytest.fixture
def broken_add_ons(tmp_path, monkeypatch):
    """Installed distributions whose settings cannot be loaded, each for another reason."""
    for name, code in (
        ("combine_lacking", "import a_missing_package"),
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
def test_a_broken_add_on_affects_only_applications_that_include_it():
    assert check_all({}, None, DEVELOPMENT).problems == ()
    ini = {"pyramid.includes": "combine_core combine_lacking combine_faulty combine_wrong"}
    found = {
        p.variable: f"{p.fault}: {p.remedy}" for p in check_all(ini, None, DEVELOPMENT).problems
    }
    assert "a_missing_package" in found["combine_lacking"]
    assert "install combine_lacking with all its dependencies" in found["combine_lacking"]
    assert "RuntimeError" in found["combine_faulty"]
    assert "declares no settings" in found["combine_wrong"]
    assert "canary" not in str(found)


def test_keys_of_each_check_are_known():
    ini = {"combine_health.check.redis.timeout": "2", "combine_health.check.a.b.interval": "2"}
    assert check_all(ini, None, DEVELOPMENT, WITH_HEALTH).problems == ()
    (problem,) = check_all(
        {"combine_health.check.redis.tiemout": "2"}, None, DEVELOPMENT, WITH_HEALTH
    ).problems
    assert problem.fault == "is not a setting"


def test_the_add_ons_of_an_ini_file_are_found():
    ini = {"pyramid.includes": "combine_health\ncombine_core combine_core.health\n combine_auth"}
    assert included(ini) == {"combine_health", "combine_core", "combine_auth"}
    assert included({}) == {"combine_core"}
    assert list(installed().only(included({})).modules) == []


def problems(ini, used=WITH_AUTH):
    return [
        (p.variable, p.fault, p.remedy) for p in check_all(ini, None, DEVELOPMENT, used).problems
    ]


def warnings(environ=None, ini=None, path=None):
    outcome = check_all(ini or {}, path, {**DEVELOPMENT, **(environ or {})}, WITH_AUTH)
    return [(w.variable, w.remedy) for w in outcome.warnings]


@pytest.mark.parametrize(
    ("key", "right"),
    [
        ("combine_core.pool_szie", "combine_core.db_pool_size"),
        ("combine_core.DATABASE_URL", "combine_core.database_url"),
        ("combine_core.database-url", "combine_core.database_url"),
        ("combine_auth.local_signin", "combine_auth.local_sign_in"),
    ],
)
def test_a_misspelt_key_is_an_error_with_the_right_name(key, right):
    if key == "combine_core.DATABASE_URL":
        assert problems({key: "x"})[0][:2] == (key, "is not a setting")
        return
    assert problems({key: "canary"}) == [(key, "is not a setting", f"write {right}, or remove it")]


def test_an_unknown_key_is_an_error():
    assert problems({"combine_core.xyzzy": "1"}) == [
        ("combine_core.xyzzy", "is not a setting", "remove it")
    ]


def test_a_misspelt_add_on_is_an_error():
    assert problems({"combine_croe.log_level": "info"}) == [
        ("combine_croe.log_level", "does not belong to any add-on", "write combine_core.log_level")
    ]


@pytest.mark.parametrize(
    "key",
    ["combine_core_mail.host", "pyramid.reload_templates", "sqlalchemy.url", "use", "tm.attempts"],
)
def test_keys_of_other_packages_are_ignored(key):
    assert problems({key: "1"}) == []


def test_keys_of_an_add_on_that_is_not_included_are_ignored():
    assert problems({"combine_auth.local_sign_in": "true"}, Installed((CoreSettings,), {})) == []
    assert problems({"combine_auth.xyzzy": "true"}, Installed((CoreSettings,), {})) == []


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ("database_url", "write combine_core.database_url"),
        ("SECRET_KEY", "write combine_core.secret_key"),
        ("google_client_id", "write combine_auth.google_client_id"),
    ],
)
def test_a_key_without_its_prefix_causes_a_warning(key, remedy):
    assert warnings(ini={key: "canary"}) == [(key, remedy)]


@pytest.mark.parametrize(
    ("variable", "remedy"),
    [
        ("COMBINE_CORE_DB_POOL_SZIE", "write COMBINE_CORE_DB_POOL_SIZE, or remove it"),
        ("COMBINE_LOCAL_SIGN_IN", "write COMBINE_AUTH_LOCAL_SIGN_IN, or remove it"),
        ("COMBINE_XYZZY", "remove it"),
    ],
)
def test_an_unknown_variable_with_our_prefix_causes_a_warning(variable, remedy):
    assert warnings({variable: "canary"}) == [(variable, remedy)]


@pytest.mark.parametrize(
    "variable", ["COMBINE_CORE_WORKER", "COMBINE_INI", "PORT", "PATH", "MY_COMBINE"]
)
def test_other_variables_cause_no_warning(variable):
    assert warnings({variable: "1"}) == []


@pytest.mark.parametrize("service", ["COMBINE", "COMBINE_CORE", "COMBINE_WEB"])
def test_variables_of_kubernetes_cause_no_warning(service):
    """Every pod in the namespace of a Service called combine has these variables."""
    injected = {
        f"{service}_SERVICE_HOST": "10.96.7.1",
        f"{service}_SERVICE_PORT": "8000",
        f"{service}_SERVICE_PORT_HTTP": "8000",
        f"{service}_PORT": "tcp://10.96.7.1:8000",
        f"{service}_PORT_8000_TCP": "tcp://10.96.7.1:8000",
        f"{service}_PORT_8000_TCP_ADDR": "10.96.7.1",
        f"{service}_PORT_8000_TCP_PORT": "8000",
        f"{service}_PORT_8000_TCP_PROTO": "tcp",
    }
    assert warnings(injected) == []
    assert [name for name, _ in warnings({f"{service}_PORT": "8000"})] == [f"{service}_PORT"]


def test_variables_of_installed_add_ons_are_known():
    assert warnings({"COMBINE_HEALTH_DETAILS": "never"}) == []
    assert warnings({"COMBINE_HEALTH_CHECK_REDIS_TIMEOUT": "1"}) == []


def test_misspelt_variables_in_the_env_file_are_reported(tmp_path):
    (tmp_path / ".env").write_text(
        "SECERT_KEY=canary\nPOSTGRES_PASSWORD=canary\nCOMPOSE_PROJECT_NAME=x\nCOMBINE_FOO=1\n"
        "SECRET_KEY:x=canary\n"
    )
    assert warnings(path=tmp_path / "x.ini") == [
        ("COMBINE_FOO", "remove it"),
        ("SECERT_KEY", "write SECRET_KEY, or remove it"),
    ]
