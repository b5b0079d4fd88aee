"""Tests settings: the environment wins over the ini file and the default; misspelt ones are errors."""

import pytest

from combine_health import HealthEnvironmentError
from combine_health.settings import (
    declared,
    read_settings,
    resolve,
    verify_names,
)


def test_defaults():
    settings = read_settings({}, {})
    assert settings.details == "local"
    assert settings.background is True
    assert settings.disabled == ()
    assert settings.load_entry_points is True


def test_settings_are_read_from_the_ini_file():
    settings = read_settings(
        {
            "combine_health.details": "Never",
            "combine_health.background": "false",
            "combine_health.disabled": "redis, queue\n smtp",
            "other.key": "x",
        },
        {},
    )
    assert (settings.details, settings.background) == ("never", False)
    assert settings.disabled == ("redis", "queue", "smtp")


def test_settings_given_in_python():
    settings = read_settings(
        {"combine_health.background": False, "combine_health.disabled": ["a", "b"]}, {}
    )
    assert settings.background is False
    assert settings.disabled == ("a", "b")


def test_the_environment_wins_unless_it_is_empty():
    ini = {"combine_health.details": "never"}
    assert read_settings(ini, {"COMBINE_HEALTH_DETAILS": "always"}).details == "always"
    assert read_settings(ini, {"COMBINE_HEALTH_DETAILS": ""}).details == "never"


def test_the_shown_environment_is_that_of_the_deployment():
    assert read_settings({}, {"ENVIRONMENT": "staging"}).environment == "staging"
    both = {"ENVIRONMENT": "staging", "COMBINE_HEALTH_ENVIRONMENT": "blue"}
    assert read_settings({}, both).environment == "blue"


def test_one_check_can_be_overridden():
    settings = read_settings(
        {
            "combine_health.check.my-redis.timeout": "0.5",
            "combine_health.check.my-redis.critical": "no",
            "combine_health.check.my-redis.fall": "3",
        },
        {"COMBINE_HEALTH_CHECK_MY_REDIS_FALL": "4", "COMBINE_HEALTH_CHECK_OTHER_INTERVAL": "9"},
    )
    assert settings.overrides_of("my-redis") == {"timeout": 0.5, "critical": False, "fall": 4}
    assert settings.overrides_of("other") == {"interval": 9.0}
    assert settings.overrides_of("third") == {}


def test_all_problems_are_named_together():
    with pytest.raises(HealthEnvironmentError) as caught:
        read_settings(
            {
                "combine_health.detials": "never",
                "combine_health.background": "perhaps",
                "combine_health.check.redis.timeuot": "1",
                "combine_health.check.redis.fall": "many",
            },
            {"COMBINE_HEALTH_DETAILS": "everyone", "COMBINE_HEALTH_BACKGRUND": "1"},
        )
    said = str(caught.value)
    assert "combine_health.detials is not a setting; did you mean combine_health.details?" in said
    assert "combine_health.background is 'perhaps': write true or false" in said
    assert "combine_health.check.redis.timeuot is not a setting" in said
    assert "combine_health.check.redis.fall is 'many': write a whole number" in said
    assert "COMBINE_HEALTH_DETAILS is 'everyone': write one of never, local" in said
    assert (
        "COMBINE_HEALTH_BACKGRUND is not a setting; did you mean COMBINE_HEALTH_BACKGROUND?" in said
    )
    assert "EnvironmentError" in type(caught.value).__name__


def test_variables_of_kubernetes_are_ignored():
    verify_names(
        {},
        (),
        {
            "COMBINE_HEALTH_SERVICE_HOST": "10.0.0.1",
            "COMBINE_HEALTH_SERVICE_PORT_HTTP": "80",
            "COMBINE_HEALTH_PORT": "tcp://10.0.0.1:80",
            "COMBINE_HEALTH_PORT_80_TCP_ADDR": "10.0.0.1",
        },
    )


def test_the_table_lists_all_settings():
    rows = {one.name: one for one in declared()}
    assert rows["combine_health.details"].variable == "COMBINE_HEALTH_DETAILS"
    assert rows["combine_health.check.NAME.timeout"].variable == (
        "COMBINE_HEALTH_CHECK_NAME_TIMEOUT"
    )
    assert (rows["port"].variable, rows["port"].section) == ("PORT", "server:main")
    assert all(one.help.endswith(".") and one.type for one in rows.values())


def test_values_are_resolved_with_their_source():
    rows = {
        row.declared.name: (row.value, row.source)
        for row in resolve(
            {"combine_health.disabled": "a", "combine_health.check.b.rise": "2"},
            {"COMBINE_HEALTH_DETAILS": "always", "PORT": "8123"},
            {"listen": "0.0.0.0:80", "port": "80"},
        )
    }
    assert rows["combine_health.details"] == ("always", "environment")
    assert rows["combine_health.disabled"] == (("a",), "ini")
    assert rows["combine_health.background"] == (True, "default")
    assert rows["combine_health.check.b.rise"] == (2, "ini")
    assert rows["port"] == ("8123", "environment")
    assert rows["listen"] == ("0.0.0.0:80", "ini")


def test_an_invalid_value_is_a_row_with_a_problem():
    rows = resolve({"combine_health.background": "perhaps"}, {})
    (row,) = [row for row in rows if row.problem]
    assert (row.declared.name, row.value, row.source) == ("combine_health.background", True, "ini")


TOKEN = "c4n4ry-t0k3n-0123456789"


def test_the_token_is_a_secret():
    settings = read_settings({}, {"COMBINE_HEALTH_TOKEN": f" {TOKEN} "})
    assert settings.token.reveal() == TOKEN
    assert settings.token.matches(TOKEN)
    for wrong in ("", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\udcff", "é"):
        assert not settings.token.matches(wrong)
    assert f"{settings.token} {settings.token!r}" == "******** ********"
    assert TOKEN not in repr(settings)
    (row,) = [row for row in resolve({"combine_health.token": TOKEN}, {}) if row.declared.secret]
    assert TOKEN not in repr(row)


@pytest.mark.parametrize(
    "value", ["changeme", "x" * 15, "with a space in it", "é" * 20, "a\n" * 10]
)
def test_a_weak_token_is_rejected_and_not_printed(value):
    with pytest.raises(HealthEnvironmentError) as caught:
        read_settings({"combine_health.token": value}, {})
    assert "combine_health.token is ********: write" in str(caught.value)
    assert value not in str(caught.value)


def test_the_remedy_for_a_token_of_one_letter_is_shown():
    with pytest.raises(HealthEnvironmentError, match="write at least 16 random letters and digits"):
        read_settings({}, {"COMBINE_HEALTH_TOKEN": "a"})


def test_an_empty_value_counts_as_not_set():
    settings = read_settings(
        {"combine_health.token": "", "combine_health.maintenance_file": " "}, {}
    )
    assert settings.token is None
    assert settings.maintenance_path.name == "combine-health-maintenance.json"


def test_the_maintenance_file_can_be_set():
    ini = {"combine_health.maintenance_file": "/srv/shared/off.json"}
    assert str(read_settings(ini, {}).maintenance_path) == "/srv/shared/off.json"
    for odd in ("off.json", "./off.json", "/a\0b"):
        with pytest.raises(HealthEnvironmentError, match="write an absolute path"):
            read_settings({"combine_health.maintenance_file": odd}, {})


def test_groups_are_parsed():
    settings = read_settings(
        {"combine_health.group.web": "database, cache", "combine_health.group.my-jobs": "worker"},
        {"COMBINE_HEALTH_GROUP_MY_JOBS": "queue", "COMBINE_HEALTH_GROUP_MAIL": "smtp smtp"},
    )
    assert settings.groups == {
        "web": ("database", "cache"),
        "my-jobs": ("queue",),
        "mail": ("smtp",),
    }


def test_an_invalid_group_name_is_rejected():
    with pytest.raises(HealthEnvironmentError, match=r"group\.Odd Name is not a setting"):
        verify_names({"combine_health.group.Odd Name": "a"}, (), {})


@pytest.mark.parametrize("name", ["saturated_after", "stuck_after"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon"])
def test_invalid_limits_are_rejected(name, value):
    with pytest.raises(HealthEnvironmentError, match=f"{name} is '{value}': write a number"):
        read_settings({f"combine_health.{name}": value}, {})
