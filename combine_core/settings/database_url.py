"""``DATABASE_URL``: each unusable part named, and one spelling for SQLAlchemy."""

import re
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, unquote

import psycopg2.extensions
from psycopg2 import ProgrammingError
from pydantic import SecretStr

from combine_core.settings.declare import Kind
from combine_core.settings.environment import NOT_DEVELOPMENT
from combine_core.settings.problems import Finding, Unusable
from combine_core.settings.suspicion import is_placeholder, is_reference
from combine_core.settings.urls import is_host, is_port

FORM = "postgresql://USER:PASSWORD@HOST:5432/DATABASE"
_KINDS = {"user": Kind.WORD, "password": Kind.KEY}
_SCHEMES = ("postgres", "postgresql", "postgresql+psycopg2")
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# These parts have a place of their own; SQLAlchemy and libpq would disagree on which counts.
_ELSEWHERE = ("user", "password", "port", "dbname")
_ESCAPES = "in a URL, write @ as %40, / as %2F, # as %23, ? as %3F and % as %25"


def parse_database_url(text: str) -> SecretStr:
    """A PostgreSQL URL, as ``postgresql+psycopg2://``. Raises Unusable naming every bad part."""
    findings = examine(text)
    # A placeholder can be tried in development; it alone does not make the URL unusable.
    if any(finding.refused_in != NOT_DEVELOPMENT for finding in findings):
        raise Unusable(*findings)
    return SecretStr(f"postgresql+psycopg2://{text.partition('://')[2]}")


def examine(text: str) -> list[Finding]:
    """Everything that is wrong with the URL."""
    if re.search(r"\s", text):
        return [Finding("contains a space", f"write {FORM}, in one piece")]
    scheme, separator, rest = text.partition("://")
    if not separator:
        return [Finding("has no scheme", f"write {FORM}")]
    findings: list[Finding] = []
    if scheme.lower() not in _SCHEMES:
        findings.append(Finding("has a scheme that is not postgresql", f"write {FORM}"))
    parts = _split(rest)
    if parts.ended_early:
        findings.append(Finding("has a password with characters that end it early", _ESCAPES))
    if parts.credentials is not None:
        findings += _credentials(parts.credentials)
    return [
        *findings,
        *_server(parts.server, parts.query),
        *_database(parts.path),
        *_query(parts.query),
    ]


@dataclass(frozen=True, slots=True)
class _Parts:
    credentials: str | None
    server: str
    path: str
    query: str
    ended_early: bool = False


def _split(rest: str) -> _Parts:
    """The parts behind the scheme; the authority ends at the first / ? or # (RFC 3986, 3.2)."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path, _, query = rest[len(authority) :].partition("?")
    if authority.count("@") > 1 or "@" in path or ("@" in query and "@" not in authority):
        # An @ or / or # or ? in the password; the last @ was probably meant.
        return replace(_split(rest.rpartition("@")[2]), ended_early=True)
    credentials, at, server = authority.rpartition("@")
    return _Parts(credentials if at else None, server, path, query)


def _credentials(text: str) -> list[Finding]:
    findings = []
    user, colon, password = text.partition(":")
    if _badly_escaped(text):
        findings.append(Finding("has a % in its user or password that escapes nothing", _ESCAPES))
    if not user:
        findings.append(Finding("has no user", f"write {FORM}"))
    if colon and not password:
        findings.append(
            Finding(
                "has an empty password (was the variable it was made from set?)", f"write {FORM}"
            )
        )
    for name, part in (("user", user), ("password", password)):
        plain = unquote(part)
        if _in_quotes(plain):
            findings.append(Finding(f"has a {name} in quotes", "write it without the quotes"))
        elif is_reference(plain):
            findings.append(
                Finding(f"has a {name} that is a reference nothing replaced", f"write the {name}")
            )
        elif part and is_placeholder(plain, _KINDS[name]):
            findings.append(
                Finding(f"has a placeholder for the {name}", f"write the {name}", NOT_DEVELOPMENT)
            )
    return findings


def _badly_escaped(text: str) -> bool:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        return True
    try:
        return "\0" in unquote(text, errors="strict")
    except UnicodeDecodeError:
        return True


def _in_quotes(part: str) -> bool:
    return len(part) > 1 and part[0] == part[-1] and part[0] in "\"'`"


def _server(server: str, query: str) -> list[Finding]:
    findings = []
    bracketed = re.fullmatch(r"\[([^\]]*)\](.*)", server)
    host, rest = bracketed.groups() if bracketed else re.fullmatch(r"([^:]*)(.*)", server).groups()  # type: ignore[union-attr]
    if not host:
        # libpq's way to name a socket folder: postgresql:///combine?host=/run/postgresql
        if not any(key == "host" and value for key, value in parse_qsl(query)):
            findings.append(Finding("has no host", f"write {FORM}"))
    elif _in_quotes(host):
        findings.append(Finding("has a host in quotes", "write it without the quotes"))
    elif not is_host(host) or (":" in host) != bool(bracketed):
        findings.append(
            Finding(
                "has an unusable host",
                "write a host name or an address (an IPv6 address in brackets)",
            )
        )
    if rest and not (rest[0] == ":" and is_port(rest[1:])):
        findings.append(
            Finding(
                "has a port that is not a number from 1 to 65535", "write 5432, or the right port"
            )
        )
    return findings


def _database(path: str) -> list[Finding]:
    name = unquote(path.removeprefix("/"))
    if not name:
        return [Finding("names no database", f"write {FORM}")]
    if _in_quotes(name):
        return [Finding("has a database name in quotes", "write it without the quotes")]
    if "#" in path or "/" in path[1:] or _badly_escaped(path):
        return [Finding("has an unusable database name", f"write one name after the host: {FORM}")]
    return []


def _query(query: str) -> list[Finding]:
    if not query:
        return []
    findings = []
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key in _ELSEWHERE:
            findings.append(Finding(f"has {key} among its parameters", f"write {FORM}"))
        elif not _known_to_libpq(f"{quote(key)}="):
            # With an @ behind it, it may be the rest of a password instead.
            named = f" ({key})" if re.fullmatch(r"[a-z_]{1,40}", key) and "@" not in query else ""
            findings.append(
                Finding(f"has a parameter that PostgreSQL does not know{named}", "leave it out")
            )
        if key == "sslmode" and value not in _SSL_MODES:
            findings.append(
                Finding("has an unknown sslmode", f"write one of {' '.join(_SSL_MODES)}")
            )
    if not findings and ("+" in query or "#" in query or not _known_to_libpq(query)):
        findings.append(Finding("has unusable parameters", f"write {FORM}?name=value&name=value"))
    return findings


def _known_to_libpq(query: str) -> bool:
    try:
        # Only reads; it does not connect.
        psycopg2.extensions.parse_dsn(f"postgresql:///?{query}")
    except (ProgrammingError, UnicodeError):
        return False
    return True


def masked(url: SecretStr) -> str:
    """The URL without user, password and parameters, for people."""
    _, _, rest = url.get_secret_value().partition("://")
    server, _, path = rest.partition("?")[0].rpartition("@")[2].partition("/")
    return f"postgresql://********@{server}/{path}"
