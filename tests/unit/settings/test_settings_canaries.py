"""Tests that any value raises one kind of exception, and no text contains a secret."""

import io
import logging

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from combine_auth.settings import AuthSettings
from combine_core.settings import ConfigurationEnvironmentError, CoreSettings, load_all

CLASSES = [CoreSettings, AuthSettings]
DECLARED = [declared for cls in CLASSES for declared in cls.declared()]
NAMES = [name for declared in DECLARED for name in declared.names]
KEYS = [declared.ini_key for declared in DECLARED]
SECRET = [declared for declared in DECLARED if declared.secret]
ENVIRONMENTS = st.sampled_from(["development", "test", "staging", "production", "prod", ""])
CANARY = "canary"
# Each example loads all settings, so a part of the number in the profile is enough: 12 in the
# suite.
EXAMPLES = settings().max_examples // 4

garbage = st.text(max_size=40) | st.sampled_from(
    [
        "null",
        "0",
        "-1",
        "true",
        '""',
        "'",
        "*",
        "https://",
        "postgresql://",
        "${X}",
        "\udcff",
        "a\nb",
    ]
)


def outputs(ini: dict[str, str], environ: dict[str, str]) -> str:
    """Return everything that a start with these settings prints."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("combine_core.settings")
    logger.addHandler(handler)
    try:
        loaded = load_all(ini, None, environ, CLASSES)
    except ConfigurationEnvironmentError as error:
        shown = f"{error}{error!r}{error.problems!r}{error.args!r}"
    else:
        shown = (
            f"{loaded!r}{loaded.rows()!r}{loaded.get(CoreSettings)!r}{loaded.get(AuthSettings)!r}"
        )
    finally:
        logger.removeHandler(handler)
    said = stream.getvalue()
    assert said.count("\n") == len(said.splitlines()), "a value has split a log line"
    assert sum("EnvironmentError" in line for line in said.splitlines()) <= 1
    return said + shown


@given(
    environ=st.dictionaries(st.sampled_from(NAMES), garbage, max_size=8),
    ini=st.dictionaries(st.sampled_from(KEYS), garbage, max_size=4),
)
@settings(deadline=None, max_examples=EXAMPLES)
def test_garbage_raises_no_other_error(environ, ini):
    outputs(ini, environ)


@given(names=st.dictionaries(st.text(max_size=60), garbage, max_size=4))
@settings(deadline=None, max_examples=EXAMPLES)
def test_garbage_in_names_raises_no_other_error(names):
    outputs(names, names)
    outputs({f"combine_core.{name}": value for name, value in names.items()}, {})
    outputs({}, {f"COMBINE_{name}": value for name, value in names.items()})


@pytest.mark.parametrize("declared", SECRET, ids=lambda declared: declared.variable)
@given(
    before=st.text(max_size=10),
    after=st.text(max_size=40),
    environment=ENVIRONMENTS,
    in_ini=st.booleans(),
)
@settings(deadline=None, max_examples=EXAMPLES // 2)
def test_a_secret_is_never_shown(declared, before, after, environment, in_ini):
    # The name of the server is not secret. In a URL, the canary is in the credentials.
    if declared.field == "database_url":
        value = f"postgresql://combine:{before}{CANARY}{after}@db:5432/combine"
    else:
        value = f"{before}{CANARY}{after}"
    environ = {"ENVIRONMENT": environment}
    ini = {}
    if in_ini:
        ini[declared.ini_key] = value
    else:
        environ[declared.variable] = value
    assert CANARY not in outputs(ini, environ)


@given(
    scheme=st.sampled_from(["postgresql", "postgres", "mysql", '"postgresql', "", "postgresql "]),
    user=st.sampled_from(["combine", "", "${USER}", "changeme"]),
    before=st.text("@/#?&=:%[]\"' é$\\", max_size=4),
    after=st.text("@/#?&=:%[]\"' é$\\", max_size=4),
    host=st.sampled_from(["db", "", "d!b", "[::1]", "db:99999", "db:x"]),
    database=st.sampled_from(["/combine", "", "/", "/a/b", "/combine?sslmode=on", "/combine?x=y"]),
    environment=ENVIRONMENTS,
)
@settings(deadline=None, max_examples=EXAMPLES)
@example("postgresql", "combine", "", "", "db", "/combine?password=canary", "production")
@example("postgresql", "combine", "", "", "db", "/combine?sslpassword=canary", "production")
@example("postgresql", "combine", "p@ss?", "&x=1", "db", "/combine", "production")
def test_no_fragment_of_a_database_password_is_shown(
    scheme, user, before, after, host, database, environment
):
    url = f"{scheme}://{user}:{before}{CANARY}{after}@{host}{database}"
    assert CANARY not in outputs({}, {"ENVIRONMENT": environment, "DATABASE_URL": url})
