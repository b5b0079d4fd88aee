"""Tests settings together: their sources, errors and warnings."""

import logging
from pathlib import Path

import pytest

from combine_auth.settings import AuthSettings
from combine_core.settings import (
    ConfigurationEnvironmentError,
    CoreSettings,
    Environment,
    Outcome,
    check_all,
    load_all,
)
from combine_core.settings.addons import Installed

KEY = "0f8a51c9d3b7e2460f8a51c9d3b7e246aa"
URL = "postgresql://combine:in-the-vault-7@db:5432/combine"
SOUND = {"ENVIRONMENT": "production", "DATABASE_URL": URL, "SECRET_KEY": KEY}
CLASSES = Installed((CoreSettings, AuthSettings), {})


def checked(environ=None, ini=None, env_file=None, tmp_path: Path | None = None) -> Outcome:
    path = None
    if tmp_path is not None:
        path = tmp_path / "production.ini"
        path.write_text("[app:main]\nuse = egg:pyramid-combine\n")
        if env_file is not None:
            (tmp_path / ".env").write_text(env_file)
    return check_all(ini or {}, path, environ or {}, CLASSES)


def problems(environ=None, ini=None, **more) -> list[tuple[str, str]]:
    return [(p.variable, p.fault) for p in checked(environ, ini, **more).problems]


def faults(environ=None, ini=None, **more) -> list[tuple[str, str]]:
    outcome = checked(environ, ini, **more)
    assert outcome.problems == ()
    return [(f.variable, f.fault) for f in outcome.faults]


def warnings(environ=None, ini=None, **more) -> list[tuple[str, str]]:
    return [(w.variable, w.fault) for w in checked(environ, ini, **more).warnings]


def core(environ=None, ini=None, **more) -> CoreSettings:
    return checked(environ, ini, **more).loaded.get(CoreSettings)


def source(outcome: Outcome, variable: str) -> str:
    return next(row.source for row in outcome.loaded.rows() if row.variable == variable)


# Sources of values.


def test_the_environment_wins_over_env_file_over_ini_over_default(tmp_path):
    ini = {"combine_core.db_pool_size": "3"}
    env_file = "DB_POOL_SIZE=4"
    outcome = checked({"DB_POOL_SIZE": "5"}, ini, env_file=env_file, tmp_path=tmp_path)
    assert outcome.loaded.get(CoreSettings).db_pool_size == 5
    assert source(outcome, "DB_POOL_SIZE") == "environment"
    outcome = checked({}, ini, env_file=env_file, tmp_path=tmp_path)
    assert outcome.loaded.get(CoreSettings).db_pool_size == 4
    assert source(outcome, "DB_POOL_SIZE") == ".env"
    outcome = checked({}, ini)
    assert outcome.loaded.get(CoreSettings).db_pool_size == 3
    assert source(outcome, "DB_POOL_SIZE") == "ini"
    outcome = checked()
    assert outcome.loaded.get(CoreSettings).db_pool_size == 5
    assert source(outcome, "DB_POOL_SIZE") == "default"


def test_every_variable_may_have_the_name_of_its_ini_key():
    assert core({"COMBINE_CORE_DB_POOL_SIZE": "7"}).db_pool_size == 7
    assert core({"COMBINE_CORE_WORKER": "on"}).worker is True


def test_contradicting_names_are_a_problem():
    environ = {"DB_POOL_SIZE": "7", "COMBINE_CORE_DB_POOL_SIZE": "8"}
    found = problems({**SOUND, **environ})
    assert found == [("DB_POOL_SIZE", "and COMBINE_CORE_DB_POOL_SIZE hold different values")]
    assert problems({**SOUND, "DB_POOL_SIZE": "7", "COMBINE_CORE_DB_POOL_SIZE": "7"}) == []


def test_an_empty_variable_counts_as_not_set(tmp_path):
    environ = {"DB_POOL_SIZE": "", "LOG_LEVEL": "", "GOOGLE_CLIENT_ID": ""}
    assert problems({**SOUND, **environ}) == []
    ini = {"combine_core.db_pool_size": "3"}
    assert core(environ, ini).db_pool_size == 3
    assert core(environ, ini, env_file="DB_POOL_SIZE=4", tmp_path=tmp_path).db_pool_size == 4


def test_an_ini_value_may_have_several_lines():
    ini = {"combine_core.allowed_origins": "\nhttps://a.example\nhttps://b.example"}
    assert core(SOUND, ini).allowed_origins == ("https://a.example", "https://b.example")
    assert problems(SOUND, ini) == []


def test_settings_may_have_other_types_than_text():
    assert core({}, {"combine_core.db_pool_size": 3, "combine_core.worker": True}).worker is True
    found = problems(SOUND, {"combine_core.db_pool_size": object()})
    assert found == [
        ("DB_POOL_SIZE", "(as combine_core.db_pool_size) has a value of the wrong type")
    ]


def test_folders_are_relative_to_the_ini_file(tmp_path):
    assert core(SOUND, tmp_path=tmp_path).var_dir == tmp_path / "var"
    ini = {"combine_core.var_dir": "data"}
    assert core(SOUND, ini, tmp_path=tmp_path).var_dir == tmp_path / "data"
    ini = {"combine_core.var_dir": "/srv/data"}
    assert core(SOUND, ini, tmp_path=tmp_path).var_dir == Path("/srv/data")


# The environment.


@pytest.mark.parametrize("name", list(Environment))
def test_the_four_environments_are_accepted(name):
    environ = {**SOUND, "ENVIRONMENT": name}
    assert core(environ).environment is Environment(name)
    assert core(environ).is_development is (name == "development")


@pytest.mark.parametrize("name", ["prod", "Production", "dev", "live", "None", "0", "development,"])
def test_another_environment_is_rejected_with_the_four_names(name):
    (problem,) = checked({**SOUND, "ENVIRONMENT": name}).problems
    assert problem.variable == "ENVIRONMENT"
    for right in Environment:
        assert right in problem.remedy


def test_a_misspelt_environment_is_checked_by_its_likely_meaning():
    assert [v for v, _ in problems({"ENVIRONMENT": "prod"})] == [
        "ENVIRONMENT",
        "DATABASE_URL",
        "SECRET_KEY",
    ]
    assert [v for v, _ in problems({"ENVIRONMENT": "dev"})] == ["ENVIRONMENT"]
    assert len(problems({"ENVIRONMENT": "nonsense"})) == 3


def test_the_default_environment_has_the_rules_of_production():
    assert [v for v, _ in problems()] == ["DATABASE_URL", "SECRET_KEY"]
    assert warnings()[0] == (
        "ENVIRONMENT",
        "is not set, so the rules of production apply",
    )


@pytest.mark.parametrize(
    ("environment", "required"),
    [
        ("production", ["DATABASE_URL", "SECRET_KEY"]),
        ("staging", ["DATABASE_URL", "SECRET_KEY"]),
        ("test", ["DATABASE_URL"]),
        ("development", []),
    ],
)
def test_required_settings_are_reported(environment, required):
    assert problems({"ENVIRONMENT": environment}) == [(name, "is not set") for name in required]
    empty = {"ENVIRONMENT": environment, "DATABASE_URL": "", "SECRET_KEY": ""}
    assert problems(empty) == [(name, "is set but empty") for name in required]


def test_a_required_setting_may_be_in_the_ini_file():
    ini = {"combine_core.database_url": URL, "combine_core.secret_key": KEY}
    assert problems({"ENVIRONMENT": "staging"}, ini) == []


@pytest.mark.parametrize("other", ["DATABSE_URL", "database_url", "DATABASE-URL", "DATABASEURL"])
def test_a_misspelt_required_variable_is_reported(other):
    found = problems({"ENVIRONMENT": "test", other: URL})
    assert found == [("DATABASE_URL", f"is not set, but {other} is, which is not a setting")]


# The secret key.


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("abcdefgh12345678", "shorter than 32"),
        ("a" * 64, "repeats itself"),
        ("ab" * 32, "repeats itself"),
        ("1234567890" * 4, "repeats itself"),
        ("password" * 4, "repeats itself"),
        ("aabbccddaabbccddaabbccddaabbccdd", "repeats itself"),
        ("changeme" * 5, "placeholder"),
        ("combine-development-key-which-everyone-knows", "everyone knows"),
    ],
)
@pytest.mark.parametrize("environment", ["staging", "production"])
def test_a_weak_key_is_rejected_in_deployments(key, what, environment):
    found = problems({**SOUND, "ENVIRONMENT": environment, "SECRET_KEY": key})
    assert found
    assert all(variable == "SECRET_KEY" for variable, _ in found)
    assert any(what in text for _, text in found)


def test_a_weak_key_is_a_warning_in_development():
    outcome = checked({"ENVIRONMENT": "development", "SECRET_KEY": "short"})
    assert outcome.problems == ()
    assert outcome.warnings
    assert outcome.loaded.get(CoreSettings).secret_key.get_secret_value() == "short"


@pytest.mark.parametrize(
    "key", [KEY, "correct horse battery staple, and more", "0123456789abcdef" * 2]
)
def test_a_strong_key_is_accepted(key):
    assert problems({**SOUND, "SECRET_KEY": key}) == []


# Origins and the public address.


def test_each_address_follows_from_the_other():
    settings = core({**SOUND, "PUBLIC_URL": "https://combine.example.com"})
    assert settings.allowed_origins == ("https://combine.example.com",)
    settings = core({**SOUND, "ALLOWED_ORIGINS": "https://a.example https://b.example"})
    assert settings.public_url == "https://a.example"


def test_the_default_address_is_this_machine_and_port(tmp_path):
    assert core({"PORT": "8123"}).public_url == "http://localhost:8123"
    assert core().allowed_origins == ("http://localhost:8000",)
    assert core({"PORT": "nonsense"}).public_url == "http://localhost:8000"
    assert core({"LISTEN": "0.0.0.0:9000"}).public_url == "http://localhost:9000"
    path = tmp_path / "x.ini"
    for line, port in (("listen = 127.0.0.1:8001", 8001), ("port = 8002", 8002), ("x = 1", 8000)):
        path.write_text(f"[app:main]\n[server:main]\n{line}\n")
        settings = check_all({}, path, {}, CLASSES).loaded.get(CoreSettings)
        assert settings.public_url == f"http://localhost:{port}"


def test_in_production_a_missing_address_is_a_warning():
    assert [v for v, _ in warnings(SOUND)] == ["PUBLIC_URL"]
    assert warnings({**SOUND, "PUBLIC_URL": "https://combine.example.com"}) == []
    assert warnings({**SOUND, "ALLOWED_ORIGINS": "https://combine.example.com"}) == []


def test_a_public_url_must_be_an_allowed_origin():
    environ = {"PUBLIC_URL": "https://a.example", "ALLOWED_ORIGINS": "https://b.example"}
    (problem,) = checked({**SOUND, **environ}).problems
    assert (problem.variable, problem.fault) == ("PUBLIC_URL", "is missing from ALLOWED_ORIGINS")
    assert "https://a.example" in problem.remedy
    development = checked({"ENVIRONMENT": "development", **environ})
    assert development.problems == ()
    assert [w.fault for w in development.warnings] == ["is missing from ALLOWED_ORIGINS"]


def test_a_json_list_is_not_a_placeholder():
    (found,) = problems({**SOUND, "ALLOWED_ORIGINS": '["https://a.example"]'})
    assert found == ("ALLOWED_ORIGINS", "is in brackets")


def test_the_same_origin_written_differently_is_the_same():
    environ = {
        "PUBLIC_URL": "https://Combine.Example.com",
        "ALLOWED_ORIGINS": "https://other.example,HTTPS://combine.example.com:443",
    }
    assert problems({**SOUND, **environ}) == []


@pytest.mark.parametrize(
    ("environment", "refused"), [("production", True), ("staging", False), ("development", False)]
)
def test_plain_http_is_rejected_in_production(environment, refused):
    environ = {**SOUND, "ENVIRONMENT": environment, "ALLOWED_ORIGINS": "http://a.example"}
    outcome = checked(environ)
    found = outcome.problems if refused else outcome.warnings
    (problem,) = [p for p in found if p.variable == "ALLOWED_ORIGINS"]
    assert problem.remedy == "write https://a.example"


@pytest.mark.parametrize("origin", ["http://localhost:8000", "http://127.0.0.1", "http://[::1]:9"])
def test_plain_http_on_loopback_is_accepted(origin):
    assert problems({**SOUND, "PUBLIC_URL": origin}) == []


# Sign-in.


@pytest.mark.parametrize("environment", ["test", "staging", "production"])
@pytest.mark.parametrize("where", ["environ", "ini"])
def test_local_sign_in_is_rejected_outside_of_development(environment, where):
    environ = {**SOUND, "ENVIRONMENT": environment}
    ini = {}
    if where == "environ":
        environ["COMBINE_AUTH_LOCAL_SIGN_IN"] = "true"
    else:
        ini["combine_auth.local_sign_in"] = "true"
    (problem,) = checked(environ, ini).problems
    assert problem.variable == "COMBINE_AUTH_LOCAL_SIGN_IN"
    assert f"and this is {environment}" in problem.fault


def test_local_sign_in_is_accepted_in_development():
    outcome = checked({"ENVIRONMENT": "development", "COMBINE_AUTH_LOCAL_SIGN_IN": "true"})
    assert outcome.problems == ()
    assert outcome.loaded.get(AuthSettings).local_sign_in is True


@pytest.mark.parametrize("vendor", ["GOOGLE", "MICROSOFT"])
def test_client_id_and_secret_belong_together(vendor):
    client_id, secret = f"{vendor}_CLIENT_ID", f"{vendor}_CLIENT_SECRET"
    assert faults({**SOUND, client_id: "4711.apps"}) == [
        (secret, f"is not set, although {client_id} is")
    ]
    assert faults({**SOUND, secret: "GOCSPX-1"}) == [
        (client_id, f"is not set, although {secret} is")
    ]
    assert faults({**SOUND, client_id: "4711.apps", secret: "GOCSPX-1"}) == []
    # A placeholder is not the same as a missing value.
    (found,) = faults({**SOUND, client_id: "4711.apps", secret: "your-secret"})
    assert found == (secret, "still holds a placeholder")


@pytest.mark.parametrize("environment", ["development", "test", "staging", "production"])
@pytest.mark.parametrize("value", ["changeme", "'GOCSPX-1'", "  ", "${X}", "a b", "None", "x\t"])
def test_the_service_starts_without_a_provider_with_a_placeholder(environment, value):
    environ = {
        **SOUND,
        "ENVIRONMENT": environment,
        "GOOGLE_CLIENT_ID": "4711.apps",
        "GOOGLE_CLIENT_SECRET": value,
        "PUBLIC_URL": "https://a.example",
    }
    outcome = checked(environ)
    assert outcome.problems == outcome.warnings == ()
    assert {fault.variable for fault in outcome.faults} == {"GOOGLE_CLIENT_SECRET"}
    google = outcome.loaded.get(AuthSettings).of_provider("google")
    assert (google.client_id, google.client_secret) == ("4711.apps", None)
    assert google.faults == outcome.faults
    (row,) = [row for row in outcome.loaded.rows() if row.variable == "GOOGLE_CLIENT_SECRET"]
    assert row.value_shown == "(unusable)"


def test_tenants_are_checked():
    one = "72F988BF-86F1-41AF-91AB-2D7CD011DB47"
    other = "9188040d-6c67-4c5b-b112-36a304b66dad"
    outcome = checked({**SOUND, "MICROSOFT_TENANTS": f"{one}, {other} {one}"})
    assert outcome.loaded.get(AuthSettings).microsoft_tenants == (one.lower(), other)
    for wrong in ("common", "contoso.onmicrosoft.com", one[:-1], "*"):
        (found,) = problems({**SOUND, "MICROSOFT_TENANTS": f"{other},{wrong}"})
        assert found == ("MICROSOFT_TENANTS", "has an entry 2 that is not a tenant id")


# The model.


@pytest.mark.parametrize(
    ("environ", "model"),
    [
        ({}, "extract"),
        ({"ANTHROPIC_API_KEY": "sk-ant-1"}, "anthropic/claude-sonnet-5-5"),
        ({"OPENAI_API_KEY": "sk-1"}, "openai/gpt-5-mini"),
        ({"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "http://localhost:11434/v1"}, "extract"),
        ({"DEFAULT_MODEL": "openai/gpt-5"}, "openai/gpt-5"),
    ],
)
def test_the_default_model_depends_on_the_keys(environ, model):
    assert core({**SOUND, **environ}).default_model == model


def test_a_model_without_its_key_is_a_warning():
    public = {**SOUND, "PUBLIC_URL": "https://a.example"}
    assert warnings({**public, "DEFAULT_MODEL": "anthropic/x"}) == [
        ("DEFAULT_MODEL", "names a model that needs ANTHROPIC_API_KEY, which is not set")
    ]
    assert warnings({**public, "DEFAULT_MODEL": "openai/x", "OPENAI_API_KEY": "sk-1"}) == []


@pytest.mark.parametrize("placeholder", ["changeme", "${ANTHROPIC_API_KEY}", "sk-ant-..."])
def test_a_placeholder_counts_as_missing_in_development(placeholder):
    environ = {
        "ENVIRONMENT": "development",
        "ANTHROPIC_API_KEY": placeholder,
        "DATABASE_URL": "<your database>",
        "SECRET_KEY": placeholder,
    }
    outcome = checked(environ)
    assert outcome.problems == ()
    assert {w.variable for w in outcome.warnings} == set(environ) - {"ENVIRONMENT"}
    settings = outcome.loaded.get(CoreSettings)
    assert settings.default_model == "extract"
    assert settings.database_url is None
    assert settings.anthropic_api_key is None
    refused = checked({**environ, "ENVIRONMENT": "staging"})
    assert {p.variable for p in refused.problems} == set(environ) - {"ENVIRONMENT"}


# Reports of several problems.


def test_every_problem_is_in_one_log_line_and_in_the_exception(caplog):
    environ = {
        "ENVIRONMENT": "production",
        "DATABASE_URL": '"mysql://combine:canary@h!st:99999/"',
        "SECRET_KEY": " canary\n",
        "ALLOWED_ORIGINS": "https://a.example/, b.example",
        "PUBLIC_URL": "ftp://canary:canary@a.example",
        "DB_POOL_SIZE": "5.0",
        "MICROSOFT_TENANTS": "common",
        "GOOGLE_ISSUER": "http://canary:canary@127.0.0.1:9001",
        "LOG_LEVEL": "loud",
        "MAX_REQUEST_BODY_SIZE": "10 MB",
        "COMBINE_AUTH_LOCAL_SIGN_IN": "yes",
    }
    with pytest.raises(ConfigurationEnvironmentError) as raised:
        load_all({}, None, environ, [CoreSettings, AuthSettings])
    (line,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert "EnvironmentError" in line
    assert "\n" not in line
    for text in (line, str(raised.value)):
        assert "canary" not in text
        for variable in set(environ) - {"ENVIRONMENT"}:
            assert variable in text, variable
        for part in ("scheme", "unusable host", "port", "names no database", "still in quotes"):
            assert part in text, part
    assert type(raised.value).__name__ == "ConfigurationEnvironmentError"
    assert raised.value.__context__ is None
    assert len(raised.value.problems) == len(str(raised.value).splitlines()) - 1


def test_quotes_and_whitespace_are_only_warnings_in_development(caplog):
    environ = {"ENVIRONMENT": '"development"', "DB_POOL_SIZE": " 7 ", "DATABASE_URL": f"'{URL}'"}
    settings = load_all({}, None, environ, [CoreSettings]).get(CoreSettings)
    assert settings.is_development
    assert settings.db_pool_size == 7
    assert settings.sqlalchemy_url.endswith("@db:5432/combine")
    said = [r.getMessage() for r in caplog.records]
    assert [text.split(" ")[0] for text in said] == ["ENVIRONMENT", "DATABASE_URL", "DB_POOL_SIZE"]
    assert all(r.levelno == logging.WARNING for r in caplog.records)


@pytest.mark.parametrize("value", ["", '""', "  ", "''"])
def test_empty_quotes_count_as_not_set(value):
    found = problems({**SOUND, "SECRET_KEY": value})
    assert found[-1] == ("SECRET_KEY", "is set but empty") or found[-1][1] == "is not set"
    assert core({"ENVIRONMENT": "development", "DB_POOL_SIZE": value}).db_pool_size == 5


@pytest.mark.parametrize("environment", ["development", "production"])
def test_unusable_values_are_errors_in_development(environment):
    environ = {**SOUND, "ENVIRONMENT": environment, "DB_POOL_SIZE": "many"}
    assert problems(environ) == [("DB_POOL_SIZE", "is not a whole number")]


def test_a_problem_names_its_source(tmp_path):
    found = problems(SOUND, {"combine_core.log_level": "loud"})
    assert found[0][1].startswith("(as combine_core.log_level) is not one of debug")
    found = problems(SOUND, env_file="LOG_LEVEL=loud", tmp_path=tmp_path)
    assert found[0][1].startswith("(in .env) is not one of debug")
    found = problems(SOUND, env_file="COMBINE_CORE_LOG_LEVEL=loud", tmp_path=tmp_path)
    assert found[0][1].startswith("(in .env as COMBINE_CORE_LOG_LEVEL) is not one of debug")


def test_a_broken_env_file_is_reported_with_the_others(tmp_path):
    found = problems({"ENVIRONMENT": "test"}, env_file="A=1\nnonsense\n", tmp_path=tmp_path)
    assert found == [(".env", "has a line 2 that cannot be read"), ("DATABASE_URL", "is not set")]


# The loaded settings.


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        core(SOUND).db_pool_size = 3  # type: ignore[misc]


def test_settings_of_an_unloaded_add_on_are_an_error():
    loaded = load_all({}, None, SOUND, [CoreSettings])
    with pytest.raises(LookupError, match="combine_auth were not loaded"):
        loaded.get(AuthSettings)


def test_constructing_settings_reads_no_environment(monkeypatch):
    monkeypatch.setenv("DB_POOL_SIZE", "77")
    monkeypatch.setenv("db_pool_size", "77")
    assert CoreSettings().db_pool_size == 5
    assert CoreSettings(db_pool_size="6").db_pool_size == 6


def test_the_url_is_empty_without_a_database():
    with pytest.raises(LookupError):
        _ = CoreSettings().sqlalchemy_url


def test_a_value_found_later_is_added_with_its_source():
    loaded = load_all({}, None, {"ENVIRONMENT": "development"}, [CoreSettings, AuthSettings])
    more = loaded.replaced(CoreSettings, "embedded database", database_url=URL)
    assert more.get(CoreSettings).sqlalchemy_url == URL.replace("://", "+psycopg2://")
    (row,) = [row for row in more.rows() if row.variable == "DATABASE_URL"]
    assert (row.value_shown, row.source) == (
        "postgresql://********@db:5432/combine",
        "embedded database",
    )
    assert loaded.get(CoreSettings).database_url is None
    assert "in-the-vault-7" in more.secrets()
    assert AuthSettings in more


def test_the_rows_show_no_secret():
    environ = {**SOUND, "ANTHROPIC_API_KEY": "sk-ant-canary", "DB_POOL_SIZE": "canary"}
    rows = {row.variable: row for row in checked(environ).loaded.rows()}
    assert rows["ANTHROPIC_API_KEY"].value_shown == "********"
    assert rows["ANTHROPIC_API_KEY"].secret is True
    assert rows["DATABASE_URL"].value_shown == "postgresql://********@db:5432/combine"
    assert rows["DB_POOL_SIZE"].value_shown == "(unusable)"
    assert rows["PUBLIC_URL"].source == "default"
    assert {row.variable: row for row in checked().loaded.rows()}[
        "SECRET_KEY"
    ].value_shown == "(missing)"


def test_no_representation_shows_a_secret():
    loaded = load_all({}, None, SOUND, [CoreSettings, AuthSettings])
    for text in (repr(loaded), repr(loaded.get(CoreSettings)), str(loaded.rows())):
        assert KEY not in text
        assert "in-the-vault-7" not in text


# Mail.

MAIL = {**SOUND, "SMTP_HOST": "smtp.example.com", "MAIL_FROM": "combine@example.com"}
PASSWORD = {"SMTP_USER": "combine", "SMTP_PASSWORD": "correct-horse-staple"}


def test_mail_is_off_without_a_server():
    assert core(SOUND).smtp_host is None


def test_mail_is_encrypted_by_default():
    assert (core(MAIL).smtp_port, core(MAIL).smtp_tls) == (587, "starttls")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"MAIL_FROM": ""}, ("SMTP_HOST", "is set, but MAIL_FROM is not")),
        ({"MAIL_FROM": "Combine <a@example.com>"}, ("MAIL_FROM", "is not a mail address")),
        ({"MAIL_FROM": "a@example.com, b@example.com"}, ("MAIL_FROM", "is not a mail address")),
        ({"SMTP_HOST": "smtp://mail"}, ("SMTP_HOST", "is not a host name")),
        ({"SMTP_USER": "combine"}, ("SMTP_USER", "is set, but SMTP_PASSWORD is not")),
        ({"SMTP_PASSWORD": "x7Qp-1"}, ("SMTP_PASSWORD", "is set, but SMTP_USER is not")),
        (
            {**PASSWORD, "SMTP_TLS": "off"},
            ("SMTP_TLS", "is off, so the password for the mail server is sent in plain text"),
        ),
    ],
)
def test_invalid_mail_settings_are_reported(given, found):
    assert problems({**MAIL, **given}) == [found]


def test_a_mail_server_on_this_machine_needs_no_encryption():
    assert problems({**MAIL, **PASSWORD, "SMTP_HOST": "127.0.0.1", "SMTP_TLS": "off"}) == []
