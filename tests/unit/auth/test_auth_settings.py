"""Tests the settings of identity providers: each name in AUTH_PROVIDERS has its own settings."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from combine_auth.settings import AuthSettings
from combine_core.cli.settings import DISTRIBUTION, configuration_page
from combine_core.settings import CoreSettings, check_all
from combine_core.settings.addons import Installed, installed

USED = Installed((CoreSettings, AuthSettings), {})
SOUND = {
    "ENVIRONMENT": "production",
    "DATABASE_URL": "postgresql://combine:in-the-vault-7@db:5432/combine",
    "SECRET_KEY": "0f8a51c9d3b7e2460f8a51c9d3b7e246aa",
    "PUBLIC_URL": "https://combine.example.com",
}
OKTA = {
    "AUTH_PROVIDERS": "google okta",
    "OKTA_ISSUER": "https://example.okta.com/",
    "OKTA_CLIENT_ID": "0oa1",
    "OKTA_CLIENT_SECRET": "s3cr3t-of-okta",
}


def checked(environ=None, ini=None, path=None):
    return check_all(ini or {}, path, {**SOUND, **(environ or {})}, USED)


def auth(environ=None, ini=None, path=None) -> AuthSettings:
    outcome = checked(environ, ini, path)
    assert outcome.problems == outcome.warnings == ()
    return outcome.loaded.get(AuthSettings)


def problems(environ=None, ini=None):
    return [(p.variable, p.fault) for p in checked(environ, ini).problems]


def test_google_and_microsoft_are_named_by_default():
    settings = auth()
    assert settings.auth_providers == ("google", "microsoft")
    assert settings.of_provider("google").client_id is None
    with pytest.raises(LookupError):
        settings.of_provider("okta")


def test_a_provider_may_have_any_name():
    outcome = checked(OKTA)
    assert outcome.problems == outcome.warnings == outcome.faults == ()
    okta = outcome.loaded.get(AuthSettings).of_provider("okta")
    assert (okta.client_id, okta.client_secret) == ("0oa1", SecretStr("s3cr3t-of-okta"))
    # The address stays exactly as written, including the slash.
    assert okta.issuer == "https://example.okta.com/"
    rows = {row.variable: row for row in outcome.loaded.rows()}
    assert rows["OKTA_CLIENT_SECRET"].value_shown == "********"
    assert rows["OKTA_CLIENT_SECRET"].source == "environment"
    assert rows["OKTA_CLIENT_ID"].ini_key == "combine_auth.okta.client_id"
    assert "s3cr3t-of-okta" in outcome.loaded.secrets()


@pytest.mark.parametrize("listing", ["combine_auth.providers", "combine_auth.auth_providers"])
@pytest.mark.parametrize("form", ["combine_auth.okta.{}", "combine_auth.okta_{}"])
def test_a_provider_is_set_in_the_ini_file(listing, form):
    values = {"issuer": "https://example.okta.com", "client_id": "0oa1", "client_secret": "s3cr3t"}
    ini = {listing: "okta", **{form.format(name): value for name, value in values.items()}}
    okta = auth(ini=ini).of_provider("okta")
    assert (okta.issuer, okta.client_id) == ("https://example.okta.com", "0oa1")


@pytest.mark.parametrize(
    "address",
    [
        "http://example.com/.well-known/openid-configuration",
        "http://127.0.0.1/.well-known/openid-configuration",
        "example.com/.well-known/openid-configuration",
        "https://user:word@example.com/",
        "https://example.com/#x",
        "ftp://example.com/",
    ],
)
def test_invalid_discovery_addresses_are_rejected(address):
    ((variable, _),) = problems({**OKTA, "OKTA_DISCOVERY_URL": address})
    assert variable == "OKTA_DISCOVERY_URL"


def test_a_relative_key_file_starts_at_the_ini_file(tmp_path):
    environ = {**OKTA, "OKTA_CLIENT_SECRET": "", "OKTA_CLIENT_KEY_FILE": "keys/okta.pem"}
    settings = auth(environ, path=tmp_path / "production.ini")
    assert settings.of_provider("okta").client_key_file == tmp_path / "keys/okta.pem"


def test_limits_per_address_are_parsed():
    given = {"COMBINE_AUTH_ADDRESS_LIMITS": "sign-in=300, callback=300"}
    assert auth(given).address_limits == ("sign-in=300", "callback=300")
    for wrong in (
        "300",
        "sign-in",
        "sign-in=0",
        "sign-in=-1",
        "sign-in=x",
        "nothing=3",
        "token=1e9",
    ):
        ((variable, what),) = problems({"COMBINE_AUTH_ADDRESS_LIMITS": wrong})
        assert variable == "COMBINE_AUTH_ADDRESS_LIMITS"
        assert "is not a limit" in what


AUTHORITY = Path(__file__).parents[2] / "functional/health/certificates/authority.pem"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_certificate_authorities_are_checked(tmp_path, variable):
    assert auth().ca_file is None
    assert auth({variable: str(AUTHORITY)}).ca_file == AUTHORITY
    assert auth({variable: str(tmp_path)}).ca_file == tmp_path
    no_pem = tmp_path / "authorities.pem"
    no_pem.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")
    for path, what in (
        (tmp_path / "absent.pem", "names a file that cannot be read (No such file or directory)"),
        (no_pem, "names a file without certificates"),
        (AUTHORITY / "x", "names a file that cannot be read (Not a directory)"),
    ):
        # This also applies in development.
        for environment in ("production", "development"):
            given = {variable: str(path), "ENVIRONMENT": environment}
            assert problems(given) == [(variable, what)]


def test_the_variables_of_requests_win():
    both = {"REQUESTS_CA_BUNDLE": str(AUTHORITY), "SSL_CERT_FILE": str(AUTHORITY.parent)}
    assert auth(both).ca_file == AUTHORITY


@pytest.mark.parametrize("name", ["OKTA", "GOOGLE"])
def test_the_algorithms_of_a_provider_are_parsed(name):
    settings = auth({**OKTA, f"{name}_ALGORITHMS": "ES256, PS256 ES256"})
    assert settings.of_provider(name.lower()).algorithms == ("ES256", "PS256")
    for wrong in ("HS256", "none", "es256", "RS256 HS512"):
        ((variable, _),) = problems({**OKTA, f"{name}_ALGORITHMS": wrong})
        assert variable == f"{name}_ALGORITHMS"


def test_a_provider_is_set_in_the_env_file(tmp_path):
    (tmp_path / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in OKTA.items()))
    outcome = checked(path=tmp_path / "production.ini")
    assert outcome.problems == outcome.warnings == outcome.faults == ()
    assert outcome.loaded.get(AuthSettings).of_provider("okta").client_id == "0oa1"
    (row,) = [row for row in outcome.loaded.rows() if row.variable == "OKTA_ISSUER"]
    assert row.source == ".env"


def test_misspelt_keys_of_a_provider_are_an_error():
    ini = {"combine_auth.providers": "okta", "combine_auth.okta.isuer": "https://x.example"}
    (problem,) = checked(ini=ini).problems
    assert problem.remedy == "write combine_auth.okta.issuer, or remove it"


@pytest.mark.parametrize("key", ["combine_auth.okta.issuer", "combine_auth.okta_client_id"])
def test_keys_of_an_unlisted_provider_are_an_error(key):
    (problem,) = checked(ini={key: "https://x.example"}).problems
    assert problem.fault == "belongs to okta, which combine_auth.providers does not name"
    assert problem.remedy == "add okta to combine_auth.providers, or remove it"


def test_misspelt_variables_in_the_env_file_are_reported(tmp_path):
    (tmp_path / ".env").write_text("AUTH_PROVIDERS=okta\nOKTA_CLIENTID=1\n")
    warnings = checked(path=tmp_path / "x.ini").warnings
    assert [(w.variable, w.remedy) for w in warnings] == [
        ("OKTA_CLIENTID", "write OKTA_CLIENT_ID, or remove it")
    ]


def test_errors_of_a_provider_contain_no_value():
    outcome = checked({**OKTA, "OKTA_CLIENT_SECRET": "'canary'"})
    assert [(f.variable, f.fault) for f in outcome.faults] == [
        ("OKTA_CLIENT_SECRET", "is still in quotes")
    ]
    assert "canary" not in str(outcome)
    okta = outcome.loaded.get(AuthSettings).of_provider("okta")
    assert okta.client_secret is None
    assert okta.faults == outcome.faults


@pytest.mark.parametrize("name", ["Okta", "my-okta", "1okta", "local", "o" * 32, "okta.com"])
def test_invalid_names_are_rejected(name):
    (problem,) = checked({"AUTH_PROVIDERS": f"google,{name}"}).problems
    assert problem.fault == "has an entry 2 that cannot be a provider's name"


@pytest.mark.parametrize(
    ("issuer", "environment", "refused"),
    [
        ("http://127.0.0.1:9001", "development", False),
        ("http://localhost:9002/{tenantid}/v2.0", "test", False),
        ("http://[::1]:9001", "test", False),
        ("http://127.0.0.1:9001", "staging", True),
        ("http://127.0.0.1:9001", "production", True),
        ("HTTP://127.0.0.1:9001", "production", True),
        ("http://id.example.com", "development", True),
        ("http://127.0.0.1.example.com", "development", True),
        ("https://id.example.com/realms/x", "production", False),
        ("https://id.example.com/?x=1", "production", True),
        ("https://id.example.com/.well-known/openid-configuration", "production", True),
        ("id.example.com", "production", True),
    ],
)
def test_issuers_are_checked(issuer, environment, refused):
    found = problems({**OKTA, "ENVIRONMENT": environment, "OKTA_ISSUER": issuer})
    assert [variable for variable, _ in found] == (["OKTA_ISSUER"] if refused else [])
    found = problems({"ENVIRONMENT": environment, "GOOGLE_ISSUER": issuer})
    assert [variable for variable, _ in found] == (["GOOGLE_ISSUER"] if refused else [])


def test_lists_are_parsed():
    settings = auth(
        {
            "GOOGLE_HOSTED_DOMAINS": "Example.COM, example.org.",
            "MICROSOFT_TENANTS": "organizations",
            "GOOGLE_EMAIL_DOMAINS": "example.com",
            "ADMIN_SUBJECTS": "accounts.google.com|110 https://a.eu.auth0.com/|auth0|62\n"
            "https://accounts.google.com|110",
            **OKTA,
            "OKTA_EMAIL_DOMAINS": "okta.example",
            "OKTA_SCOPES": "openid email groups",
            "OKTA_TITLE": "Our people's Okta",
        }
    )
    assert settings.google_hosted_domains == ("example.com", "example.org")
    assert settings.microsoft_tenants == ("organizations",)
    assert settings.admin_subjects == (
        "https://accounts.google.com|110",
        "https://a.eu.auth0.com/|auth0|62",
    )
    okta = settings.of_provider("okta")
    assert okta.email_domains == ("okta.example",)
    assert okta.scopes == ("openid", "email", "groups")
    assert okta.title == "Our people's Okta"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GOOGLE_HOSTED_DOMAINS", "@example.com"),
        ("GOOGLE_EMAIL_DOMAINS", "example"),
        ("GOOGLE_EMAIL_DOMAINS", "*.example.com"),
        ("ADMIN_SUBJECTS", "ann@example.com"),
        ("ADMIN_SUBJECTS", "https://accounts.google.com|"),
        ("ADMIN_SUBJECTS", "google|110"),
        ("OKTA_SCOPES", "email profile"),
        ("RATE_LIMIT_STORAGE", "postgresql://db"),
    ],
)
def test_lists_with_invalid_entries_are_rejected(variable, value):
    assert [name for name, _ in problems({**OKTA, variable: value})] == [variable]


def test_the_password_of_a_storage_is_masked():
    outcome = checked({"RATE_LIMIT_STORAGE": "redis://:canary-7@redis:6379/0?x=canary-7"})
    (row,) = [row for row in outcome.loaded.rows() if row.variable == "RATE_LIMIT_STORAGE"]
    assert row.value_shown == "redis://********@redis:6379/0"
    assert "canary-7" in outcome.loaded.secrets()
    (row,) = [row for row in checked().loaded.rows() if row.variable == "RATE_LIMIT_STORAGE"]
    assert row.value_shown == "memory://"
    assert "memory://" not in checked().loaded.secrets()


def test_old_keys_are_parsed():
    old = "b3a90c3f0b8a7d62b3a90c3f0b8a7d61ff b3a90c3f0b8a7d62b3a90c3f0b8a7d61aa"
    outcome = checked({"SECRET_KEY_OLD": old})
    assert outcome.problems == outcome.warnings == ()
    keys = outcome.loaded.get(CoreSettings).secret_key_old
    assert [key.get_secret_value() for key in keys] == old.split()
    assert set(old.split()) <= outcome.loaded.secrets()
    (row,) = [row for row in outcome.loaded.rows() if row.variable == "SECRET_KEY_OLD"]
    assert row.value_shown == "********"
    assert problems({"SECRET_KEY_OLD": "short"})[0] == (
        "SECRET_KEY_OLD",
        "holds a key that is shorter than 32 characters",
    )
    (warning,) = checked({"SECRET_KEY_OLD": SOUND["SECRET_KEY"]}).warnings
    assert warning.variable == "SECRET_KEY_OLD"


def test_the_page_describes_the_settings_of_any_provider():
    page = configuration_page(installed(DISTRIBUTION))
    for suffix in ("CLIENT_ID", "CLIENT_SECRET", "ISSUER", "TITLE", "SCOPES", "EMAIL_DOMAINS"):
        assert f"| `NAME_{suffix}` | `combine_auth.NAME.{suffix.lower()}` |" in page


@pytest.mark.parametrize(
    ("environment", "who"),
    [
        ("production", "invited"),
        ("staging", "invited"),
        ("development", "anyone"),
        ("test", "anyone"),
    ],
)
def test_the_default_of_sign_up(environment, who):
    outcome = checked({"ENVIRONMENT": environment})
    settings = outcome.loaded.get(AuthSettings)
    assert settings.sign_up == who
    assert settings.may_sign_up("ann@example.com") is (who == "anyone")


def test_sign_up_domains_are_parsed():
    settings = auth({"SIGN_UP": "domains", "SIGN_UP_DOMAINS": "Example.com, example.org"})
    assert settings.may_sign_up("ann@EXAMPLE.com")
    assert settings.may_sign_up("ann@example.org")
    for email in ("ann@sub.example.com", "ann@example.net", "", None):
        assert not settings.may_sign_up(email)


def test_domains_are_normalized():
    settings = auth({"SIGN_UP": "domains", "SIGN_UP_DOMAINS": "xn--mnchen-3ya.de"})
    assert settings.may_sign_up("ann@m\u00fcnchen.de")
    assert settings.may_sign_up("ann@xn--mnchen-3ya.de.")


def test_sign_up_by_domain_needs_a_domain():
    assert problems({"SIGN_UP": "domains"}) == [
        ("SIGN_UP_DOMAINS", "is not set, although SIGN_UP is domains")
    ]


def test_open_sign_up_is_logged_at_the_start():
    outcome = checked({"SIGN_UP": "anyone"})
    assert outcome.problems == ()
    [warning] = outcome.warnings
    assert warning.variable == "SIGN_UP"
    assert "every person with a provider account gets in" in warning.fault
    assert checked({"SIGN_UP": "anyone", "ENVIRONMENT": "development"}).warnings == ()
