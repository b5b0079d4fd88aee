"""Misspelt names: an ini key stops the start, a variable is named in a warning."""

import pytest

from combine_auth.settings import AuthSettings
from combine_core.settings import AddonSettings, CoreSettings, judge_all, setting
from combine_core.settings.addons import Installed

USED = Installed((CoreSettings, AuthSettings), {})
DEVELOPMENT = {"ENVIRONMENT": "development"}


def problems(ini, used=USED):
    return [
        (p.variable, p.what, p.remedy) for p in judge_all(ini, None, DEVELOPMENT, used).problems
    ]


def warnings(environ=None, ini=None, path=None):
    outcome = judge_all(ini or {}, path, {**DEVELOPMENT, **(environ or {})}, USED)
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
def test_a_misspelt_key_stops_the_start_with_the_right_name(key, right):
    if key == "combine_core.DATABASE_URL":
        assert problems({key: "x"})[0][:2] == (key, "is no setting")
        return
    assert problems({key: "canary"}) == [(key, "is no setting", f"write {right}, or remove it")]


def test_a_key_that_resembles_none():
    assert problems({"combine_core.xyzzy": "1"}) == [
        ("combine_core.xyzzy", "is no setting", "remove it")
    ]


def test_a_misspelt_add_on():
    assert problems({"combine_croe.log_level": "info"}) == [
        ("combine_croe.log_level", "belongs to no add-on", "write combine_core.log_level")
    ]


@pytest.mark.parametrize(
    "key",
    ["combine_core_mail.host", "pyramid.reload_templates", "sqlalchemy.url", "use", "tm.attempts"],
)
def test_keys_of_others_are_theirs(key):
    assert problems({key: "1"}) == []


def test_keys_of_an_add_on_that_is_not_included_do_no_harm():
    assert problems({"combine_auth.local_sign_in": "true"}, Installed((CoreSettings,), {})) == []
    assert problems({"combine_auth.xyzzy": "true"}, Installed((CoreSettings,), {})) == []


class OpenSettings(AddonSettings):
    """An add-on with keys that it reads itself."""

    addon = "combine_open"
    further_keys = (r"[a-z]+\.issuer",)
    names: str = setting("", help="Names.")


def test_an_add_on_may_have_further_keys():
    used = Installed((CoreSettings, OpenSettings), {})
    assert problems({"combine_open.okta.issuer": "x"}, used) == []
    assert problems({"combine_open.okta.isuer": "x"}, used)[0][1] == "is no setting"


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ("database_url", "write combine_core.database_url"),
        ("SECRET_KEY", "write combine_core.secret_key"),
        ("google_client_id", "write combine_auth.google_client_id"),
    ],
)
def test_a_key_without_its_prefix_has_no_effect_and_that_is_said(key, remedy):
    assert warnings(ini={key: "canary"}) == [(key, remedy)]


@pytest.mark.parametrize(
    ("variable", "remedy"),
    [
        ("COMBINE_CORE_DB_POOL_SZIE", "write COMBINE_CORE_DB_POOL_SIZE, or remove it"),
        ("COMBINE_LOCAL_SIGN_IN", "write COMBINE_AUTH_LOCAL_SIGN_IN, or remove it"),
        ("COMBINE_XYZZY", "remove it"),
    ],
)
def test_a_variable_that_begins_like_ours_and_is_none(variable, remedy):
    assert warnings({variable: "canary"}) == [(variable, remedy)]


@pytest.mark.parametrize(
    "variable", ["COMBINE_CORE_WORKER", "COMBINE_INI", "PORT", "PATH", "MY_COMBINE"]
)
def test_other_variables_are_not_worth_a_word(variable):
    assert warnings({variable: "1"}) == []


def test_variables_of_guests_that_are_installed_are_known():
    assert warnings({"COMBINE_HEALTH_DETAILS": "never"}) == []
    assert warnings({"COMBINE_HEALTH_CHECK_REDIS_TIMEOUT": "1"}) == []


def test_in_the_env_file_near_misses_are_named_too(tmp_path):
    (tmp_path / ".env").write_text(
        "SECERT_KEY=canary\nPOSTGRES_PASSWORD=canary\nCOMPOSE_PROJECT_NAME=x\nCOMBINE_FOO=1\n"
        "SECRET_KEY:x=canary\n"
    )
    assert warnings(path=tmp_path / "x.ini") == [
        ("COMBINE_FOO", "remove it"),
        ("SECERT_KEY", "write SECRET_KEY, or remove it"),
    ]
