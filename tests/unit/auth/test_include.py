"""Tests including the add-on."""

import sys

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationConflictError, ConfigurationError
from pyramid.interfaces import ISecurityPolicy

from combine_auth.security import SecurityPolicy

INI = {
    "combine_core.environment": "test",
    # Nothing listens on this port, because including must not connect.
    "combine_core.database_url": "postgresql://nobody:nothing@127.0.0.1:1/away",
}


@pytest.mark.parametrize("missing", ["sqlalchemy", "zope.sqlalchemy", "authlib"])
def test_missing_extra_is_named(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigurationError) as raised:
        Configurator(settings=dict(INI)).include("combine_auth")
    assert f"needs {missing}." in str(raised.value)
    assert "pip install '.[auth]' in the checkout" in str(raised.value)


def test_include_connects_to_nothing_and_sets_the_policy():
    config = Configurator(settings=dict(INI))
    config.include("combine_auth")
    config.commit()
    assert isinstance(config.registry.getUtility(ISecurityPolicy), SecurityPolicy)


def test_including_twice_is_harmless():
    config = Configurator(settings=dict(INI))
    config.include("combine_auth")
    config.include("combine_auth")
    config.commit()


def test_the_application_may_bring_its_own_policy():
    class Own:
        pass

    with Configurator(settings=dict(INI)) as config:
        config.include("combine_auth")
        config.set_security_policy(Own())
    assert isinstance(config.registry.getUtility(ISecurityPolicy), Own)


def test_another_add_on_with_a_policy_is_a_conflict():
    def other(config):
        config.set_security_policy(object())

    config = Configurator(settings=dict(INI))
    config.include("combine_auth")
    config.include(other)
    with pytest.raises(ConfigurationConflictError, match="ISecurityPolicy"):
        config.commit()


def test_origins_of_the_application_stay_trusted():
    config = Configurator(settings={**INI, "pyramid.csrf_trusted_origins": "a.example b.example"})
    config.include("combine_auth")
    trusted = config.registry.settings["pyramid.csrf_trusted_origins"]
    assert trusted == ["a.example", "b.example", "localhost:8000"]
