"""Tests which providers an application offers or hides, and the messages for its operator."""

import logging
import sys

import pytest
from pydantic import SecretStr
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError

from combine_auth.health import sign_in
from combine_auth.openid import IdentityProvider, identity_providers, redirect_uri
from combine_auth.openid.identity_provider import MICROSOFT, discovery_url, with_issuer
from combine_auth.settings import AuthSettings
from combine_core.settings import SETTINGS_KEY, CoreSettings, load_all
from tests.oidc_issuer import TENANT, Fault, LyingIssuer

SOUND = {
    "ENVIRONMENT": "production",
    "DATABASE_URL": "postgresql://combine:in-the-vault-7@db:5432/combine",
    "SECRET_KEY": "0f8a51c9d3b7e2460f8a51c9d3b7e246aa",
    "PUBLIC_URL": "https://combine.example.com",
}
GOOGLE = {"GOOGLE_CLIENT_ID": "4711.apps", "GOOGLE_CLIENT_SECRET": "canary-of-google"}
MICROSOFT_SET = {"MICROSOFT_CLIENT_ID": "0815", "MICROSOFT_CLIENT_SECRET": "canary-of-microsoft"}


def application(environ=None, ini=None):
    """Return the registry of an application with these settings."""
    environ = {**SOUND, **(environ or {})}
    loaded = load_all(ini or {}, None, environ, [CoreSettings, AuthSettings])
    with Configurator(settings={**(ini or {}), SETTINGS_KEY: loaded}) as config:
        config.include("combine_core.settings")
        config.add_addon_settings(CoreSettings)
        config.include("combine_auth.openid")
    return config.registry


def messages(caplog, level):
    return [r.getMessage() for r in caplog.records if r.levelno == level]


def test_redirect_uris():
    assert redirect_uri("https://combine.example.com", "google") == (
        "https://combine.example.com/auth/google/callback"
    )


def test_no_provider_is_offered_without_settings(caplog):
    caplog.set_level(logging.INFO)
    providers = identity_providers(application())
    assert providers.clients == {}
    assert set(providers.hidden) == {"google", "microsoft"}
    assert messages(caplog, logging.WARNING) == []
    (line,) = messages(caplog, logging.INFO)
    assert "GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET are not set" in line


def test_configured_providers_are_offered(caplog):
    caplog.set_level(logging.WARNING)
    environ = {**GOOGLE, **MICROSOFT_SET, "AUTH_PROVIDERS": "microsoft google"}
    providers = identity_providers(application(environ))
    assert list(providers.clients) == ["microsoft", "google"]
    assert providers.hidden == {}
    assert messages(caplog, logging.WARNING) == []
    google = providers.clients["google"].provider
    assert google.discovery_url == "https://accounts.google.com/.well-known/openid-configuration"
    assert google.other_issuers == ("accounts.google.com",)
    assert google.title == "Google"
    assert "canary" not in repr(providers)
    assert "canary" not in repr(google)


@pytest.mark.parametrize("environment", ["development", "test", "staging", "production"])
def test_one_warning_names_all_hidden_providers(caplog, environment):
    caplog.set_level(logging.INFO)
    environ = {
        "ENVIRONMENT": environment,
        "AUTH_PROVIDERS": "google microsoft okta gitlab",
        "GOOGLE_CLIENT_ID": "4711.apps",
        "GOOGLE_CLIENT_SECRET": "'canary'",
        "MICROSOFT_CLIENT_ID": "0815",
        "OKTA_CLIENT_ID": "0oa",
        "OKTA_CLIENT_SECRET": "canary",
    }
    providers = identity_providers(application(environ))
    assert providers.clients == {}
    (line,) = messages(caplog, logging.WARNING)
    for part in (
        "google (GOOGLE_CLIENT_SECRET is still in quotes: write",
        "microsoft (MICROSOFT_CLIENT_SECRET is not set, although MICROSOFT_CLIENT_ID is: set",
        "okta (OKTA_ISSUER is not set",
        "gitlab (GITLAB_CLIENT_ID and GITLAB_CLIENT_SECRET are not set",
    ):
        assert part in line
    assert "canary" not in caplog.text
    assert providers.faulty == {"google", "microsoft", "okta", "gitlab"}
    assert providers.hidden["google"].startswith("GOOGLE_CLIENT_SECRET is still in quotes")


def test_any_openid_provider_can_be_added():
    ini = {
        "combine_auth.providers": "google okta",
        "combine_auth.okta.issuer": "https://example.okta.com/oauth2/default",
        "combine_auth.okta.client_id": "0oa",
        "combine_auth.okta.client_secret": "s3cr3t-of-okta",
        "combine_auth.okta.title": "Our Okta",
        "combine_auth.okta.scopes": "openid email",
        "combine_auth.okta.email_domains": "example.com",
    }
    okta = identity_providers(application(ini=ini)).clients["okta"].provider
    assert okta.title == "Our Okta"
    assert okta.scopes == ("openid", "email")
    assert okta.allowed_email_domains == {"example.com"}
    assert okta.discovery_url == (
        "https://example.okta.com/oauth2/default/.well-known/openid-configuration"
    )
    assert (okta.issuer, okta.other_issuers) == ("https://example.okta.com/oauth2/default", ())


def test_the_discovery_address_may_differ_from_the_issuer():
    """Azure B2C: the policy is part of only one of the two addresses."""
    b2c = "https://contoso.b2clogin.com"
    ini = {
        "combine_auth.providers": "b2c",
        "combine_auth.b2c.issuer": f"{b2c}/{TENANT}/v2.0/",
        "combine_auth.b2c.discovery_url": (
            f"{b2c}/contoso.onmicrosoft.com/v2.0/.well-known/openid-configuration?p=b2c_1_sign_in"
        ),
        "combine_auth.b2c.client_id": "0oa",
        "combine_auth.b2c.client_secret": "s3cr3t-of-b2c",
    }
    provider = identity_providers(application(ini=ini)).clients["b2c"].provider
    assert provider.discovery_url == ini["combine_auth.b2c.discovery_url"]
    assert provider.issuer == ini["combine_auth.b2c.issuer"]


ENTRA = "https://login.microsoftonline.com"
PERSONAL = "9188040d-6c67-4c5b-b112-36a304b66dad"


@pytest.mark.parametrize(
    ("tenants", "path"),
    [
        ("", "common"),
        (TENANT, TENANT),
        (PERSONAL, PERSONAL),
        ("organizations", "organizations"),
        (f"{TENANT} 72f988bf-86f1-41af-91ab-2d7cd011db48", "organizations"),
        (f"{TENANT} {PERSONAL}", "common"),
    ],
)
def test_the_metadata_address_of_microsoft(tenants, path):
    environ = {**MICROSOFT_SET, "MICROSOFT_TENANTS": tenants}
    microsoft = identity_providers(application(environ)).clients["microsoft"].provider
    assert microsoft.issuer == f"{ENTRA}/{{tenantid}}/v2.0"
    assert microsoft.discovery_url == f"{ENTRA}/{path}/v2.0/.well-known/openid-configuration"
    assert microsoft.allowed_tenants == set(tenants.split())


def test_the_issuer_of_microsoft_is_accepted_in_various_spellings():
    for written in ("common", "organizations", "consumers", "{tenantid}"):
        provider = with_issuer(MICROSOFT, f"{ENTRA}/{written}/v2.0")
        assert provider.issuer == MICROSOFT.issuer
    assert with_issuer(MICROSOFT, f"{ENTRA}/{TENANT}/v2.0").discovery_url.startswith(
        f"{ENTRA}/{TENANT}/"
    )
    assert discovery_url("https://x.auth0.com/") == (
        "https://x.auth0.com/.well-known/openid-configuration"
    )


def test_one_hosted_domain_is_sent_to_google_as_a_hint():
    environ = {**GOOGLE, "GOOGLE_HOSTED_DOMAINS": "example.com"}
    google = identity_providers(application(environ)).clients["google"].provider
    assert google.allowed_hosted_domains == {"example.com"}
    assert google.extra_parameters == {"prompt": "select_account", "hd": "example.com"}


@pytest.mark.parametrize(
    "members",
    [
        {"name": "Acme"},
        {"name": "a-b"},
        {"algorithms": ("HS256",)},
        {"algorithms": ("RS256", "none")},
        {"algorithms": ()},
        {"scopes": ("email",)},
    ],
)
def test_invalid_providers_are_rejected(members):
    given = {"name": "acme", "title": "A", "issuer": "https://a", "discovery_url": "https://a/x"}
    with pytest.raises(ValueError):
        IdentityProvider(**{**given, **members})


PLUGIN = """
from pydantic import SecretStr
from combine_auth.oidc import Provider, hookimpl

def provider(**more):
    return Provider(
        title="Acme", issuer="https://id.acme.example", console="Acme's page",
        discovery_url="https://id.acme.example/.well-known/openid-configuration",
        **more,
    )

@hookimpl
def combine_auth_register_providers(register, settings):
"""
PLUGINS = {
    "acme": '    register(provider(name="acme"))',
    "ready": '    register(provider(name="ready", client_id="1", client_secret=SecretStr("xyz")))',
    "breaks": '    register(provider(name="half"))\n    raise RuntimeError("broken")',
    "usurps": '    register(provider(name="google", client_id="1"))',
    "wrong": '    register("acme")',
}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """``install("acme")``: install a distribution with this plugin."""

    def install(*names, code=None):
        for name in names:
            module = f"sign_in_plugin_{name}"
            (tmp_path / f"{module}.py").write_text(code or PLUGIN + PLUGINS[name] + "\n")
            info = tmp_path / f"{module}-1.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
            points = f"[combine.auth_providers]\n{name} = {module}\n"
            (info / "entry_points.txt").write_text(points)
        monkeypatch.syspath_prepend(tmp_path)

    yield install
    for name in [one for one in sys.modules if one.startswith("sign_in_plugin_")]:
        del sys.modules[name]


def test_plugins_add_providers(install):
    install("acme", "ready")
    environ = {
        **GOOGLE,
        "AUTH_PROVIDERS": "acme google",
        "ACME_CLIENT_ID": "77",
        "ACME_CLIENT_SECRET": "of-acme",
    }
    providers = identity_providers(application(environ))
    assert list(providers.clients) == ["acme", "google", "ready"]
    acme = providers.clients["acme"].provider
    assert (acme.client_id, acme.client_secret) == ("77", SecretStr("of-acme"))
    assert acme.console == "Acme's page"
    assert "acme" not in identity_providers(application()).clients
    only = application(ini={"combine_auth.disabled_provider_plugins": "ready"})
    assert list(identity_providers(only).clients) == []


def test_a_broken_plugin_hides_no_other(install, caplog):
    install("acme", "ready", "breaks", "usurps", "wrong")
    install("unloadable", code="import a_package_that_nobody_has")
    providers = identity_providers(application(GOOGLE))
    assert list(providers.clients) == ["google", "ready"]
    assert providers.clients["google"].provider.issuer == "https://accounts.google.com"
    lines = messages(caplog, logging.ERROR)
    assert len(lines) == 4
    for name in ("breaks", "usurps", "wrong", "unloadable"):
        assert any(f"plugin {name} " in line for line in lines)


def test_a_misspelt_hook_is_an_error_at_startup(install):
    code = PLUGIN.replace("register_providers", "register_provider") + "    pass\n"
    install("acme", code=code)
    with pytest.raises(ConfigurationError, match="sign-in plugin acme"):
        application()


# The health check.


def test_health_reports_providers():
    with LyingIssuer() as google, LyingIssuer(tenant=TENANT) as microsoft:
        environ = {
            "ENVIRONMENT": "test",
            **google.environment(),
            **microsoft.environment(),
        }
        registry = application(environ)
        for _ in range(20):
            found = sign_in(registry)
        assert found.status == "healthy"
        assert found.detail == "people sign in with Google or Microsoft"
        assert found.data["google"]["redirect_uri"] == (
            "https://combine.example.com/auth/google/callback"
        )
        assert found.data["google"]["client_id"] == google.client_id
        assert found.data["in_allowed_origins"] is True
        assert google.client_secret not in repr(found)
        # Sign-ins and checks share the cached documents.
        client = identity_providers(registry).clients["google"]
        client.authorization_url(redirect_uri="x", state="s", nonce="n", verifier="v" * 43)
        assert google.counts == microsoft.counts == {"discovery": 1}

        client._metadata._clock = lambda: 10**9
        google.faults["discovery"] = Fault(500)
        found = sign_in(registry)
        assert (found.status, found.cause) == ("degraded", "provider_unreachable")
        assert "answered 500" in str(found.detail)
        assert found.data["microsoft"]["state"] == "answers"
        # The provider is not asked again at once, and sign-in continues with the cached document.
        sign_in(registry)
        assert google.counts["discovery"] == 2
        client.authorization_url(redirect_uri="x", state="s", nonce="n", verifier="v" * 43)


def test_health_reports_hidden_providers():
    found = sign_in(application({**GOOGLE, "GOOGLE_CLIENT_SECRET": "changeme"}))
    assert (found.status, found.cause) == ("degraded", "provider_hidden")
    assert "GOOGLE_CLIENT_SECRET still holds a placeholder" in str(found.detail)
    assert found.data["microsoft"]["offered"] is False


def test_health_works_without_providers():
    assert sign_in(application()).cause == "no_provider"
    assert sign_in(application({"ENVIRONMENT": "development"})).status == "healthy"


def test_health_reports_a_missing_origin():
    environ = {"ENVIRONMENT": "development", "ALLOWED_ORIGINS": "https://other.example"}
    assert sign_in(application(environ)).cause == "origin_missing"
