"""Tests config.add_addon_settings: one instance per application, with an introspectable."""

import pytest
from pyramid.config import Configurator

from combine_auth.settings import AuthSettings
from combine_core.settings import (
    SETTINGS_KEY,
    ConfigurationEnvironmentError,
    CoreSettings,
    load_all,
    settings_of,
)

ENVIRON = {"ENVIRONMENT": "development", "ANTHROPIC_API_KEY": "sk-ant-canary"}


def configurator(**settings):
    config = Configurator(settings=settings)
    config.include("combine_core.settings")
    return config


def test_settings_loaded_by_the_application_are_used():
    loaded = load_all({}, None, ENVIRON, [CoreSettings, AuthSettings])
    config = configurator(**{SETTINGS_KEY: loaded})
    assert config.add_addon_settings(CoreSettings) is loaded.get(CoreSettings)
    config.include(lambda inner: inner.add_addon_settings(AuthSettings))
    assert settings_of(config.registry, AuthSettings) is loaded.get(AuthSettings)


def test_an_add_on_alone_loads_its_own(monkeypatch):
    monkeypatch.setenv("COMBINE_AUTH_LOCAL_SIGN_IN", "true")
    config = configurator(**{"combine_core.environment": "development"})
    settings = config.add_addon_settings(AuthSettings)
    assert settings.local_sign_in is True
    assert config.add_addon_settings(AuthSettings) is settings
    with pytest.raises(LookupError):
        settings_of(config.registry, CoreSettings)
    assert config.add_addon_settings(CoreSettings).is_development
    assert settings_of(config.registry, AuthSettings) is settings


def test_an_invalid_add_on_reports_only_its_problems(monkeypatch):
    monkeypatch.setenv("COMBINE_AUTH_LOCAL_SIGN_IN", "true")
    config = configurator(**{"combine_core.environment": "production"})
    with pytest.raises(ConfigurationEnvironmentError) as raised:
        config.add_addon_settings(AuthSettings)
    assert [p.variable for p in raised.value.problems] == ["COMBINE_AUTH_LOCAL_SIGN_IN"]


def test_two_applications_in_one_process_are_independent():
    one, two = (
        configurator(**{"combine_core.environment": "development", "combine_core.db_pool_size": n})
        for n in ("3", "4")
    )
    assert one.add_addon_settings(CoreSettings).db_pool_size == 3
    assert two.add_addon_settings(CoreSettings).db_pool_size == 4


def test_a_repeated_directive_is_not_a_conflict():
    config = configurator(**{SETTINGS_KEY: load_all({}, None, ENVIRON, [CoreSettings])})
    config.include(lambda inner: inner.add_addon_settings(CoreSettings))
    config.include("combine_core.settings")
    config.add_addon_settings(CoreSettings)
    config.commit()
    (entry,) = config.introspector.get_category("combine settings")
    shown = dict(entry["introspectable"])
    assert shown["ENVIRONMENT"] == "development (environment)"
    assert shown["ANTHROPIC_API_KEY"] == "******** (environment)"


def test_settings_need_the_include():
    with pytest.raises(LookupError, match="not loaded yet"):
        settings_of(Configurator().registry, CoreSettings)
