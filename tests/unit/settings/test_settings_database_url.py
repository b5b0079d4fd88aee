"""Tests that every invalid part of DATABASE_URL is named, but never a part of the password."""

from contextlib import suppress
from urllib.parse import quote

import psycopg2.extensions
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import create_engine, make_url

from combine_core.database.connecting import conninfo
from combine_core.settings.database_url import (
    each_host,
    examine,
    hosts_of,
    masked,
    parse_database_url,
)
from combine_core.settings.declaration import Unusable


def problem_texts(url: str) -> list[str]:
    return [finding.fault for finding in examine(url)]


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2", "POSTGRESQL"])
def test_each_scheme_becomes_the_installed_driver(scheme):
    url = parse_database_url(f"{scheme}://combine:p%40ss@db:5432/combine?sslmode=require")
    parsed = make_url(url.get_secret_value())
    assert parsed.drivername == "postgresql+psycopg2"
    assert (parsed.username, parsed.password) == ("combine", "p@ss")
    assert (parsed.host, parsed.port, parsed.database) == ("db", 5432, "combine")
    assert parsed.query == {"sslmode": "require"}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db/combine",
        "postgresql://combine@db.internal.example.com/combine",
        "postgresql://combine:secretive@[::1]:5432/combine",
        "postgresql://combine:secretive@10.0.0.1/combine",
        "postgresql://combine:p%25w@my_db-1:6432/combine",
        "postgresql:///combine?host=/var/run/postgresql",
        "postgresql://combine:pa$x@db/combine",
        "postgresql://combine:pa:x@db/combine",
        "postgresql://combine:it's@db/combine",
        "postgresql://db/combine?connect_timeout=3&sslrootcert=%2Fetc%2Fca",
        "postgresql://db/combine?options=-csearch_path%3Dapp",
        "postgresql://u:p@h1,h2/combine?target_session_attrs=read-write",
        "postgresql://u:p@h1:5432,[::1]:5433,10.0.0.1/combine?target_session_attrs=any",
        "postgresql://u:p@/combine?host=h1,h2&port=1,2&target_session_attrs=read-write",
    ],
)
def test_valid_urls_are_accepted(url):
    assert problem_texts(url) == []


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("db:5432/combine", "no scheme"),
        ("host=db dbname=combine", "a space"),
        ("postgresql:/db/combine", "no scheme"),
        ("mysql://u:p@db/combine", "scheme that is not postgresql"),
        ("sqlite:///combine.db", "scheme that is not postgresql"),
        ("jdbc:postgresql://db/combine", "scheme that is not postgresql"),
        ("postgresql+asyncpg://db/combine", "scheme that is not postgresql"),
        ("://db/combine", "scheme that is not postgresql"),
        ("postgresql://u:p@/combine", "no host"),
        ("postgresql://u:p@:5432/combine", "no host"),
        ("postgresql:///combine", "no host"),
        ("postgresql:///combine?host=", "no host"),
        ("postgresql://u:p@d!b/combine", "unusable host"),
        ("postgresql://u:p@db..x/combine", "unusable host"),
        ("postgresql://u:p@-db/combine", "unusable host"),
        ("postgresql://u:p@300.1.1.1/combine", "unusable host"),
        ("postgresql://u:p@[::g]/combine", "unusable host"),
        ("postgresql://u:p@[db]/combine", "unusable host"),
        ("postgresql://u:p@dürer/combine", "unusable host"),
        ("postgresql://u:p@a,b/combine", "several hosts, of which some may be standbys"),
        ("postgresql://u:p@/combine?host=a,b", "several hosts, of which some may be standbys"),
        ("postgresql://u:p@a,/combine?target_session_attrs=any", "no host"),
        ("postgresql://u:p@a,b!/combine?target_session_attrs=any", "unusable host"),
        ("postgresql://u:p@a,b:0/combine?target_session_attrs=any", "port"),
        ("postgresql://u:p@/combine?host=a,b&port=1,2,3&target_session_attrs=any", "port"),
        ("postgresql://u:p@a/combine?port=1", "port among its parameters"),
        ("postgresql://u:p@/combine?host=a&host=b", "unusable parameters"),
        ("postgresql://u:p@db/combine?application_name=me", "application_name among its"),
        ("postgresql://u:p@db:54x2/combine", "port"),
        ("postgresql://u:p@db:/combine", "port"),
        ("postgresql://u:p@db:0/combine", "port"),
        ("postgresql://u:p@db:65536/combine", "port"),
        ("postgresql://u:p@db:-1/combine", "port"),
        ("postgresql://u:p@db:٥٤٣٢/combine", "port"),
        ("postgresql://u:p@db:5432:5432/combine", "port"),
        ("postgresql://u:p@[::1]5432/combine", "port"),
        ("postgresql://u:p@db", "names no database"),
        ("postgresql://u:p@db/", "names no database"),
        ("postgresql://u:p@db/?sslmode=require", "names no database"),
        ("postgresql://u:p@db/a/b", "unusable database name"),
        ("postgresql://u:p@db/a#b", "unusable database name"),
        ("postgresql://:p@db/combine", "no user"),
        ("postgresql://combine:@db/combine", "empty password"),
        ("postgresql://u:p%00@db/combine", "a % in its user or password"),
        ("postgresql://u:p%ff@db/combine", "a % in its user or password"),
        ("postgresql://u:p@db/combine?password=q", "password among its parameters"),
        ("postgresql://u:p@db/combine?sslrootcert=a+b", "unusable parameters"),
        ("postgresql://u:p@db/combine?sslrootcert", "unusable parameters"),
        ("postgresql://u:p%zz@db/combine", "a % in its user or password"),
        ("postgresql://u:p@ss@db/combine", "special characters that are not escaped"),
        ("postgresql://u:p/ss@db/combine", "special characters that are not escaped"),
        ("postgresql://u:p#ss@db/combine", "special characters that are not escaped"),
        ("postgresql://u:p?ss@db/combine", "special characters that are not escaped"),
        ('postgresql://u:"p"@db/combine', "password in quotes"),
        ("postgresql://'u':p@db/combine", "user in quotes"),
        ('postgresql://u:p@"db"/combine', "host in quotes"),
        ('postgresql://u:p@db/"combine"', "database name in quotes"),
        ("postgresql://u:${POSTGRES_PASSWORD}@db/combine", "a reference to a variable"),
        ("postgresql://u:changeme@db/combine", "placeholder for the password"),
        ("postgresql://u:<password>@db/combine", "placeholder for the password"),
        ("postgresql://u:your-password@db/combine", "placeholder for the password"),
        ("postgresql://your-user:p@db/combine", "placeholder for the user"),
        ("postgresql://u:p@db/combine?sslmode=on", "sslmode"),
        ("postgresql://u:p@db/combine?pgbouncer=true", "(pgbouncer)"),
    ],
)
def test_the_invalid_part_is_named(url, part):
    assert [what for what in problem_texts(url) if part in what], problem_texts(url)


def test_all_invalid_parts_are_named_together():
    found = problem_texts("mysql://u:p/ss@h!st:99999/")
    assert len(found) == 5
    for part in (
        "scheme",
        "special characters that are not escaped",
        "host",
        "port",
        "names no database",
    ):
        assert any(part in what for what in found), part


def test_an_unescaped_password_does_not_hide_other_problems():
    assert problem_texts("postgresql://u:p@s/s@db:5432/combine") == [
        "has a password with special characters that are not escaped"
    ]


def test_the_drivers_read_the_same_options():
    url = parse_database_url(
        "postgres://u@db/combine?options=-csearch_path%3Dapp%20-cwork_mem%3D1MB"
    )
    parsed = make_url(url.get_secret_value())
    assert conninfo_to_dict(conninfo(parsed))["options"] == "-csearch_path=app -cwork_mem=1MB"
    ((), given) = create_engine(parsed).dialect.create_connect_args(parsed)
    assert given["options"] == "-csearch_path=app -cwork_mem=1MB"


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)


@given(password=TEXT, user=TEXT)
@settings(deadline=None)
def test_escaped_credentials_are_decoded(password, user):
    url = f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@db:5432/combine"
    findings = examine(url)
    assert all(
        "placeholder" in f.fault or "quotes" in f.fault or "reference" in f.fault for f in findings
    )
    if not findings:
        parsed = make_url(parse_database_url(url).get_secret_value())
        assert (parsed.username, parsed.password) == (user, password)
        # libpq, which psql uses, reads the same URL in the same way.
        parts = psycopg2.extensions.parse_dsn(url)
        assert (parts["user"], parts["password"]) == (user, password)
        libpq = conninfo_to_dict(conninfo(parsed))
        assert (libpq["user"], libpq["password"]) == (user, password)


TOKENS = [
    "u",
    "p",
    "db",
    "combine",
    ":",
    "@",
    "/",
    "?",
    "#",
    "[",
    "]",
    "%41",
    "%",
    "=",
    "&",
    ",",
    ".",
    "5432",
    "::1",
    "sslmode=require",
    "host=x",
    "host=x,y",
    "target_session_attrs=any",
    "'",
    '"',
    "é",
    "+",
    "%40",
    "%2F",
    "host=/tmp",
    "dbname=z",
    "port=1",
    "user=q",
    "password=zz",
    "%00",
    "%ff",
    "-",
    "_",
]


def libpq_hosts(parts):
    hosts, ports = parts["host"].split(","), parts.get("port", "").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    # For libpq, an empty port is the default port.
    return [
        (host, port or (len(hosts) > 1 and "5432")) for host, port in zip(hosts, ports, strict=True)
    ]


@pytest.mark.parametrize(
    ("server", "hosts"),
    [
        ("h1,h2", [("h1", 5432), ("h2", 5432)]),
        ("h1:5433,[::1]", [("h1", 5433), ("::1", 5432)]),
        ("[::1]:1,h2:2", [("::1", 1), ("h2", 2)]),
    ],
)
def test_several_hosts_reach_each_driver(server, hosts):
    text = f"postgres://u:p%40@{server}/combine?target_session_attrs=read-write"
    secret = parse_database_url(text)
    url = make_url(secret.get_secret_value())
    assert hosts_of(url) == hosts
    engine = create_engine(url)
    ((), given) = engine.dialect.create_connect_args(url)
    assert given["host"] == ",".join(host for host, _ in hosts)
    assert given["port"] == ",".join(str(port) for _, port in hosts)
    assert given["target_session_attrs"] == "read-write"
    libpq = conninfo_to_dict(conninfo(url))
    assert {key: libpq[key] for key in given if key != "dbname"} == {
        key: value for key, value in given.items() if key != "dbname"
    }
    alone = each_host(url)
    assert [(one.host, one.port, dict(one.query)) for one in alone] == [(*h, {}) for h in hosts]
    assert masked(secret).startswith("postgresql://********@")
    assert "p%40" not in masked(secret)


@given(
    start=st.integers(min_value=0, max_value=18).map(lambda end: "u:p@db:5432/combine"[:end]),
    tokens=st.lists(st.sampled_from(TOKENS), max_size=12),
)
@settings(deadline=None)
def test_sqlalchemy_and_libpq_read_accepted_urls_alike(start, tokens):
    url = f"postgresql://{start}{''.join(tokens)}"
    try:
        accepted = parse_database_url(url).get_secret_value()
    except Unusable:
        return
    parsed = make_url(accepted)
    parts = psycopg2.extensions.parse_dsn(url)
    assert parts.get("user") == (parsed.username or None)
    assert parts.get("password") == parsed.password
    assert parts["dbname"] == parsed.database
    assert hosts_of(parsed) == [
        (host, int(port) if port else None) for host, port in libpq_hosts(parts)
    ]


@given(text=st.text() | st.text().map(lambda text: f"postgresql://{text}"))
@settings(deadline=None)
def test_no_other_error_is_raised(text):
    with suppress(Unusable):
        parse_database_url(text)


def test_user_password_and_parameters_are_not_shown():
    url = parse_database_url("postgres://combine:canary@db:5432/combine?options=-ccanary")
    assert masked(url) == "postgresql://********@db:5432/combine"
    assert "canary" not in repr(url)
